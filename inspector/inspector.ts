// inspector(): the plugin. It records by hooks, and serves a page and a stream of what is new.

import {
  type ConnectionInfo,
  formatAddr,
  type HTTPContext,
  type HTTPListener,
} from "../http_context.ts";
import type { AnyEvent, Route } from "../listener.ts";
import { LOCAL_NAMES, refusal } from "./access.ts";
import { PAGE } from "./page.ts";
import { Recorder } from "./recorder.ts";

/** Milliseconds between two messages to a viewer. */
const INTERVAL = 500;
/** Connections that are shown. */
const MAX_CONNECTIONS = 100;
/** Characters of a target that are shown. */
const MAX_TARGET = 200;

/** Options of {@linkcode inspector}. */
export interface InspectorOptions {
  /** The path of the page; `/_inspect` if not given. */
  path?: string | undefined;
  /**
   * Says who may look, in place of the rule that only requests of this machine may, which did not come through
   * a proxy. It should ask for credentials: the page shows targets with their queries, and stacks of errors.
   */
  allow?: ((ctx: HTTPContext) => boolean | Promise<boolean>) | undefined;
  /**
   * Names and addresses, without a port, that the page may be asked for by; `localhost`, `127.0.0.1` and
   * `[::1]` if not given. Others are refused, as a page of another site may have made its name point here.
   */
  hosts?: string[] | undefined;
}

/**
 * A plugin that serves a page which shows live what the application does: routes with counts and latencies, open
 * connections and their states, contexts and their events as a timeline, errors.
 *
 * Only this machine may look, where `allow` says nothing else; others get 403. Its own requests are not among its
 * figures. A proxy on this machine that adds no field of its own, and writes Host anew, cannot be told from a browser
 * here: keep the path out of what it hands on, or give `allow`. It keeps the last 200 contexts and 50 errors in memory. Use it before a route that catches all.
 *
 * @returns What `app.use()` takes.
 * @throws {TypeError} `path` is not one that a request can have.
 */
export function inspector(
  options: InspectorOptions = {},
  // deno-lint-ignore no-explicit-any -- an application with contexts of whatever class
): (app: HTTPListener<any>) => void {
  const { path = "/_inspect", allow = null } = options;
  const hosts = (options.hosts ?? LOCAL_NAMES).map((name) => name.toLowerCase());
  if (!/^(\/[\w.~-]+)+$/.test(path)) {
    throw new TypeError(
      `Cannot serve the inspector at "${path}": the path must be like "/_inspect", without params`,
    );
  }
  return (app) => {
    const inspection = new Inspection(app, path);
    const guarded = (show: (ctx: HTTPContext, signal: AbortSignal) => unknown) => {
      return async (
        { ctx, signal }: { ctx: HTTPContext; signal: AbortSignal },
      ): Promise<unknown> => {
        const why = await refusal(ctx, { allow, hosts });
        if (why !== null) return ctx.response(403, why, HEADERS);
        return await show(ctx, signal);
      };
    };
    const page = app.onEvent(`GET:${path}`, { name: "inspector" }, guarded(showPage));
    const events = app.onEvent(
      `GET:${path}/events`,
      { name: "inspector events" },
      guarded((ctx, signal) => {
        const headers = { ...HEADERS, "Content-Type": "text/event-stream" };
        return ctx.response(200, inspection.messages(signal), headers);
      }),
    );
    inspection.leaveOut(page, events);
  };
}

const HEADERS = {
  "Cache-Control": "no-store",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/** The page runs its own script and nothing else, and talks to nobody but the server it came from. */
function showPage(ctx: HTTPContext): void | Promise<void> {
  const nonce = crypto.randomUUID();
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; ` +
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  return ctx.response(200, PAGE.replaceAll("NONCE", nonce), {
    ...HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": policy,
  });
}

/** What is recorded of one application. */
class Inspection {
  // deno-lint-ignore no-explicit-any -- an application with contexts of whatever class
  readonly #app: HTTPListener<any>;
  readonly #path: string;
  readonly #recorder = new Recorder();
  readonly #own = new Set<Route>();
  /** Contexts of requests for the page, in which hooks of the application may trigger events. */
  readonly #ownCtxs = new WeakSet<HTTPContext>();
  readonly #since = performance.now();
  #viewers = 0;

  // deno-lint-ignore no-explicit-any -- an application with contexts of whatever class
  constructor(app: HTTPListener<any>, path: string) {
    this.#app = app;
    this.#path = path;
    const recorder = this.#recorder;
    app.aroundRequest((ctx: HTTPContext, next) => {
      if (this.#isOwn(ctx.path)) {
        this.#ownCtxs.add(ctx);
        return next();
      }
      recorder.requestBegins(ctx);
      const running = next();
      if (running !== undefined) return running.then(() => recorder.requestEnds(ctx));
      recorder.requestEnds(ctx);
    });
    app.beforeEvent((event: AnyEvent) => {
      if (!this.#ownCtxs.has(event.ctx)) recorder.eventBegins(event);
    });
    app.finallyEvent((event: AnyEvent) => {
      if (!this.#ownCtxs.has(event.ctx)) recorder.eventEnds(event);
    });
  }

  /** Tells nothing of these routes. */
  leaveOut(...routes: Route[]): void {
    for (const route of routes) this.#own.add(route);
  }

  #isOwn(target: string | null): boolean {
    const path = target?.replace(/\?.*/s, "");
    return path === this.#path || path === `${this.#path}/events`;
  }

  /** Server-sent events: all there is, and from then on what is new. */
  async *messages(signal: AbortSignal): AsyncGenerator<string> {
    let revision = 0;
    this.#viewers++;
    try {
      yield "retry: 1000\n\n";
      while (!signal.aborted) {
        const changes = this.#recorder.since(revision, this.#routes());
        revision = changes.revision;
        yield `data: ${JSON.stringify({ ...this.#now(), ...changes })}\n\n`;
        await delay(INTERVAL, signal);
      }
    } finally {
      this.#viewers--;
    }
  }

  *#routes(): Generator<Route> {
    for (const route of this.#app.routes.values()) if (!this.#own.has(route)) yield route;
  }

  /** What is as it is now. */
  #now(): Record<string, unknown> {
    const { counters, ctxs } = this.#app;
    const { requests, failures, latencies } = this.#recorder;
    const connections: unknown[] = [];
    let open = 0;
    for (const info of this.#app.connections()) {
      const isOwn = this.#isOwn(info.target);
      if (!isOwn) open++;
      if (connections.length < MAX_CONNECTIONS) connections.push(shown(info, isOwn));
    }
    const refused = Object.values(counters.refused) as number[];
    return {
      time: Date.now(),
      uptime: performance.now() - this.#since,
      requests,
      failures,
      refused: refused.reduce((sum, count) => sum + count, 0),
      p50: latencies.quantile(0.5),
      p99: latencies.quantile(0.99),
      // Those of viewers are none of the application's.
      ctxs: Math.max(0, ctxs.size - this.#viewers),
      memory: Deno.memoryUsage().rss,
      open,
      connections,
    };
  }
}

/** A connection as the page shows it. */
function shown(info: ConnectionInfo, isOwn: boolean): unknown {
  const { remoteAddr, state, protocol, requests, age, idle, method, target } = info;
  const address = formatAddr(remoteAddr);
  const request = method === null ? null : `${method} ${target!.slice(0, MAX_TARGET)}`;
  return { address, state, protocol, requests, age, idle, request, isOwn };
}

/** Waits, or until the signal is aborted. */
function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
