// Listener: turns whatever it listens to into events, and events run handlers.

import { type ContextClass, type ContextOptions, idOf, type TriggerOptions } from "./context.ts";
import { Context } from "./context.ts";
import { Contexts } from "./contexts.ts";
import { compileParts } from "./compile_path.ts";
import {
  BUILTIN_CONVERTERS,
  type Converter,
  makeConverter,
  type NamedConverter,
  textOf,
} from "./converters.ts";
import { type AnyEvent, Dispatcher, type EventHook, setDispatcherOf } from "./dispatcher.ts";
import * as errors from "./errors.ts";
import type { Event } from "./event.ts";
import type { EventTask } from "./event_task.ts";
import { Lifecycle, type LifecycleHook, type Listening } from "./lifecycle.ts";
import type { BuiltinConverters, PathParams } from "./pattern.ts";
import { type AnyHandler, type Handler, readArguments, Route, type RouteOptions } from "./route.ts";
import { Router } from "./router.ts";
import { type Candidate, closest } from "./suggest.ts";
import { checkTimeout } from "./time_limit.ts";

/** Options of a {@linkcode Listener}. */
export interface ListenerOptions {
  /**
   * The grace period in milliseconds for events in flight to finish when the listener stops; 10,000 by
   * default. With `Infinity`, they may take as long as they need.
   */
  shutdownGrace?: number | undefined;
}

/** A route that matches a path, and the params of the path. */
export interface FoundRoute {
  /** Of the routes that match, the one registered first. */
  route: Route;
  /** The params of the path, converted. */
  params: Record<string, unknown>;
}

/**
 * `This`, if it is a subclass of `Base` that adds members; otherwise nothing. Together with another type of
 * the same object, `Base` itself would only add overloads: errors list them all, and a generic function infers
 * the types of the wrong one.
 */
export type OwnMembers<This, Base> = [Base] extends [This] ? unknown : This;

const DEFAULT_GRACE = 10_000;

/**
 * Turns whatever it listens to into events; events run handlers.
 *
 * A subclass overrides {@linkcode Listener.listen} to set up a source, and triggers an event for whatever
 * that delivers. `C` is the class of the contexts; `T` maps the names of converters to the types they return.
 *
 * ```ts
 * import { Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * class Greeter extends Listener {
 *   override listen() {
 *     this.triggerEvent("greet alice");
 *   }
 * }
 *
 * const greetings: string[] = [];
 * const app = new Greeter();
 * app.onEvent("greet <name>", ({ params }) => {
 *   greetings.push(`Hello, ${params.name}!`);
 * });
 * await app.run();
 * assertEquals(greetings, ["Hello, alice!"]);
 * ```
 */
