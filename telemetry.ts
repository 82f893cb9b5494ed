/**
 * OpenTelemetry for an `HTTPListener`: a span and metrics for each request, following the semantic
 * conventions for HTTP servers, version 1.23 and later.
 *
 * It uses `@opentelemetry/api`, and therefore any SDK that the program registers there. Deno has one built
 * in: `OTEL_DENO=true` exports to `OTEL_EXPORTER_OTLP_ENDPOINT`. Without an SDK, a request costs two function
 * calls more.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { telemetry } from "@tiny/listener/telemetry";
 *
 * const app = new HTTPListener({ port: 8000 }).use(telemetry());
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   return ctx.response(200, `Hello, ${params.username}!`);
 * });
 * ```
 *
 * @module
 */

// The whole room is this file: it depends on the door of the web framework and OpenTelemetry's API alone.

import {
  type Attributes,
  context,
  createNoopMeter,
  type Histogram,
  metrics,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
  type Tracer,
  type UpDownCounter,
} from "@opentelemetry/api";
import { type HTTPContext, HTTPError, type HTTPListener } from "./http_context.ts";

/** The instrumentation scope of the spans and metrics. */
const SCOPE = "@tiny/listener";

/** Methods that are reported by name; others are `_OTHER`, because clients can make up any number. */
const METHODS = new Set(
  ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"],
);

/** The bucket boundaries that the conventions advise for durations, in seconds. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Query parameters whose values the conventions redact: signatures that grant access. */
const SECRETS = /(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*/g;

/**
 * A plugin that creates a span and metrics for each request.
 *
 * - The span is named `{method} {route}`, is a child of the span in the client's `traceparent`, if there is
 *   one, and lasts until the response has been sent. Handlers and hooks run within it: spans that they create
 *   are its children, even after an `await`.
 * - `http.server.request.duration` is a histogram in seconds, `http.server.active_requests` counts in-flight
 *   requests.
 * - For an upgraded connection, such as a WebSocket, all of these last until it is closed.
 *
 * A 5xx response, or one that could not be sent completely, is an error; `error.type` is the class of the
 * thrown error, or else the status.
 *
 * @returns A plugin for `app.use()`. The plugin used first is the outermost, so its span contains all others.
 */
export function telemetry(): (app: HTTPListener) => void {
  return (app) => app.aroundRequest(observe);
}

function observe(ctx: HTTPContext, next: () => void | Promise<void>): void | Promise<void> {
  const tracer = registeredTracer();
  const meters = registeredMeters();
  if (tracer === null && meters === null) return next();
  const start = performance.now();
  const common = { "http.request.method": methodOf(ctx), "url.scheme": ctx.scheme };
  meters?.activeRequests.add(1, common);
  const parent = propagation.extract(ROOT_CONTEXT, ctx.headers, GETTER);
  const span = tracer?.startSpan(
    nameOf(ctx, null),
    { kind: SpanKind.SERVER, attributes: requestAttributes(ctx, common) },
    parent,
  );
  const end = (): void => {
    const outcome = outcomeOf(ctx);
    if (span !== undefined) endSpan(span, ctx, outcome);
    meters?.activeRequests.add(-1, common);
    meters?.duration.record((performance.now() - start) / 1000, {
      ...common,
      ...outcome,
      "network.protocol.version": ctx.httpVersion,
    });
  };
  const active = span === undefined ? parent : trace.setSpan(parent, span);
  const running = context.with(active, next);
  if (running !== undefined) return running.then(end);
  end();
}

/** Fields by the names that propagators ask for; several fields of one name are joined to a list. */
const GETTER: TextMapGetter<HTTPContext["headers"]> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers].map(([name]) => name),
};

/** The tracer of the registered SDK; null if there is none. */
function registeredTracer(): Tracer | null {
  const provider = trace.getTracerProvider();
  // Before an SDK is registered, the API's own provider has no delegate.
  return provider instanceof ProxyTracerProvider
    ? provider.getDelegateTracer(SCOPE) ?? null
    : provider.getTracer(SCOPE);
}

interface Meters {
  readonly duration: Histogram;
  readonly activeRequests: UpDownCounter;
}

let provider: unknown = null;
let meters: Meters | null = null;

