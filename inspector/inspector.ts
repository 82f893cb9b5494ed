// inspector(): the plugin. It records through hooks, and serves a page and a stream of changes.

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
/** The maximum number of connections that are shown. */
const MAX_CONNECTIONS = 100;
/** The maximum number of characters of a target that are shown. */
const MAX_TARGET = 200;

/** Options of {@linkcode inspector}. */
export interface InspectorOptions {
  /** The path of the page; `/_inspect` by default. */
  path?: string | undefined;
  /**
   * Decides who may view the page, in place of the default rule: only requests from this machine that did not
   * come through a proxy. It should require credentials, because the page shows targets with their queries,
   * and stacks of errors.
   */
  allow?: ((ctx: HTTPContext) => boolean | Promise<boolean>) | undefined;
  /**
   * The host names and addresses, without a port, that the page may be requested under; `localhost`,
   * `127.0.0.1` and `[::1]` by default. Others are refused, because another site may have made its name
   * resolve to this machine.
   */
  hosts?: string[] | undefined;
}

/**
 * A plugin that serves a page with a live view of the application: routes with counts and latencies, open
 * connections and their states, contexts and their events on a timeline, and errors.
 *
 * Unless `allow` decides otherwise, only this machine may view the page; others get 403. The inspector's own
 * requests are not counted. A proxy on this machine that adds none of the usual fields and rewrites `Host`
 * cannot be told from a local browser: do not let it forward this path, or give `allow`. The last 200
 * contexts and 50 errors are kept in memory. Use the plugin before you add a route that matches everything.
 *
 * @returns A plugin for `app.use()`.
 * @throws {TypeError} `path` is not a plain path like `/_inspect`.
 */
export function inspector(
  options: InspectorOptions = {},
): (app: HTTPListener) => void {
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
    app.onEvent(`GET:${path}`, { name: "inspector" }, guarded(showPage));
    app.onEvent(
      `GET:${path}/events`,
      { name: "inspector events" },
      guarded((ctx, signal) => {
        const headers = { ...HEADERS, "Content-Type": "text/event-stream" };
        return ctx.response(200, inspection.messages(signal), headers);
      }),
    );
  };
}

const HEADERS = {
  "Cache-Control": "no-store",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/** The page runs only its own script, and connects only to the server that it came from. */
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

/** What is recorded about one application. */
class Inspection {
  readonly #app: HTTPListener;
  readonly #path: string;
  readonly #recorder = new Recorder();
  /** Contexts of requests for the page; hooks of the application may trigger events in them. */
  readonly #ownCtxs = new WeakSet<HTTPContext>();
  readonly #since = performance.now();
  #viewers = 0;

  constructor(app: HTTPListener, path: string) {
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

  /** Whether a target is that of the page or of its stream. */
  #isOwn(target: string | null): boolean {
    const path = target?.replace(/\?.*/s, "");
    return path === this.#path || path === `${this.#path}/events`;
  }

  /** Server-sent events: first everything, then what has changed. */
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
    for (const route of this.#app.routes.values()) {
      if (!this.#isOwn(route.pattern.replace("GET:", ""))) yield route;
    }
  }

  /** The current state. */
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
      // The contexts of viewers do not count as the application's.
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

/** Waits, at most until the signal is aborted. */
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
