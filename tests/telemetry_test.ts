import { assert, assertEquals } from "@std/assert";
import { HTTPListener } from "../http_context.ts";
import { telemetry } from "../telemetry.ts";
import { serving } from "./http/serving.ts";
import { test } from "./needs.ts";

// The numbers of OTLP's enums.
const SERVER = 2;
const UNSET = 0;
const ERROR = 2;

const DURATION = "http.server.request.duration";
const ACTIVE = "http.server.active_requests";

/** An attribute as OTLP's JSON has it: `{ stringValue: "a" }`, `{ intValue: "1" }`. */
interface Attribute {
  key: string;
  value: Record<string, unknown>;
}

interface Span {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  attributes: Attribute[];
  status: { code?: number };
  events: { name: string; attributes: Attribute[] }[];
}

interface Metric {
  name: string;
  unit: string;
  histogram?: { dataPoints: Point[] };
  sum?: { dataPoints: Point[]; isMonotonic?: boolean };
}

/** What comes in one export; of one of the signals. */
interface Exported {
  resourceSpans?: { scopeSpans: { spans: Span[] }[] }[];
  resourceMetrics?: { scopeMetrics: { metrics: Metric[] }[] }[];
}

interface Point {
  attributes: Attribute[];
  count: number;
  sum: number;
  explicitBounds: number[];
  asDouble: number;
}

const attributesOf = ({ attributes }: { attributes: Attribute[] }): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => {
      const [[kind, it]] = Object.entries(value);
      return [key, kind === "intValue" ? Number(it) : it];
    }),
  );

/** What Deno exports of telemetry_program.ts, over OTLP/HTTP. */
async function exported(): Promise<{ spans: Span[]; metrics: Metric[]; stdout: string }> {
  const spans: Span[] = [];
  const metrics = new Map<string, Metric>();
  await using collector = await serving((app) => {
    app.onEvent("POST:/v1/<signal>", async ({ ctx }) => {
      const { resourceSpans = [], resourceMetrics = [] } = await ctx.json() as Exported;
      for (const { scopeSpans } of resourceSpans) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      for (const { scopeMetrics } of resourceMetrics) {
        for (const scope of scopeMetrics) {
          for (const metric of scope.metrics) metrics.set(metric.name, metric);
        }
      }
      ctx.response(200, "{}", { "Content-Type": "application/json" });
    });
  });
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", "--allow-env", "tests/telemetry_program.ts"],
    cwd: new URL("..", import.meta.url),
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_DENO_CONSOLE: "ignore",
    },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return { spans, metrics: [...metrics.values()], stdout: new TextDecoder().decode(stdout) };
}

test(
  "telemetry() makes spans and metrics that Deno exports",
  { permissions: ["net", "run", "read"] },
  async (t) => {
    const { spans, metrics, stdout } = await exported();
    const requests = spans.filter(({ kind }) => kind === SERVER);
    const named = (name: string): Span => {
      const found = requests.filter((span) => span.name === name);
      assertEquals(found.length, 1, `spans called "${name}" in ${spans.map((it) => it.name)}`);
      return found[0];
    };

    await t.step("a span tells the request and its answer, and is a child of traceparent", () => {
      const span = named("GET /user/<name>");
      assertEquals(span.traceId, "0af7651916cd43dd8448eb211c80319c");
      assertEquals(span.parentSpanId, "b7ad6b7169203331");
      const { "client.port": clientPort, "network.peer.port": peerPort, ...attributes } =
        attributesOf(span);
      assert(Number(clientPort) > 0 && clientPort === peerPort);
      assertEquals(attributes, {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/user/bob",
        "url.query": "a=1&sig=REDACTED",
        "network.protocol.version": "1.1",
        "server.address": "a.example",
        "server.port": 81,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "user_agent.original": "test/1",
        "http.route": "/user/<name>",
        "http.response.status_code": 200,
      });
      assertEquals(span.status.code ?? 0, UNSET);
    });

    await t.step("what a handler makes is within the request's span, after an await too", () => {
      const parent = named("GET /user/<name>");
      const child = spans.find(({ name }) => name === "load user")!;
      assertEquals([child.traceId, child.parentSpanId], [parent.traceId, parent.spanId]);
      assertEquals(stdout.split("\n").slice(0, 3), ["hello", "", "in"]);
    });

    await t.step("a traceparent that is not valid begins a trace of its own", () => {
      const span = named("GET /now");
      assertEquals(span.parentSpanId ?? "", "");
      assertEquals(attributesOf(named("HEAD /now"))["http.route"], "/now");
    });

    const OUTCOMES: [name: string, status: number, error: string | undefined, code: number][] = [
      ["GET /throws", 500, "RangeError", ERROR],
      ["GET /503", 503, "503", ERROR],
      // It has cut the response.
      ["GET /cut", 200, "HTTPError", ERROR],
      // A pattern for everything is no route to tell.
      ["GET", 404, undefined, UNSET],
      ["HTTP", 404, undefined, UNSET],
    ];
    for (const [name, status, error, code] of OUTCOMES) {
      await t.step(`${name} with ${status} has error.type ${error}`, () => {
        const span = named(name);
        const attributes = attributesOf(span);
        assertEquals(attributes["http.response.status_code"], status);
        assertEquals(attributes["error.type"], error);
        assertEquals(span.status.code ?? 0, code);
      });
    }

    await t.step("what was thrown is an event of the span", () => {
      const [{ name, attributes }] = named("GET /throws").events;
      assertEquals(name, "exception");
      assertEquals(attributesOf({ attributes })["exception.message"], "broken");
    });

    await t.step("a method that is not known is _OTHER", () => {
      const attributes = attributesOf(named("HTTP"));
      assertEquals(attributes["http.request.method"], "_OTHER");
      assertEquals(attributes["http.request.method_original"], "PURGE");
    });

    await t.step("http.server.request.duration counts each request, in seconds", () => {
      const { unit, histogram } = metrics.find(({ name }) => name === DURATION)!;
      assertEquals(unit, "s");
      const points = histogram!.dataPoints;
      assertEquals(points.reduce((sum, { count }) => sum + Number(count), 0), 8);
      const point = points.find((it) => attributesOf(it)["http.route"] === "/user/<name>")!;
      assertEquals(attributesOf(point), {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/user/<name>",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
      });
      assert(point.sum >= 0.001 && point.sum < 10);
      assertEquals(point.explicitBounds.slice(0, 2), [0.005, 0.01]);
    });

    await t.step("http.server.active_requests comes back to none", () => {
      const { unit, sum } = metrics.find(({ name }) => name === ACTIVE)!;
      assertEquals(unit, "{request}");
      assertEquals(sum!.isMonotonic ?? false, false);
      assertEquals(sum!.dataPoints.map((it) => it.asDouble), [0, 0, 0]);
    });
  },
);

test("telemetry() adds nothing to a request where no SDK is registered", {}, async () => {
  const app = new HTTPListener();
  let running: unknown = "not called";
  app.aroundRequest((_, next) => {
    running = next();
    return running as void;
  });
  app.use(telemetry());
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "ok"));
  assertEquals(await (await app.fetch("/")).text(), "ok");
  // Not even a promise.
  assertEquals(running, undefined);
});
