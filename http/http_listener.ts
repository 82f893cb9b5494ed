// HTTPListener: a Listener whose events are requests. This file takes a request to its handler; outcomes.ts
// deals with the result.

import type * as h11 from "../h11.ts";
import {
  type AnyEvent,
  type BuiltinConverters,
  type Context,
  type ContextClass,
  type Converter,
  type Event,
  type EventHook,
  type EventTask,
  type FoundRoute,
  Listener,
  type OwnMembers,
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
import { type ErrorLogEntry, printError, report } from "./error_log.ts";
import { formatAddr, log } from "./log.ts";
import {
  checkRouteOptions,
  handlerTimeoutOf,
  resolveOptions,
  type ServerOptions,
  type Settings,
} from "./options.ts";
import { type HTTPErrorHook, Outcomes } from "./outcomes.ts";
import { discardResponse } from "./response_body.ts";
import { passThrough, type ResponseHook } from "./response_hooks.ts";
import { allowed, methodsIn, route } from "./routing.ts";
import { Server } from "./server.ts";
import { shown } from "./shown.ts";
import { isResponse } from "./web_response.ts";
import {
  CANNOT_START,
  isWorker,
  onSupervisorStop,
  superviseWorkers,
  workerCommand,
} from "./workers.ts";

/**
 * Runs around a request: see {@linkcode HTTPListener.aroundRequest}.
 *
 * @param ctx The context of the request.
 * @param next Answers the request, by running the hooks that were registered later and the handler of the
 * route. It may be called once; a second call throws a `TypeError`. If it returns a promise, await it. That
 * promise never rejects: an error is in `ctx.error`.
 */
export type RequestHook<C extends HTTPContext = HTTPContext> = (
  ctx: C,
  next: () => void | Promise<void>,
) => void | Response | Promise<void | Response>;

/**
 * A web server: each request triggers the event `METHOD:path` in a context of its own. A handler answers with
 * `ctx.response()`, or by returning a `Response`. If the body is a stream, return the result of
 * `ctx.response()`, so that the event lasts until the body has been sent.
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
  #hasListened = false;
  #counters: Counters = newCounters();
  // Not of `C`: otherwise what takes an HTTPListener would accept none with a context class of its own.
  // deno-lint-ignore no-explicit-any
  #requestHooks: readonly RequestHook<any>[] = [];
  // deno-lint-ignore no-explicit-any
  #responseHooks: readonly ResponseHook<any>[] = [];
  readonly #outcomes = new Outcomes();
  /** The methods of all routes, once a request without a route needs them. */
  #methods: ReadonlySet<string> | null = null;

  /**
   * Creates a server, which listens once `start()` or `run()` is called.
   *
   * @param options See {@linkcode ServerOptions}.
   * @throws {RangeError} The value of an option is invalid.
   * @throws {TypeError} `cert` was given without `key` or vice versa, or both were given with
   * `proxyProtocol`; or the name of an option is written in another way.
   */
  constructor(options: ServerOptions = {}) {
    const settings = resolveOptions(options);
    super({ shutdownGrace: settings.shutdownGrace });
    this.#settings = settings;
    this.setContextClass(HTTPContext as ContextClass<HTTPContext> as ContextClass<C>);
    super.startup(() => this.#freeAddress());
  }

  /** Makes sure that nothing from an earlier run prevents listening. */
  async #freeAddress(): Promise<void> {
    const server = this.#server;
    // serve() is already listening.
    if (server !== null && !server.isClosing) return;
    // After a stop() by a handler that outlasts the grace period, the address is still taken until that ends.
    await server?.release();
    const { path } = this.#settings;
    if (path !== undefined) await removeLeftBehind(path);
  }

  /**
   * The TCP address that the server listens on.
   *
   * @throws {TypeError} The server is not listening, or listens on a Unix socket.
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
   * The address that the server listens on, TCP or Unix.
   *
   * @throws {TypeError} The server is not listening.
   */
  get listenAddr(): Deno.Addr {
    if (this.#server === null) {
      throw new TypeError(
        "Cannot get the address: the server is not listening; await start() first",
      );
    }
    return this.#server.addr;
  }

  /** Keeps the process alive while the server is listening, which is the default. */
  ref(): void {
    this.#server?.setRef(true);
  }

  /** Lets the process end while the server is listening. */
  unref(): void {
    this.#server?.setRef(false);
  }

  /**
   * The open connections, oldest first, each in its state when the iteration reaches it; none if the server
   * is not listening.
   */
  connections(): Iterable<ConnectionInfo> {
    return this.#server?.connections() ?? [];
  }

  /** What the server has counted since it last began to listen. */
  get counters(): Readonly<Counters> {
    return this.#counters;
  }

  /**
   * Like {@linkcode Listener.setContextClass}.
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
  ): HTTPListener<Extract<D, HTTPContext>, T> & OwnMembers<this, HTTPListener<C, T>> {
    return super.setContextClass(cls) as never;
  }

  /** Like {@linkcode Listener.addConverter}. */
  override addConverter<N extends string, V>(
    name: N,
    converter: Converter<V>,
  ): HTTPListener<C, T & { [K in N]: V }> & OwnMembers<this, HTTPListener<C, T>> {
    return super.addConverter(name, converter) as never;
  }

  /**
   * Changes options, for example from a command line; the changes take effect when the server starts next. A
   * `hostname` or `port` replaces a `path` that was set before.
   *
   * @throws The same errors as the constructor; no option is changed in that case.
   */
  configure(options: ServerOptions): void {
    this.#settings = resolveOptions(options, this.#settings);
    this.setShutdownGrace(this.#settings.shutdownGrace);
  }

  /**
   * Applies `plugin`, a function that adds something to the application; `inspector()` and `telemetry()`
   * return such functions. An application with a context class of its own is an `HTTPListener` too. To keep
   * the type of `ctx`, declare the plugin as `<C extends HTTPContext>(app: HTTPListener<C>) => void`.
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
   * @throws {TypeError} `plugin` is not a function, or has more than one parameter, as middleware does, or it
   * returns a promise, or a function, as what makes a plugin does.
   */
  use(plugin: (app: this) => void): this {
    if (typeof plugin !== "function") {
      throw new TypeError(
        `Cannot use ${shown(plugin)}: a plugin must be a function of the application`,
      );
    }
    if (plugin.length > 1) {
      throw new TypeError(
        `Cannot use a function of ${plugin.length} parameters as a plugin: ` +
          "give middleware to app.aroundRequest()",
      );
    }
    const result: unknown = plugin(this);
    if (typeof result === "function") {
      throw new TypeError(
        "Cannot use a plugin that returns a function: call it first, as in app.use(telemetry())",
      );
    }
    if (isPromise(result)) {
      // The promise is abandoned: a later failure must not be an unhandled rejection as well.
      result.then(undefined, () => {});
      throw new TypeError(
        "Cannot use a plugin that returns a promise: do asynchronous work in a callback of app.startup()",
      );
    }
    return this;
  }

  /**
   * Runs `hook` around every well-formed request, including one without a route: from before the route is
   * looked up until the response has been sent, with its body if that is a stream. The hook registered first
   * is the outermost. A hook may answer without calling `next()`, for example by returning a `Response`, or
   * throw an {@linkcode HTTPError}. To add fields to any response, use {@linkcode HTTPContext.setHeader}.
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
   * @throws {TypeError} `hook` is not a function.
   */
  aroundRequest(hook: RequestHook<C>): void {
    checkHook(hook, "aroundRequest");
    this.#requestHooks = [...this.#requestHooks, hook];
  }

  /**
   * Has `hook` see each response before it is sent, with all of its fields, whether it comes from a handler,
   * a hook, or the server itself (404, 500 ...). The hook may change the fields, or return another
   * `Response`, for example with a compressed body. Hooks run in the order of their registration, each with
   * the response of the one before. Trailers, interim responses, and responses of `upgrade()` pass through no
   * hook, nor does the response to a request that is rejected while it is parsed.
   *
   * If a hook fails, the client gets an error response that no hook sees, usually a 500. So it does if the
   * handler fails while a hook is running, or `handlerTimeout` expires, which covers hooks if the handler
   * awaits or returns what `ctx.response()` returns. Nothing else limits the time of a hook.
   *
   * While there are hooks, each response is made a web `Response` before it is sent, which takes time: to add
   * fields that do not depend on the response, use {@linkcode HTTPContext.setHeader}.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new HTTPListener();
   * app.beforeResponse(({ headers }) => {
   *   const isPage = headers.get("content-type")?.startsWith("text/html");
   *   if (!isPage || headers.has("content-security-policy")) return; // a page may have its own
   *   headers.set("Content-Security-Policy", "default-src 'self'");
   * });
   * app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "<p>Hi", { "Content-Type": "text/html" }));
   * const { headers } = await app.fetch("/");
   * assertEquals(headers.get("content-security-policy"), "default-src 'self'");
   * ```
   *
   * @throws {TypeError} `hook` is not a function.
   */
  beforeResponse(hook: ResponseHook<C>): void {
    checkHook(hook, "beforeResponse");
    this.#responseHooks = [...this.#responseHooks, hook];
  }

  /**
   * Lets `hook` create the error responses, in place of the server's plain text: for every
   * {@linkcode HTTPError} that is thrown, including those of the server itself (404 and 405 if no route
   * matches, 400 for a param without a value, 413 ...), and for a 500, or the 499 of a client that disconnected,
   * whose `cause` is the original error.
   * The first hook that returns a `Response` answers. The `headers` of the error, such as `Allow`, are added
   * to it; fields that were set for the failed body, such as `Content-Type` or `Cache-Control`, are left out.
   * The status is that of the `Response`: pass on the one of the error.
   *
   * A request that is rejected while it is parsed, for example for an invalid head, reaches no hook.
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
   * @throws {TypeError} `hook` is not a function.
   */
  onHTTPError(hook: HTTPErrorHook<C>): void {
    checkHook(hook, "onHTTPError");
    this.#outcomes.addErrorHook(hook);
  }

  /**
   * Like {@linkcode Listener.beforeEvent}. If a hook answers the request, by returning a `Response` or by
   * `ctx.response()`, neither the hooks after it nor the handler run. Any other value that it returns has no
   * effect.
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
    // The inherited method refuses a hook that is not a function.
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
   * Like {@linkcode Listener.onError}. A hook may return a `Response`. If no hook answers, the request is
   * answered as if no hook had taken the error.
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
        // The request's event, if not known yet: the one that triggered this event, or this event itself.
        const first = event.ctx.events.get(event.route)?.find(({ running }) => running);
        const exchange = exchangeOfRequest(event, first);
        exchange?.giveUp();
        return whenThere(handle(event, error), (given) => {
          if (exchange === null || !isResponse(given)) return;
          // Another hook may have answered first.
          return exchange.isResponded ? discardResponse(given) : exchange.respondWith(given);
        });
      },
    );
  }

  /**
   * Answers a request without a socket, for tests. The request passes through hooks and routes over an
   * in-memory connection, within the limits of the options, and gets the same response as over the network.
   * The listener need not be started; startup callbacks do not run, and no access log is written. Redirects
   * are not followed.
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
   * @param input A request or a URL; a path is resolved against `http://localhost`.
   * @param init As for `fetch()`. If its signal is aborted, the exchange ends as if the client had left.
   * @returns The response, once its head has arrived; a streamed body arrives as it is read.
   * @throws {TypeError} The request is invalid, the application ended the response prematurely, or the
   * handler upgraded the connection. If the signal is aborted or the request body fails, that error.
   */
  async fetch(input: Request | URL | string, init?: RequestInit): Promise<Response> {
    // Otherwise "//a/b" would be the path "/b" on the host "a".
    if (typeof input === "string" && input.startsWith("/")) input = `http://localhost${input}`;
    const request = new Request(
      input instanceof Request ? input : new URL(input, "http://localhost"),
      init,
    );
    // The stream of a Blob or a form has several chunks. For other bodies, the stream shows whether the
    // length is known; in a given Request, nothing shows how its body was made.
    const isWhole = init?.body instanceof Blob || init?.body instanceof FormData;
    const settings = this.#settings;
    // Only tests need it: a server that is started does not have to load it.
    const { memoryFetch } = await import("./memory_fetch.ts");
    return await memoryFetch({ settings, handle: (it) => this.#handle(it) }, request, isWhole);
  }

  /**
   * Binds the address and begins to accept connections.
   *
   * @throws {ListenError} The address is in use, or cannot be listened on.
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
    this.#hasListened = true;
    this.#report("info", `Tiny-listener HTTP server running on ${formatAddr(server.addr)}`);
    return {
      finished: server.serve().finally(() => {
        if (this.#server === server) this.#server = null;
      }),
      close: () => server.close(),
      abort: (reason) => server.abort(reason),
    };
  }

  /**
   * Like {@linkcode Listener.run}. If `workers` is more than one, it runs this program again in that many
   * processes, each of which reaches this call and shares the port. It replaces a worker that dies, and when
   * it is asked to stop, it asks all workers to; then this process exits, with status 0 if all of them ended
   * cleanly. Code before this call runs in each worker and in this process; startup and shutdown callbacks
   * run in the workers only.
   *
   * If nothing reads the output that the access log is written to, a pending write cannot be cancelled. The
   * process then exits, with `Deno.exitCode`, `shutdownGrace` after the listener has stopped.
   *
   * If the address cannot be listened on, it prints why and what to do in one line, and exits with status 1.
   * So it does if the first workers cannot start for another reason, such as a startup callback that fails.
   */
  override async run(): Promise<void> {
    const isAlone = this.#settings.workers === 1;
    let isUp = isAlone;
    let unwatch = (): void => {};
    try {
      if (!isAlone && !isWorker()) return await this.#supervise();
      if (!isAlone) {
        this.configure({ reusePort: true });
        log.share();
        unwatch = onSupervisorStop(() => void this.stop().catch(() => {}));
        this.startup(() => isUp = true);
      }
      await super.run();
    } catch (error) {
      const isWorkerStarting = !isAlone && isWorker() && !this.#hasListened;
      if (error instanceof ListenError) printError(`ERROR: ${error.message}`);
      else if (isWorkerStarting) this.#report("error", "Cannot start", { error });
      else throw error;
      Deno.exit(isWorkerStarting ? CANNOT_START : 1);
    } finally {
      unwatch();
    }
    const isWritten = await log.flush();
    // It was stopped while it started, and a startup callback failed, so that no shutdown callbacks have run, or
    // has not ended. A worker has to end nevertheless, whatever the program has started before.
    if (!isUp) Deno.exit();
    if (!isWritten) this.#endInTime();
  }

  /**
   * Ends the process after the grace period if the log is still stuck: a pending write that nothing reads
   * cannot be cancelled, and would keep the process alive forever.
   */
  #endInTime(): void {
    const timer = setTimeout(async () => {
      if (!await log.flush(0)) Deno.exit();
    }, this.#settings.shutdownGrace);
    // The timer itself must not keep the process alive: usually only the log does.
    Deno.unrefTimer(timer as unknown as number);
  }

  async #supervise(): Promise<never> {
    const { port, path, workers: count } = this.#settings;
    if (path !== undefined || port === 0) {
      const address = path ?? "port 0";
      throw new ListenError(
        `Cannot share ${address} among ${count} workers: use a TCP port of 1 or higher`,
      );
    }
    const address = hostAndPort(this.#settings);
    const command = workerCommand({ address });
    // Even without an access log: nothing else tells that workers die.
    const { errorLog } = this.#settings;
    const logWarning = (message: string): void =>
      report({ accessLog: true, errorLog }, { level: "warning", message, ctx: null });
    const status = await superviseWorkers({ command, count, log: logWarning });
    await log.flush();
    // What the program has started before, and would end in a shutdown callback, ends here with the process.
    Deno.exit(status);
  }

  /** Like {@linkcode Listener.reportFailure}, but reports to `errorLog` if there is one. */
  protected override reportFailure(event: AnyEvent, error: unknown): void {
    if (this.#settings.errorLog === undefined) return super.reportFailure(event, error);
    const message = `Cannot finish event "${event.route.name}" ("${event.path}")`;
    const ctx = event.ctx as C;
    // An event of the application's own has a context without a request.
    const isOfRequest = exchangeIn(ctx) !== null;
    report(this.#settings, { level: "error", message, error, ctx: isOfRequest ? ctx : null });
  }

  #report(level: ErrorLogEntry["level"], message: string, thrown: { error?: unknown } = {}): void {
    report(this.#settings, { level, message, ...thrown, ctx: null });
  }

  /** Rejects patterns that are meant for requests, but match none: "GET /" or "GET:/:id". */
  protected override checkRoute(pattern: string, path: string, options: RouteOptions): void {
    checkPattern(pattern, path, options);
    checkRouteOptions(pattern, options);
    this.#methods = null;
  }

  /** Like {@linkcode Listener.removeOnEventHook}. */
  override removeOnEventHook(...args: Parameters<Listener["removeOnEventHook"]>): boolean {
    this.#methods = null;
    return super.removeOnEventHook(...args);
  }

  /** Percent-decodes each param on its own, after the route has matched. */
  protected override decodeParam(text: string): string {
    return text.includes("%") ? decodeURIComponent(text) : text;
  }

  /** The route that handles `request`; null if there is none. */
  protected routeOf(request: h11.Request): FoundRoute | null {
    return route(this, request);
  }

  /** Answers a request; returns a promise if that takes time. */
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
    if (this.#responseHooks.length > 0) this.#filterResponse(exchange, ctx);
    const hooks = this.#requestHooks;
    return hooks.length === 0 ? this.#answer(exchange, ctx) : this.#surround(exchange, ctx, hooks);
  }

  /** Has the response pass through hooks; not in `#handle()`, where the closure would cost each request 3%. */
  #filterResponse(exchange: Exchange, ctx: C): void {
    const hooks = this.#responseHooks;
    exchange.filterResponse((response) => passThrough(hooks, response, ctx));
  }

  /** Runs `hooks`, from index `at` on, around the answer. */
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
        throw new TypeError(
          `Cannot call next() twice in a ${who()}: it would run the handler again`,
        );
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

  /** Runs the handler of a request; returns a promise if that takes time. */
  #answer(exchange: Exchange, ctx: C): void | Promise<void> {
    try {
      const found = this.routeOf(exchange.request);
      if (found === null) return this.#answerOptions(exchange);
      const { params } = found;
      exchange.route = found.route;
      const { settings } = exchange.connection.host;
      const timeout = handlerTimeoutOf(found.route, settings) || undefined;
      const task = ctx.trigger(found.route, { params, path: exchange, timeout });
      exchange.event = task.event;
      return task.status === "fulfilled"
        ? this.#outcomes.settle(exchange, task)
        : this.#settleLater(exchange, task);
    } catch (error) {
      const failure = error instanceof PathParamsError
        ? new HTTPError(400, undefined, { cause: error })
        : error;
      return this.#outcomes.fail(exchange, failure);
    }
  }

  // Closures are in methods of their own: V8 allocates what they capture whenever their function is entered.

  #answerOptions(exchange: Exchange): void | Promise<void> {
    this.#methods ??= methodsIn(this.routes.values());
    const fields = { Allow: allowed(this, this.#methods, exchange.request) };
    return exchange.respond(204, null, fields)
      ?.catch((error) => this.#outcomes.fail(exchange, error));
  }

  #settleLater(exchange: Exchange, task: EventTask): Promise<void> {
    return new Promise((resolve, reject) => {
      task.onSettled(() => {
        try {
          resolve(this.#outcomes.settle(exchange, task));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

/** What a hook that has not answered may have forgotten. */
const HOOK_ADVICE = "return or await next(), or call ctx.response()";

/** Calls `then` with `value`, at once if that is not a promise. */
function whenThere<T>(value: unknown, then: (value: unknown) => T): T | PromiseLike<T> {
  return isPromise(value) ? value.then(then) : then(value);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

/**
 * The exchange whose request triggered `event`; null for other events. `first` is the request's event if that
 * is not known yet.
 */
function exchangeOfRequest(event: AnyEvent, first: AnyEvent = event): Exchange | null {
  const exchange = exchangeIn(event.ctx);
  if (exchange === null || exchange.route !== event.route) return null;
  exchange.event ??= first;
  return exchange.event === event ? exchange : null;
}

/** @throws {TypeError} `hook` is not a function. */
function checkHook(hook: unknown, method: string): void {
  if (typeof hook === "function") return;
  throw new TypeError(`Cannot call ${method}(): the hook must be a function, got ${shown(hook)}`);
}