/** The instruments of the registered SDK; null if there is none. */
function registeredMeters(): Meters | null {
  const current = metrics.getMeterProvider();
  if (current !== provider) {
    provider = current;
    meters = makeMeters();
  }
  return meters;
}

function makeMeters(): Meters | null {
  const meter = metrics.getMeter(SCOPE);
  if (meter === createNoopMeter()) return null;
  return {
    duration: meter.createHistogram("http.server.request.duration", {
      description: "Duration of HTTP server requests.",
      unit: "s",
      advice: { explicitBucketBoundaries: BOUNDARIES },
    }),
    activeRequests: meter.createUpDownCounter("http.server.active_requests", {
      description: "Number of active HTTP server requests.",
      unit: "{request}",
    }),
  };
}

function methodOf({ method }: HTTPContext): string {
  return METHODS.has(method) ? method : "_OTHER";
}

/** `{method} {route}`, or only the method. */
function nameOf(ctx: HTTPContext, route: string | null): string {
  const method = METHODS.has(ctx.method) ? ctx.method : "HTTP";
  return route === null ? method : `${method} ${route}`;
}

/** The path of the route's pattern; null without a route, or if it has no path, such as a catch-all. */
function routeOf({ route }: HTTPContext): string | null {
  return route === null
    ? null
    : /^(?:[A-Z-]+|[<{][^>}]*[>}]):(.+)$/.exec(route.pattern)?.[1] ?? null;
}

/** What is known before the request is answered, and may be read by a sampler. */
function requestAttributes(ctx: HTTPContext, common: Attributes): Attributes {
  const { headers, target } = ctx;
  const query = target.indexOf("?");
  const attributes: Attributes = {
    ...common,
    "url.path": ctx.path,
    "network.protocol.version": ctx.httpVersion,
    ...serverOf(ctx),
    ...addressOf("client", ctx.remoteAddr),
    ...addressOf("network.peer", ctx.peerAddr),
  };
  if (common["http.request.method"] === "_OTHER") {
    attributes["http.request.method_original"] = ctx.method;
  }
  if (query >= 0) {
    attributes["url.query"] = target.slice(query + 1).replace(SECRETS, "$1$2=REDACTED");
  }
  const userAgent = headers.get("user-agent");
  if (userAgent !== null) attributes["user_agent.original"] = userAgent;
  return attributes;
}

/** The host name and port that the client requested, from Host. */
function serverOf(ctx: HTTPContext): Attributes {
  const host = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(ctx.headers.get("host") ?? "");
  if (host === null || host[1] === "") return addressOf("server", ctx.localAddr);
  const port = host[2] ?? (ctx.scheme === "https" ? 443 : 80);
  return { "server.address": host[1], "server.port": Number(port) };
}

function addressOf(whose: string, addr: Deno.Addr): Attributes {
  if (!("hostname" in addr)) return {};
  const { hostname, port } = addr;
  // The port of a client behind a proxy is unknown.
  return { [`${whose}.address`]: hostname, ...(port > 0 ? { [`${whose}.port`]: port } : {}) };
}

/** The result of a request, for its span and the metrics. */
function outcomeOf(ctx: HTTPContext): Attributes {
  const { error, status } = ctx;
  const route = routeOf(ctx);
  const outcome: Attributes = {};
  if (route !== null) outcome["http.route"] = route;
  if (status > 0) outcome["http.response.status_code"] = status;
  if (isFailure(error, status)) {
    outcome["error.type"] = error instanceof Error ? error.name : typeof error;
  } else if (status >= 500) outcome["error.type"] = String(status);
  return outcome;
}

/**
 * Whether a request with `error` has failed, whatever its `status`. An `HTTPError` becomes the response, unless
 * that has already begun: then it cuts it.
 */
function isFailure(error: unknown, status: number): boolean {
  return error instanceof HTTPError ? error.status >= 500 && status < 500 : error !== undefined;
}

function endSpan(span: Span, ctx: HTTPContext, outcome: Attributes): void {
  if (span.isRecording()) {
    const { error } = ctx;
    span.updateName(nameOf(ctx, routeOf(ctx)));
    span.setAttributes(outcome);
    if (outcome["error.type"] !== undefined) {
      if (error instanceof Error && isFailure(error, ctx.status)) span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
  }
  span.end();
}