export class Listener<C extends Context = Context, T = BuiltinConverters>
  implements AsyncDisposable {
  /** @ignore Has no value: TypeScript infers `T` from it when a generic function is given a subclass. */
  declare protected readonly converterTypes: T;
  readonly #contexts = new Contexts<C>();
  readonly #routes = new Map<string, Route>();
  readonly #converters: Map<string, NamedConverter> = new Map(BUILTIN_CONVERTERS);
  readonly #dispatcher: Dispatcher;
  readonly #lifecycle: Lifecycle;
  #router = new Router();
  #order = 0;
  #ContextClass: ContextClass<C> = Context as unknown as ContextClass<C>;

  static {
    setDispatcherOf((listener) => listener.#dispatcher);
  }

  /**
   * Creates a listener; nothing runs before `start()`, `run()` or `triggerEvent()` is called.
   *
   * @param options See {@linkcode ListenerOptions}.
   * @throws {RangeError} `shutdownGrace` is not a valid number of milliseconds.
   */
  constructor(options: ListenerOptions = {}) {
    errors.checkOptions(options, "Cannot create a listener");
    const grace = checkTimeout(options.shutdownGrace ?? DEFAULT_GRACE, "shutdownGrace");
    this.#dispatcher = new Dispatcher(
      (ctx) => this.#contexts.delete(ctx as C, idOf(ctx)),
      (event, error) => void this.#report(event, error),
    );
    this.#lifecycle = new Lifecycle(this, this.#dispatcher, {
      grace,
      report: (error) => logError(() => "Cannot continue listening:", error),
    });
  }

  /**
   * Sets {@linkcode ListenerOptions.shutdownGrace} from the next start on; in a startup callback, from this one.
   *
   * @throws {RangeError} It is not a valid number of milliseconds.
   */
  protected setShutdownGrace(milliseconds: number): void {
    this.#lifecycle.grace = checkTimeout(milliseconds, "shutdownGrace");
  }

  // --- The source -------------------------------------------------------------------------------

  /**
   * Sets up the source of events. Override it if the listener has one; otherwise, events are triggered from
   * outside.
   *
   * When it has returned, or its promise has resolved, the listener is listening. If the source keeps running
   * after that, return a {@linkcode Source}, which defines how to end it:
   *
   * ```ts
   * import { Listener, type Source } from "@tiny/listener/listener";
   *
   * class Lines extends Listener {
   *   override listen(): Source {
   *     const server = Deno.listen({ port: 8000 });
   *     const accept = async () => {
   *       for await (const conn of server) conn.close();
   *     };
   *     return { finished: accept(), close: () => server.close() };
   *   }
   * }
   * ```
   */
  listen(): Listening | Promise<Listening> {}

  // --- Contexts ---------------------------------------------------------------------------------

  /** The contexts that are alive, by id. */
  get ctxs(): ReadonlyMap<string, C> {
    return this.#contexts;
  }

  /**
   * Makes the contexts of this listener instances of `cls`, a subclass of `Context`. Handlers and hooks that
   * are registered on the returned listener, which is this one, know that type.
   *
   * ```ts
   * import { Context, Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * class Session extends Context {
   *   greetings = 0;
   * }
   *
   * const app = new Listener().setContextClass(Session);
   * app.onEvent("hello", ({ ctx }) => ++ctx.greetings);
   * assertEquals(await app.triggerEvent("hello"), 1);
   * ```
   *
   * @throws {TypeError} `cls` is neither the class of the contexts so far, `Context` at first, nor a subclass.
   */
  setContextClass<D extends Context = C>(
    cls: ContextClass<D & C>,
  ): Listener<D, T> & OwnMembers<this, Listener<C, T>> {
    // C restricts D in the parameter only: otherwise a function that takes any Listener would not accept one
    // with a context class of its own. For C itself, nothing is left to infer D from, so D has a default.
    const Base: ContextClass<C> = this.#ContextClass;
    if (cls !== Base && !(cls?.prototype instanceof Base)) {
      throw new TypeError(
        `Cannot set the context class to ${cls?.name || errors.shown(cls)}: ` +
          `must be ${Base.name} or a class that extends it`,
      );
    }
    this.#ContextClass = cls;
    return this as never;
  }

  /**
   * Creates a context, which is kept until its `drop()` is called.
   *
   * @throws {ContextAlreadyExists} A context with that id is alive.
   */
  newCtx(options?: ContextOptions): C {
    if (options !== undefined) errors.checkOptions(options, "Cannot create a context");
    const cid = options?.cid;
    if (cid !== undefined) errors.checkText(cid, "Cannot create a context: cid");
    if (cid !== undefined && this.#contexts.has(cid)) {
      throw new errors.ContextAlreadyExists(
        `Cannot create context ${
          errors.quote(cid)
        }: a context with that id exists; drop() it, or use getCtx()`,
      );
    }
    const ctx = new this.#ContextClass(this, options);
    if (ctx.listener !== this || (cid !== undefined && typeof idOf(ctx) === "number")) {
      throw new TypeError(
        `Cannot create a context: the constructor of ${this.#ContextClass.name} must pass on both of its ` +
          "arguments, as in super(listener, options)",
      );
    }
    this.#contexts.add(ctx, idOf(ctx));
    return ctx;
  }

  /**
   * Returns the context with that id.
   *
   * @throws {ContextNotFound} No context with that id is alive.
   */
  getCtx(cid: string): C {
    errors.checkText(cid, "Cannot find a context: cid");
    const ctx = this.#contexts.get(cid);
    if (ctx === undefined) {
      throw new errors.ContextNotFound(
        `Cannot find context ${
          errors.quote(cid)
        }: no context has that id; create it with newCtx({ cid })`,
      );
    }
    return ctx;
  }

  // --- Routes -----------------------------------------------------------------------------------

  /** The routes by name, in the order of registration. */
  get routes(): ReadonlyMap<string, Route> {
    return this.#routes;
  }

  /**
   * Adds a converter for params. Patterns that are registered on the returned listener, which is this one,
   * know the type of its values.
   *
   * ```ts
   * import { Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new Listener().addConverter("hex", {
   *   regex: /[0-9a-f]+/,
   *   parse: (text) => parseInt(text, 16),
   * });
   * app.onEvent("color <c:hex>", ({ params }) => params.c + 1);
   * assertEquals(await app.triggerEvent("color ff"), 256);
   * ```
   *
   * @throws {RouteError} The name is taken, or is not a word.
   * @throws {TypeError} `regex` is not a `RegExp`, or `parse` is not a function.
   */
  addConverter<N extends string, V>(
    name: N,
    converter: Converter<V>,
  ): Listener<C, T & { [K in N]: V }> & OwnMembers<this, Listener<C, T>> {
    if (this.#converters.has(name)) {
      throw new errors.RouteError(
        `Cannot add converter "${name}": the name is taken; choose another one`,
      );
    }
    this.#converters.set(name, makeConverter(name, converter));
    return this as never;
  }

  /**
   * Registers the handler of the events whose path matches `pattern`. If several routes match a path, the one
   * registered first is used.
   *
   * ```ts
   * import { Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new Listener();
   * app.onEvent("<x:float> + <y:float>", ({ params }) => params.x + params.y);
   * assertEquals(await app.triggerEvent("1.5 + 2"), 3.5);
   * ```
   *
   * @throws {RouteError} The converter of a param is unknown, a param name is used twice or is `__proto__`,
   * or {@linkcode Listener.checkRoute} rejects the pattern.
   * @throws {EventAlreadyExists} A route with that name already exists, or one that would take all events of
   * this one: its pattern is the same apart from the names of params, or this pattern has no params and
   * already matches an earlier one.
   * @throws {TypeError} An argument has the wrong type.
   */
  onEvent<const P extends string>(pattern: P, handler: Handler<C, PathParams<P, T>>): Route;
  /**
   * Registers a handler with options: a name, a check of the data, and any others to be kept with the route.
   */
  onEvent<const P extends string, D = unknown>(
    pattern: P,
    options: RouteOptions<D>,
    handler: Handler<C, PathParams<P, T>, D>,
  ): Route;
  /** Registers a handler of all events that no earlier route matches. */
  onEvent(handler: Handler<C, { _: string }>): Route;
  onEvent(...args: OnEventArguments): Route {
    const { pattern, options, handler } = readArguments(args);
    const parts = compileParts(pattern, this.#converters);
    const path = parts.map((part) => typeof part === "string" ? part : "x").join("");
    this.checkRoute(pattern, path, options);
    const route = new Route(pattern, handler, options, { order: ++this.#order, parts });
    const other = this.#routes.get(route.name);
    if (other !== undefined) throw alreadyExists(route, other);
    const earlier = isText(parts) ? this.#router.find(path) : null;
    if (earlier !== null) throw alreadyExists(route, earlier);
    const first = this.#router.add(route);
    if (first !== route) throw alreadyExists(route, first);
    this.#routes.set(route.name, route);
    return route;
  }

  /**
   * Called for each route before it is registered. Override it if the paths of the listener have a certain
   * form, to reject patterns that no path can match, or to check options of its own. It throws a
   * {@linkcode RouteError} with a message such as `Cannot add route "...": ...`.
   *
   * @param _path The pattern with an `x` in place of each param.
   */
  protected checkRoute(_pattern: string, _path: string, _options: RouteOptions): void {}

  /** An alias of {@linkcode Listener.onEvent}. */
  addOnEventHook<const P extends string>(pattern: P, handler: Handler<C, PathParams<P, T>>): Route;
  /** Registers a handler with options. */
  addOnEventHook<const P extends string, D = unknown>(
    pattern: P,
    options: RouteOptions<D>,
    handler: Handler<C, PathParams<P, T>, D>,
  ): Route;
  /** Registers a handler of all events that no earlier route matches. */
  addOnEventHook(handler: Handler<C, { _: string }>): Route;
  addOnEventHook(...args: OnEventArguments): Route {
    return this.onEvent(...args as [AnyHandler]);
  }

  /**
   * Removes the route of that name, or all routes of that handler. It takes as long as registering the
   * remaining routes.
   *
   * @returns Whether any route was removed.
   */
  removeOnEventHook(nameOrHandler: string | AnyHandler): boolean {
    const before = this.#routes.size;
    for (const [name, { handler }] of this.#routes) {
      if (name === nameOrHandler || handler === nameOrHandler) this.#routes.delete(name);
    }
    if (this.#routes.size === before) return false;
    this.#router = new Router();
    for (const route of this.#routes.values()) this.#router.add(route);
    return true;
  }

  /**
   * Returns the route of that name.
   *
   * @throws {EventNotFound} No route has that name.
   */
  getRoute(name: string): Route {
    errors.checkText(name, "Cannot find a route: the name");
    const route = this.#routes.get(name);
    if (route === undefined) throw errors.noRouteNamed(name, closest(name, this.#named()));
    return route;
  }

  /**
   * Returns the route that `path` matches, and its params; null if there is none.
   *
   * @throws {PathParamsError} A route matches, but a param cannot be converted.
   */
  findRoute(path: string): FoundRoute | null {
    errors.checkText(path, "Cannot find a route: the path");
    const route = this.#router.find(path);
    return route === null ? null : this.#withParams(route, path);
  }

  /**
   * Like {@linkcode Listener.findRoute}, for `head` followed by a path in code units. It is for sources whose
   * paths arrive as bytes: only the params become strings.
   *
   * @param head The text before the path, such as `"GET:"` of a request: one of a few that many paths share.
   * @param path An array with the code units of the path from `start` to `end`.
   * @throws {PathParamsError} A route matches, but a param cannot be converted.
   */
  findRouteOf(head: string, path: Uint16Array, start: number, end: number): FoundRoute | null {
    const route = this.#router.findAfter(head, path, start, end);
    if (route === null) return null;
    if (route === undefined) return this.findRoute(head + textOf(path, start, end));
    return this.#withParams(route, path, head, start, end);
  }

  #withParams(
    route: Route,
    path: string | Uint16Array,
    head = "",
    pathStart = 0,
    pathEnd = path.length,
  ): FoundRoute {
    const params: Record<string, unknown> = {};
    const { ends } = this.#router;
    // All texts first: a converter may search for a route itself, which overwrites `ends`.
    for (let i = 0; i < route.params.length; i++) {
      const start = ends[2 * i], end = ends[2 * i + 1];
      const text = typeof path === "string" ? path.slice(start, end) : textOf(path, start, end);
      params[route.params[i].name] = text;
    }
    for (const { name, converter } of route.params) {
      try {
        params[name] = this.#valueOf(params[name] as string, converter);
      } catch (cause) {
        const whole = typeof path === "string" ? path : textOf(path, pathStart, pathEnd);
        throw errors.noParam(name, head + whole, cause);
      }
    }
    return { route, params };
  }

  #valueOf(text: string, { regex, scanner, parse }: NamedConverter): unknown {
    const decoded = this.decodeParam(text);
    if (decoded !== text && scanner.expression?.matches(decoded) === false) {
      throw new RangeError(`${errors.quote(decoded)} does not match ${regex} as a whole`);
    }
    return parse(decoded);
  }

  /**
   * Returns the route that `path` matches, and its params.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param cannot be converted.
   */
  matchRoute(path: string): [route: Route, params: Record<string, unknown>] {
    const found = this.findRoute(path);
    if (found === null) throw errors.noRouteMatches(path, closest(path, this.#patterns()));
    return [found.route, found.params];
  }

  *#patterns(): Generator<Candidate> {
    for (const { pattern, parts } of this.#routes.values()) yield { text: pattern, parts };
  }

  *#named(): Generator<Candidate> {
    for (const name of this.#routes.keys()) yield { text: name, parts: [name] };
  }

  /**
   * Decodes the text of a param before its converter parses it; unless overridden, returns it unchanged. If
   * the decoded text differs and the converter was added by {@linkcode Listener.addConverter}, it must match
   * the converter's expression again.
   */
  protected decodeParam(text: string): string {
    return text;
  }

  // --- Events -----------------------------------------------------------------------------------

  /**
   * Triggers an event of the route that `path` matches, in the context with the id `cid`. Without `cid`, the
   * event gets a context of its own, which is in `ctxs` as long as one of its events is in flight.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param cannot be converted.
   * @throws {ContextNotFound} No context with that id is alive.
   * @throws {RangeError} `timeout` is not a valid number of milliseconds.
   */
  triggerEvent(
    path: string,
    options: TriggerOptions & { cid?: string | undefined } = {},
  ): EventTask {
    errors.checkOptions(options, "Cannot trigger an event");
    if (options.cid !== undefined) return this.getCtx(options.cid).triggerEvent(path, options);
    const ctx = this.newCtx();
    return this.#dispatcher.passing(ctx, () => ctx.triggerEvent(path, options));
  }

  /**
   * Runs `hook` before the handler of each event. If it throws, the event fails. If `event.done()` is called
   * before the handler has run, neither the remaining before hooks nor the handler run.
   */
  beforeEvent(hook: EventHook<C>): void {
    this.#addHook("before", hook, "beforeEvent");
  }

  /** Runs `hook` after the handler of each event, unless the event has failed. */
  afterEvent(hook: EventHook<C>): void {
    this.#addHook("after", hook, "afterEvent");
  }

  /**
   * Runs `handle` when an event fails with an error that is an instance of `ErrorClass`. All hooks whose
   * class matches run, in the order of registration. After that, the failure has been handled, and the
   * event's task resolves; if a hook throws, it rejects with the first error thrown.
   *
   * ```ts
   * import { Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new Listener();
   * const problems: string[] = [];
   * app.onEvent("divide <a:int> by <b:int>", ({ params: { a, b } }) => {
   *   if (b === 0) throw new RangeError("b is 0");
   *   return a / b;
   * });
   * app.onError(RangeError, ({ path }, { message }) => problems.push(`${path}: ${message}`));
   *
   * await app.triggerEvent("divide 1 by 0");
   * assertEquals(problems, ["divide 1 by 0: b is 0"]);
   * ```
   *
   * @throws {TypeError} An argument has the wrong type.
   */
  onError<E>(
    // deno-lint-ignore no-explicit-any
    ErrorClass: abstract new (...args: any[]) => E,
    handle: (event: Event<C>, error: E) => unknown,
  ): void {
    if (typeof ErrorClass !== "function" || typeof ErrorClass.prototype !== "object") {
      throw new TypeError(
        "Cannot add an error hook: the first argument must be an error class, " +
          "as in onError(Error, hook)",
      );
    }
    errors.checkFunction(handle, "Cannot add an error hook: the second argument");
    const { hooks } = this.#dispatcher;
    const onError = [...hooks.onError, { type: ErrorClass, handle }];
    this.#dispatcher.hooks = { ...hooks, onError };
  }

  /**
   * Runs `hook` when an event is over, however it ended; `event.error` is the error that it failed with, even
   * if an error hook handled it. The hook is an observer: it cannot change the outcome, it is not waited for,
   * and errors that it throws go to {@linkcode Listener.reportFailure}.
   *
   * ```ts
   * import { Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new Listener();
   * const over: string[] = [];
   * app.onEvent("save", () => {
   *   throw new Error("the disk is full");
   * });
   * app.onError(Error, () => {});
   * app.finallyEvent(({ path, error }) => {
   *   over.push(`${path}: ${error ?? "done"}`);
   * });
   * await app.triggerEvent("save");
   * assertEquals(over, ["save: Error: the disk is full"]);
   * ```
   */
  finallyEvent(hook: EventHook<C>): void {
    this.#addHook("finally", hook, "finallyEvent");
  }

  #addHook(when: "before" | "after" | "finally", hook: EventHook<C>, method: string): void {
    errors.checkFunction(hook, `Cannot call ${method}(): the hook`);
    const { hooks } = this.#dispatcher;
    this.#dispatcher.hooks = { ...hooks, [when]: [...hooks[when], hook] };
  }

  /**
   * Called with the failure of an event whose task nothing awaits; unless overridden, logs it. If an override
   * throws or rejects, its error is logged along with the failure.
   */
  protected reportFailure(event: AnyEvent, error: unknown): void {
    logError(() => `Cannot finish ${errors.describe(event)}:`, error);
  }

  /** Whatever an overridden reportFailure() does, the event continues and its failure is reported. */
  async #report(event: AnyEvent, error: unknown): Promise<void> {
    try {
      await this.reportFailure(event, error);
    } catch (cause) {
      const why = "reportFailure() failed itself; both errors:";
      logError(
        () => `Cannot report the failure of ${errors.describe(event)}: ${why}`,
        cause,
        error,
      );
    }
  }

  // --- Life -------------------------------------------------------------------------------------

  /**
   * Runs `hook` when the listener starts, before it listens. Startup callbacks run one after the other, in
   * the order of registration. If one throws, neither the remaining ones nor the `shutdown()` callbacks run.
   */
  startup(hook: LifecycleHook): void {
    errors.checkFunction(hook, "Cannot call startup(): the hook");
    this.#lifecycle.startup.push(hook);
  }

  /**
   * Runs `hook` when the listener stops, after its events are over or the grace period has expired. Shutdown
   * callbacks run in the order of registration, even if one throws, and also if `listen()` has failed.
   */
  shutdown(hook: LifecycleHook): void {
    errors.checkFunction(hook, "Cannot call shutdown(): the hook");
    this.#lifecycle.shutdown.push(hook);
  }

  /**
   * Runs the startup callbacks and {@linkcode Listener.listen}; resolves when the listener is listening.
   *
   * It rejects with the error that a callback or `listen()` throws, or with an `AggregateError` if a shutdown
   * callback throws after `listen()` has failed. If the source fails later, the error is logged, and `stop()`
   * rejects with it.
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /**
   * Starts the listener and runs it until its source has ended and no event is in flight, `stop()` is called,
   * or SIGINT or SIGTERM arrives; then stops it. A second signal ends the process at once.
   *
   * It rejects with the error of a startup callback, of `listen()`, of the source, or of the stop that
   * follows, or with an `AggregateError` if there are several.
   *
   * @throws {DuplicateListener} A listener, this one or another, is in `run()` in this process.
   */
  run(): Promise<void> {
    return this.#lifecycle.run();
  }

  /**
   * Stops the listener: no more events come in, those in flight get the grace period to finish, the signals
   * of those that have not finished are aborted, and the shutdown callbacks run. It has no effect if the
   * listener was not started.
   *
   * It rejects if the source has failed by itself, its `close()` or `abort()` fails, or a shutdown callback
   * throws; with an `AggregateError` if there are several errors.
   *
   * If a handler calls `stop()` before its first `await`, `stop()` does not wait for that handler, so the
   * handler may await it. If it calls `stop()` later, it may await it too, but then `stop()` waits for the
   * handler until the grace period ends. The same applies to startup callbacks. A shutdown callback may call
   * `stop()` and `start()` before its first `await`; if that `start()` fails, the error is logged. A shutdown
   * callback that awaits either of them after its first `await` waits for itself, forever.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * Aborted when the listener begins to stop, before the grace period of its events. It is for work that has
   * no end of its own, such as an upgraded connection or a continuous job. The signal of an event, by
   * contrast, is aborted when the grace period is over. Each start has a new signal: read it in a handler or
   * a startup callback.
   *
   * ```ts
   * import { Listener } from "@tiny/listener/listener";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new Listener();
   * let rounds = 0;
   * app.onEvent("work", async () => {
   *   while (!app.stopSignal.aborted) {
   *     rounds++;
   *     await new Promise((resolve) => setTimeout(resolve, 1));
   *   }
   * });
   * await app.start();
   * app.triggerEvent("work");
   * await app.stop();
   * assertEquals(rounds, 1);
   * ```
   */
  get stopSignal(): AbortSignal {
    return this.#lifecycle.stopSignal;
  }

  /** Stops the listener at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** The error for a route whose name, or whose events, already belong to another route. */
function alreadyExists({ name, pattern, parts }: Route, other: Route): errors.EventAlreadyExists {
  const action = `Cannot add route "${pattern}"`;
  if (name === other.name && pattern !== other.pattern) {
    return new errors.EventAlreadyExists(
      `${action}: the name "${name}" is taken by "${other.pattern}"; ` +
        "give one of them another name, as in onEvent(pattern, { name }, handler)",
    );
  }
  if (isText(parts) && !isText(other.parts)) {
    return new errors.EventAlreadyExists(
      `${action}: "${other.pattern}" already matches its events; register "${pattern}" first`,
    );
  }
  const why = pattern === other.pattern
    ? "it already exists"
    : `"${other.pattern}" already matches the same events`;
  return new errors.EventAlreadyExists(
    `${action}: ${why}; omit one of them, or first remove the other with removeOnEventHook()`,
  );
}

/** Whether a pattern has no params, so that it matches a single path. */
function isText(parts: Route["parts"]): boolean {
  return parts.every((part) => typeof part === "string");
}

function logError(message: () => string, ...thrown: unknown[]): void {
  try {
    console.error(message(), ...thrown);
  } catch {
    // A full disk behind standard error must not end the process.
  }
}

type OnEventArguments =
  | [handler: AnyHandler]
  | [pattern: string, handler: AnyHandler]
  | [pattern: string, options: RouteOptions, handler: AnyHandler];
