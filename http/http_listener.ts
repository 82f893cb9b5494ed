// HTTPListener: a Listener whose events are requests. How one comes to its handler is here, and what is made of
// the outcome in outcomes.ts.

import type * as h11 from "../h11.ts";
import {
  type AnyEvent,
  type BuiltinConverters,
  type Context,
  type ContextClass,
  type Converter,
  type Event,
  type EventHook,
  type FoundRoute,
  Listener,
  PathParamsError,
  type RouteOptions,
  type Source,
} from "../listener.ts";
import { lineFormat } from "./access_log.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import { checkPattern } from "./check_pattern.ts";
import { bindExchange, bindNext, exchangeIn, HTTPContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { HTTPError } from "./http_error.ts";
import { hostAndPort, ListenError, removeLeftBehind } from "./listen.ts";
import { type Counters, newCounters } from "./counters.ts";
import { formatAddr, log, logError } from "./log.ts";
import {
  checkRouteOptions,
  limitOf,
  resolveOptions,
  type ServerOptions,
  type Settings,
} from "./options.ts";
import { type HTTPErrorHook, Outcomes } from "./outcomes.ts";
import { discardResponse } from "./response_body.ts";
import { allowed, route } from "./routing.ts";
import { Server } from "./server.ts";
import { shown } from "./shown.ts";
import { isResponse } from "./web_response.ts";
import {
  CANNOT_LISTEN,
  isWorker,
  onSupervisorStop,
  superviseWorkers,
  workerCommand,
} from "./workers.ts";

/**
 * Runs around a request: see {@linkcode HTTPListener.aroundRequest}.
 *
 * @param ctx The request's context.
 * @param next Has the request answered, by the hooks that were registered later and the route's handler. To be
 * called once, a second time throws a `TypeError`, and its promise, where it returns one, to be waited for. It does
 * not fail: what failed is in `ctx.error`.
 */
export type RequestHook<C extends HTTPContext = HTTPContext> = (
  ctx: C,
  next: () => void | Promise<void>,
) => void | Response | Promise<void | Response>;

/**
 * A web server: each request triggers the event `METHOD:path` in a context of its own. A handler answers by
 * `ctx.response()`, or by returning a `Response`. Return what `ctx.response()` gives where the body is a
 * stream: so the event lasts until the body was sent.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { assertEquals } from "@std/assert";
 *
 * await using app = new HTTPListener({ port: 0, accessLog: false });
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   return ctx.response(200, `Hello, ${params.username}!`);
 * });
 * app.onEvent("GET:/version", () => Response.json({ version: 1 }));
 * await app.start();
 * const response = await fetch(`http://127.0.0.1:${app.addr.port}/user/bob`);
 * assertEquals(await response.text(), "Hello, bob!");
 * ```
 */
export class HTTPListener<C extends HTTPContext = HTTPContext, T = BuiltinConverters>
  extends Listener<C, T> {
  #settings: Settings;
  #server: Server | null = null;
  #counters: Counters = newCounters();
  #requestHooks: readonly RequestHook<C>[] = [];
  readonly #outcomes = new Outcomes<C>();

  /**
   * Makes a server; it listens from `start()` or `run()` on.
   *
   * @param options See {@linkcode ServerOptions}.
   * @throws {RangeError} The value of an option is not one that it takes.
   */
  constructor(options: ServerOptions = {}) {
    const settings = resolveOptions(options);
    super({ shutdownGrace: settings.shutdownGrace });
    this.#settings = settings;
    this.setContextClass(HTTPContext as ContextClass<HTTPContext> as ContextClass<C>);
    super.startup(() => this.#freeAddress());
  }

  /** Sees to it that nothing of an earlier run is in the way of listening. */
  async #freeAddress(): Promise<void> {
    const server = this.#server;
    // serve() listens already.
    if (server !== null && !server.isClosing) return;
    // A stop() that a handler called leaves it to the end of the handler where its grace was too short.
    await server?.release();
    const { path } = this.#settings;
    if (path !== undefined) await removeLeftBehind(path);
  }

  /**
   * The address the server listens on, over TCP.
   *
   * @throws {TypeError} It does not listen, or on a Unix socket.
   */
  get addr(): Deno.NetAddr {
    const addr = this.listenAddr;
    if (addr.transport !== "tcp") {
      throw new TypeError(
        "Cannot get the address: the server listens on a Unix socket; use listenAddr",
      );
    }
    return addr;
  }

  /**
   * The address the server listens on, TCP or Unix.
   *
   * @throws {TypeError} It does not listen.
   */
  get listenAddr(): Deno.Addr {
    if (this.#server === null) {
      throw new TypeError(
        "Cannot get the address: the server does not listen; await start() before",
      );
    }
    return this.#server.addr;
  }

  /** Keeps the process alive while the server listens, which is how it begins. */
  ref(): void {
    this.#server?.setRef(true);
  }

  /** Lets the process end while the server listens. */
  unref(): void {
    this.#server?.setRef(false);
  }

  /**
   * The connections that are open, oldest first, each as it is when the iteration comes to it; none where
   * the server does not listen.
   */
  connections(): Iterable<ConnectionInfo> {
    return this.#server?.connections() ?? [];
  }

  /** What the server has counted since it began to listen the last time. */
  get counters(): Readonly<Counters> {
    return this.#counters;
  }

  /**
   * As {@linkcode Listener.setContextClass}.
   *
   * ```ts
   * import { HTTPContext, HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * class AppContext extends HTTPContext {
   *   user = "nobody";
   * }
   *
   * const app = new HTTPListener().setContextClass(AppContext);
   * app.beforeEvent(({ ctx }) => {
   *   ctx.user = ctx.headers.get("x-user") ?? ctx.user;
   * });
   * app.onEvent("GET:/", ({ ctx }) => ctx.response(200, ctx.user));
   * assertEquals(await (await app.fetch("/")).text(), "nobody");
   * ```
   */
  override setContextClass<D extends Context = C>(
    cls: ContextClass<D & C>,
  ): HTTPListener<Extract<D, HTTPContext>, T> & this {
    // D is bound by C in the parameter alone: else a function of any Listener would not take this one. Of a class
    // that is C already nothing is left to infer D from, so it has a default.
    return super.setContextClass(cls) as unknown as
      & HTTPListener<Extract<D, HTTPContext>, T>
      & this;
  }

  /** As {@linkcode Listener.addConverter}. */
  override addConverter<N extends string, V>(
    name: N,
    converter: Converter<V>,
  ): HTTPListener<C, T & { [K in N]: V }> & this {
    return super.addConverter(name, converter) as unknown as
      & HTTPListener<C, T & { [K in N]: V }>
      & this;
  }

  /**
   * Sets options anew, for a command line: of effect when the server starts next. A `hostname` or `port` takes the place
   * of a `path` that was set before.
   */
  configure(options: ServerOptions): void {
    this.#settings = resolveOptions(options, this.#settings);
    this.setShutdownGrace(this.#settings.shutdownGrace);
  }

  /**
   * Adds to the application what `plugin` adds: a function of the application, as `inspector()` and
   * `telemetry()` make it. Write `HTTPListener<any>` where applications may have contexts of their own; or
   * `<C extends HTTPContext>(app: HTTPListener<C>)`, by which `ctx` keeps its type.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const health = (path: string) => (app: HTTPListener) => {
   *   app.onEvent(`GET:${path}`, ({ ctx }) => ctx.response(200, "up"));
   * };
   * const app = new HTTPListener().use(health("/healthz"));
   * ```
   *
   * @throws {TypeError} `plugin` makes a plugin, and was not called; or it is asynchronous.
   */
  use(plugin: (app: this) => void): this {
    const result: unknown = plugin(this);
    if (typeof result === "function") {
      throw new TypeError(
        "Cannot use a plugin that returns a function: call it first, as in app.use(telemetry())",
      );
    }
    if (isPromise(result)) {
      // It is given up: what it may fail with later is no unhandled rejection besides.
      result.then(undefined, () => {});
      throw new TypeError(
        "Cannot use a plugin that returns a promise: have it wait in a callback of app.startup()",
      );
    }
    return this;
  }

  /**
   * Runs `hook` around each request that is well-formed, also around one without a route: from before a
   * route is looked for until the response was sent, and a stream with it. The first one registered is the
   * outermost. It may answer by itself, without `next()`, also by returning a `Response`, or throw an
   * {@linkcode HTTPError}. Fields are added to whatever is answered by {@linkcode HTTPContext.setHeader}.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const app = new HTTPListener();
   * app.aroundRequest(async (ctx, next) => {
   *   const start = performance.now();
   *   await next();
   *   console.log(ctx.route?.name, ctx.status, performance.now() - start);
   * });
   * ```
   *
   * @throws {TypeError} `hook` is no function.
   */
  aroundRequest(hook: RequestHook<C>): void {
    checkHook(hook, "aroundRequest");
    this.#requestHooks = [...this.#requestHooks, hook];
  }

  /**
   * Has `hook` make the responses that tell an error, in place of the plain text that they are: for an
   * {@linkcode HTTPError} that was thrown, also by the server itself (404 and 405 where there is no route, 400 for
   * a param without a value, 413 ...), and for a 500, whose `cause` is what failed. Of several the first one
   * answers that returns a `Response`. What the error's own `headers` say is added, as `Allow`; fields that were
   * set for the body that failed, as `Content-Type` or `Cache-Control`, are left out.
   *
   * A request that is refused before it is one, as its head is not valid, comes to no hook.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new HTTPListener();
   * app.onHTTPError(({ status, message }) => Response.json({ message }, { status }));
   * const response = await app.fetch("/nowhere");
   * assertEquals([response.status, await response.json()], [404, { message: "Not Found" }]);
   * ```
   *
   * @throws {TypeError} `hook` is no function.
   */
  onHTTPError(hook: HTTPErrorHook<C>): void {
    checkHook(hook, "onHTTPError");
    this.#outcomes.addErrorHook(hook);
  }

  /**
   * As {@linkcode Listener.beforeEvent}. Where a hook answers the request, by returning a `Response` or by
   * `ctx.response()`, neither the hooks that follow nor the handler are run.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new HTTPListener();
   * app.beforeEvent(({ ctx }) => {
   *   if (!ctx.headers.has("authorization")) return new Response("Who are you?", { status: 401 });
   * });
   * app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
   * assertEquals((await app.fetch("/")).status, 401);
   * ```
   */
  override beforeEvent(hook: EventHook<C>): void {
    // It tells what is wrong with a hook that is none.
    if (typeof hook !== "function") return super.beforeEvent(hook);
    super.beforeEvent((event) => {
      const exchange = exchangeOfRequest(event);
      return whenThere(hook(event), (given) => {
        if (exchange === null || event.isDone) return;
        if (isResponse(given)) event.done(given);
        else if (exchange.isResponded) event.done();
      });
    });
  }

  /**
   * As {@linkcode Listener.onError}. A hook may return a `Response`; where none answers, the error is answered as one
   * that no hook took.
   */
  override onError<E>(
    // deno-lint-ignore no-explicit-any
    ErrorClass: abstract new (...args: any[]) => E,
    handle: (event: Event<C>, error: E) => unknown,
  ): void {
    if (typeof handle !== "function") return super.onError(ErrorClass, handle);
    super.onError(
      ErrorClass,
      (event: Event<C>, error: E) => {
        // Where the request's event is not known yet, it is the one that has triggered this one, or this one itself.
        const first = event.ctx.events.get(event.route)?.find(({ running }) => running);
        const exchange = exchangeOfRequest(event, first);
        exchange?.giveUp();
        return whenThere(handle(event, error), (given) => {
          if (exchange === null || !isResponse(given)) return;
          // Another hook may have been first.
          return exchange.isResponded ? discardResponse(given) : exchange.respondWith(given);
        });
      },
    );
  }

  /**
   * Has a request answered without a socket, for tests: it goes through hooks and routes over a connection in
   * memory, with the limits of the options, and is answered as a client on the network is. The listener
   * need not be started; startup callbacks do not run, and no access log is written. A redirect is not followed.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new HTTPListener();
   * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
   *   return ctx.response(200, `Hello, ${params.username}!`);
   * });
   * const response = await app.fetch("/user/bob");
   * assertEquals(await response.text(), "Hello, bob!");
   * ```
   *
   * @param input A request, or a URL; a path stands for one of `http://localhost`.
   * @param init As of `fetch()`; its signal ends the exchange as a client does that leaves.
   * @returns The response, when its head has come; a body that streams comes as it is read.
   * @throws {TypeError} The request is not valid, the application ended the response before its end, or the
   * handler upgraded the connection. Else the reason of the signal, or what the request's body failed with.
   */
  async fetch(input: Request | URL | string, init?: RequestInit): Promise<Response> {
    // By itself "//a/b" would be the path "/b" of the host "a".
    if (typeof input === "string" && input.startsWith("/")) input = `http://localhost${input}`;
    const request = new Request(
      input instanceof Request ? input : new URL(input, "http://localhost"),
      init,
    );
    const settings = this.#settings;
    // For tests: a server that is started has no need to load it.
    const { memoryFetch } = await import("./memory_fetch.ts");
    return await memoryFetch({ settings, handle: (it) => this.#handle(it) }, request);
  }

  /**
   * Binds the address and begins to accept connections.
   *
   * @throws {ListenError} The address is in use, or may not be listened on.
   */
  override listen(): Source {
    const settings = this.#settings;
    const lines = lineFormat(settings.accessLog);
    const isTimed = lines?.isTimed === true;
    const server = new Server({
      settings,
      handle: (exchange) => {
        if (isTimed) exchange.startedAt = performance.now();
        return this.#handle(exchange);
      },
      logAnswer: (exchange) => lines?.add(log, exchange),
    });
    this.#server = server;
    this.#counters = server.counters;
    if (settings.accessLog !== false) {
      log.line(`INFO: Tiny-listener HTTP server running on ${formatAddr(server.addr)}`);
    }
    return {
      finished: server.serve().finally(() => {
        if (this.#server === server) this.#server = null;
      }),
      close: () => server.close(),
      abort: (reason) => server.abort(reason),
    };
  }

  /**
   * As {@linkcode Listener.run}. With more than one of `workers` it runs this program again in so many
   * processes, which all come to this call and share the port; it starts another for one that dies, and
   * asks all to end when it is asked itself; then this process ends, with status 0 if all of them ended
   * cleanly. What the program does before runs in each of them and here; startup and shutdown callbacks
   * run in the workers.
   *
   * Where nobody reads the access log, a write that waits for that cannot be taken back: when the listener has
   * stopped, the process ends after `shutdownGrace` all the same, with `Deno.exitCode`.
   *
   * Where the address cannot be listened on it prints one line that says why and what to do, and ends the
   * process with status 1.
   */
  override async run(): Promise<void> {
    const isAlone = this.#settings.workers === 1;
    let unwatch = (): void => {};
    try {
      if (!isAlone && !isWorker()) return await this.#supervise();
      if (!isAlone) {
        this.configure({ reusePort: true });
        unwatch = onSupervisorStop(() => void this.stop().catch(() => {}));
      }
      await super.run();
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      logError(`ERROR: ${error.message}`);
      Deno.exit(isWorker() ? CANNOT_LISTEN : 1);
    } finally {
      unwatch();
    }
    if (!await log.flush()) this.#endInTime();
  }

  /**
   * Ends the process after the grace if the log is still stuck then: the write that waits for a reader who
   * reads nothing cannot be taken back, and would keep the process alive for ever.
   */
  #endInTime(): void {
    const timer = setTimeout(async () => {
      if (!await log.flush(0)) Deno.exit();
    }, this.#settings.shutdownGrace);
    // What is left is kept alive by nothing else, mostly.
    Deno.unrefTimer(timer as unknown as number);
  }

  async #supervise(): Promise<never> {
    const { port, path, workers: count } = this.#settings;
    if (path !== undefined || port === 0) {
      const address = path ?? "port 0";
      throw new ListenError(
        `Cannot share ${address} among ${count} workers: give a port from 1 up`,
      );
    }
    const address = hostAndPort(this.#settings);
    const command = workerCommand({ address });
    const status = await superviseWorkers({ command, count, log: (line) => log.line(line) });
    await log.flush();
    // What the program has begun before, and would end in a shutdown callback, ends with it here.
    Deno.exit(status);
  }

  /** Refuses what is meant for requests, and matches none: "GET /" or "GET:/:id". */
  protected override checkRoute(pattern: string, path: string, options: RouteOptions): void {
    checkPattern(pattern, path);
    checkRouteOptions(pattern, options);
  }

  /** Params are percent-decoded one by one, after the route has matched. */
  protected override decodeParam(text: string): string {
    return text.includes("%") ? decodeURIComponent(text) : text;
  }

  /** The patterns that are registered. */
  *patterns(): Generator<string> {
    for (const { pattern } of this.routes.values()) yield pattern;
  }

  /** The route that takes `request`; null where there is none. */
  protected routeOf(request: h11.Request): FoundRoute | null {
    return route(this, request);
  }

  /** Has a request answered; returns a promise where that takes time. */
  #handle(exchange: Exchange): void | Promise<void> {
    let ctx: C;
    bindNext(exchange);
    try {
      ctx = this.newCtx();
    } catch (error) {
      return this.#outcomes.fail(exchange, error);
    } finally {
      bindNext(null);
    }
    bindExchange(ctx, exchange);
    const hooks = this.#requestHooks;
    return hooks.length === 0 ? this.#answer(exchange, ctx) : this.#surround(exchange, ctx, hooks);
  }

  /** Runs `hooks` around the answer, from number `at` on. */
  #surround(
    exchange: Exchange,
    ctx: C,
    hooks: readonly RequestHook<C>[],
    at = 0,
  ): void | Promise<void> {
    if (at === hooks.length) return this.#answer(exchange, ctx);
    const who = (): string => `hook of aroundRequest()${hooks[at].name && ` "${hooks[at].name}"`}`;
    let isCalled = false;
    const next = (): void | Promise<void> => {
      if (isCalled) {
        throw new TypeError(`Cannot call next() twice in a ${who()}: it runs the handler`);
      }
      isCalled = true;
      return this.#surround(exchange, ctx, hooks, at + 1);
    };
    try {
      const running = hooks[at](ctx, next);
      if (running !== undefined || !exchange.isAnswered) {
        return Promise.resolve(running).then(
          (result) => this.#outcomes.conclude(exchange, result, who, HOOK_ADVICE),
          (error) => this.#outcomes.fail(exchange, error),
        );
      }
    } catch (error) {
      return this.#outcomes.fail(exchange, error);
    }
  }

  /** Runs the handler of a request; returns a promise where that takes time. */
  #answer(exchange: Exchange, ctx: C): void | Promise<void> {
    try {
      const found = this.routeOf(exchange.request);
      if (found === null) {
        exchange.respond(204, null, { Allow: allowed(this, exchange.request) });
        return;
      }
      const { params } = found;
      exchange.route = found.route;
      const { settings } = exchange.connection.host;
      const timeout = limitOf(found.route, settings, "handlerTimeout") || undefined;
      const task = ctx.trigger(found.route, { params, path: exchange, timeout });
      exchange.event = task.event;
      if (task.status === "fulfilled") return this.#outcomes.settle(exchange, task);
      return new Promise((resolve, reject) => {
        task.onSettled(() => {
          try {
            resolve(this.#outcomes.settle(exchange, task));
          } catch (error) {
            reject(error);
          }
        });
      });
    } catch (error) {
      const failure = error instanceof PathParamsError
        ? new HTTPError(400, undefined, { cause: error })
        : error;
      return this.#outcomes.fail(exchange, failure);
    }
  }
}

/** What a hook that has not answered may have forgotten. */
const HOOK_ADVICE = "return or await next(), or call ctx.response()";

/** Calls `then` with `value`, at once where that is no promise. */
function whenThere<T>(value: unknown, then: (value: unknown) => T): T | PromiseLike<T> {
  return isPromise(value) ? value.then(then) : then(value);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

/** The exchange whose request triggered an event, the `first` one of its route; null for other events. */
function exchangeOfRequest(event: AnyEvent, first: AnyEvent = event): Exchange | null {
  const exchange = exchangeIn(event.ctx);
  if (exchange === null || exchange.route !== event.route) return null;
  exchange.event ??= first;
  return exchange.event === event ? exchange : null;
}

/** @throws {TypeError} `hook` is no function. */
function checkHook(hook: unknown, method: string): void {
  if (typeof hook === "function") return;
  throw new TypeError(`Cannot call ${method}(): the hook must be a function, not ${shown(hook)}`);
}
