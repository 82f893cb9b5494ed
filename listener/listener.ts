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
  /** Milliseconds that events in flight have to finish when the listener stops; 10,000 if not given. */
  shutdownGrace?: number | undefined;
}

/** A route that matches a path, and the params the path has for it. */
export interface FoundRoute {
  /** The route registered first of those that match. */
  route: Route;
  /** The params of the path, converted. */
  params: Record<string, unknown>;
}

const DEFAULT_GRACE = 10_000;

/**
 * Turns whatever it listens to into events; events run handlers.
 *
 * A subclass overrides {@linkcode Listener.listen} to set up its source, and triggers an event for
 * whatever comes from there. `C` is the class of its contexts, `T` the types that converters make.
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
   * Makes a listener; nothing runs before `start()`, `run()` or `triggerEvent()`.
   *
   * @param options See {@linkcode ListenerOptions}.
   * @throws {RangeError} `shutdownGrace` is not a number of milliseconds.
   */
  constructor(options: ListenerOptions = {}) {
    const grace = checkTimeout(options.shutdownGrace ?? DEFAULT_GRACE, "shutdownGrace");
    this.#dispatcher = new Dispatcher(
      (ctx) => this.#contexts.delete(ctx as C, idOf(ctx)),
      (event, error) => void this.#report(event, error),
    );
    this.#lifecycle = new Lifecycle(this, this.#dispatcher, {
      grace,
      report: (error) => logError(() => "Cannot go on listening:", error),
    });
  }

  /** Sets {@linkcode ListenerOptions.shutdownGrace} for the next start. @throws {RangeError} It is no number of milliseconds. */
  protected setShutdownGrace(milliseconds: number): void {
    this.#lifecycle.grace = checkTimeout(milliseconds, "shutdownGrace");
  }

  // --- The source -------------------------------------------------------------------------------

  /**
   * Sets up the source of events; to be overridden. Without that there is no source, and events are
   * triggered from outside.
   *
   * When it has returned, or its promise has resolved, the listener listens. A source that goes on
   * from there is returned as a {@linkcode Source}, which says how to end it:
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
   * Makes the contexts of this listener instances of `cls`, a subclass of `Context`. Their type is known to what is
   * registered on the listener returned, which is this one.
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
   */
  setContextClass<D extends C>(cls: ContextClass<D>): Listener<D, T> & this {
    this.#ContextClass = cls;
    return this as unknown as Listener<D, T> & this;
  }

  /**
   * Makes a context; it is kept until its `drop()` is called.
   *
   * @throws {ContextAlreadyExists} A context of that id is alive.
   */
  newCtx(options?: ContextOptions): C {
    const cid = options?.cid;
    if (cid !== undefined && this.#contexts.has(cid)) {
      throw new errors.ContextAlreadyExists(
        `Cannot make context ${
          errors.quote(cid)
        }: a context of that id is alive; drop() it, or use getCtx()`,
      );
    }
    const ctx = new this.#ContextClass(this, options);
    this.#contexts.add(ctx, idOf(ctx));
    return ctx;
  }

  /**
   * The context of that id.
   *
   * @throws {ContextNotFound} None is alive.
   */
  getCtx(cid: string): C {
    const ctx = this.#contexts.get(cid);
    if (ctx === undefined) {
      throw new errors.ContextNotFound(
        `Cannot find context ${
          errors.quote(cid)
        }: no context of that id is alive; make it with newCtx({ cid })`,
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
   * Adds a converter for params. The type of what it makes is known to patterns that are registered on
   * the listener returned, which is this one.
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
   * @throws {TypeError} `regex` is no expression, or `parse` no function.
   */
  addConverter<N extends string, V>(
    name: N,
    converter: Converter<V>,
  ): Listener<C, T & { [K in N]: V }> & this {
    if (this.#converters.has(name)) {
      throw new errors.RouteError(
        `Cannot add converter "${name}": the name is taken; choose another one`,
      );
    }
    this.#converters.set(name, makeConverter(name, converter));
    return this as unknown as Listener<C, T & { [K in N]: V }> & this;
  }

  /**
   * Registers the handler of the events whose path matches `pattern`. Of all routes that match a path the
   * one registered first is taken.
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
   * @throws {RouteError} The converter of a param is not known, a param name is used twice, or
   * {@linkcode Listener.checkRoute} refuses the pattern.
   * @throws {EventAlreadyExists} A route of that name is there.
   * @throws {TypeError} An argument is of another type.
   */
  onEvent<const P extends string>(pattern: P, handler: Handler<C, PathParams<P, T>>): Route;
  /** Registers a handler with options: a name, a check of the data, and whatever else is to be kept. */
  onEvent<const P extends string, D = unknown>(
    pattern: P,
    options: RouteOptions<D>,
    handler: Handler<C, PathParams<P, T>, D>,
  ): Route;
  /** Registers a handler of all events. */
  onEvent(handler: Handler<C, { _: string }>): Route;
  onEvent(...args: OnEventArguments): Route {
    const { pattern, options, handler } = readArguments(args);
    const parts = compileParts(pattern, this.#converters);
    const path = parts.map((part) => typeof part === "string" ? part : "x").join("");
    this.checkRoute(pattern, path, options);
    const route = new Route(pattern, handler, options, { order: ++this.#order, parts });
    const other = this.#routes.get(route.name);
    if (other !== undefined) throw nameTaken(route, other);
    this.#routes.set(route.name, route);
    this.#router.add(route);
    return route;
  }

  /**
   * Called for each route that is registered; to be overridden by listeners whose paths have a form, to refuse
   * patterns that none of them can match, or that know options of their own. Throws a
   * {@linkcode RouteError}, with `Cannot add route "...": ...`.
   *
   * @param _path The pattern with an `x` in place of each param.
   */
  protected checkRoute(_pattern: string, _path: string, _options: RouteOptions): void {}

  /** The same as {@linkcode Listener.onEvent}. */
  addOnEventHook<const P extends string>(pattern: P, handler: Handler<C, PathParams<P, T>>): Route;
  /** Registers a handler with options. */
  addOnEventHook<const P extends string, D = unknown>(
    pattern: P,
    options: RouteOptions<D>,
    handler: Handler<C, PathParams<P, T>, D>,
  ): Route;
  /** Registers a handler of all events. */
  addOnEventHook(handler: Handler<C, { _: string }>): Route;
  addOnEventHook(...args: OnEventArguments): Route {
    return this.onEvent(...args as [AnyHandler]);
  }

  /**
   * Removes the route of that name, or all routes of that handler; it costs as much as registering
   * the routes that stay.
   *
   * @returns Whether there was one.
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
   * The route of that name.
   *
   * @throws {EventNotFound} There is none.
   */
  getRoute(name: string): Route {
    const route = this.#routes.get(name);
    if (route === undefined) throw errors.noRouteNamed(name, closest(name, this.#named()));
    return route;
  }

  /**
   * The route that `path` matches, and its params; null where none does.
   *
   * @throws {PathParamsError} A route matches, but a param has no value.
   */
  findRoute(path: string): FoundRoute | null {
    const route = this.#router.find(path);
    return route === null ? null : this.#withParams(route, path);
  }

  /**
   * As {@linkcode Listener.findRoute} for `head` and a path in code units, for sources whose paths come as bytes:
   * no string is made but of the params.
   *
   * @param head Text in front of the path, as "GET:" of a request: one of few that many paths begin with.
   * @param path An array with the path's code units from `start` to `end`.
   * @throws {PathParamsError} A route matches, but a param has no value.
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
    // All texts first: a converter may look for a route itself, which overwrites where they stand.
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
   * The route that `path` matches, and its params.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param has no value.
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
   * Makes the text a converter reads of the text in the path: the same, where it is not overridden. Another one
   * has to match the expression of a converter of {@linkcode Listener.addConverter} again.
   */
  protected decodeParam(text: string): string {
    return text;
  }

  // --- Events -----------------------------------------------------------------------------------

  /**
   * Triggers the event that `path` stands for: in the context of that id, or else in one of its own, which
   * is among `ctxs` as long as an event of it is in flight.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param has no value.
   * @throws {ContextNotFound} No context of that id is alive.
   * @throws {RangeError} `timeout` is not a number of milliseconds.
   */
  triggerEvent(
    path: string,
    options: TriggerOptions & { cid?: string | undefined } = {},
  ): EventTask {
    if (options.cid !== undefined) return this.getCtx(options.cid).triggerEvent(path, options);
    const ctx = this.newCtx();
    return this.#dispatcher.passing(ctx, () => ctx.triggerEvent(path, options));
  }

  /**
   * Runs `hook` before the handler of each event; what it throws fails the event. Where `event.done()` is called
   * before the handler, the hooks that follow and the handler are not run.
   */
  beforeEvent(hook: EventHook<C>): void {
    this.#addHook("before", hook, "beforeEvent");
  }

  /** Runs `hook` after the handler of each event that has not failed. */
  afterEvent(hook: EventHook<C>): void {
    this.#addHook("after", hook, "afterEvent");
  }

  /**
   * Runs `handle` when an event fails with an error of `ErrorClass`. Every hook whose class fits runs, in
   * the order of registration; then the failure has been dealt with, and the event's task resolves.
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
   * @throws {TypeError} An argument is of another type.
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
   * Runs `hook` when an event is over, however it ended: `event.error` tells what it failed with, also where
   * an error hook took it. It looks on: it cannot change the outcome, is not waited for, and what it throws
   * goes to {@linkcode Listener.reportFailure}.
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
   * Called for the failure of an event whose task nobody awaits: it logs it, where not overridden. What an own one
   * throws, or rejects with, is logged along with the failure.
   */
  protected reportFailure(event: AnyEvent, error: unknown): void {
    logError(() => `Cannot finish ${errors.describe(event)}:`, error);
  }

  /** Whatever an own reportFailure() does, the event goes on, and its failure is told. */
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
   * Runs `hook` when the listener starts, before it listens: one after the other, in the order of registration. Where
   * one throws, those that follow are not run, nor are the `shutdown()` callbacks.
   */
  startup(hook: LifecycleHook): void {
    errors.checkFunction(hook, "Cannot call startup(): the hook");
    this.#lifecycle.startup.push(hook);
  }

  /**
   * Runs `hook` when the listener stops, after its events are over: in the order of registration, also where another
   * one throws, and where `listen()` has failed.
   */
  shutdown(hook: LifecycleHook): void {
    errors.checkFunction(hook, "Cannot call shutdown(): the hook");
    this.#lifecycle.shutdown.push(hook);
  }

  /**
   * Runs the startup callbacks and {@linkcode Listener.listen}; resolves when the listener listens.
   *
   * It rejects with what a callback or `listen()` threw; with an `AggregateError` where `listen()` has, and then a
   * shutdown callback. What the source fails with later is logged, and is what `stop()` rejects with.
   */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /**
   * Starts the listener and runs it until its source has ended and no event is in flight, or `stop()` is
   * called, or SIGINT or SIGTERM comes; then stops it. A second signal ends the process at once.
   *
   * It rejects with what a startup callback, `listen()` or the source failed with, or the stop that follows; with an
   * `AggregateError` where these are several.
   *
   * @throws {DuplicateListener} Another listener is in `run()` in this process.
   */
  run(): Promise<void> {
    return this.#lifecycle.run();
  }

  /**
   * Stops the listener: no more events come in, those in flight have the grace to finish, the signals of
   * those that have not are aborted, and the shutdown callbacks run. Has no effect on one that was not
   * started.
   *
   * It rejects with what the source has failed with by itself, or its `close()` or `abort()` or a shutdown callback;
   * with an `AggregateError` where these are several.
   *
   * A handler that calls it before its first `await` is not waited for, so it can await it; one that
   * calls it later can too, but is waited for as long as the grace. The same is so of startup callbacks. A shutdown
   * callback may call it, and `start()`, before its first `await`, whose failure is logged then; one that awaits them
   * later waits for itself.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * Aborted when the listener begins to stop, before its events have their grace: for what has no end of its own, as a
   * connection that was upgraded, or a job that goes on. The signal of an event is aborted when the grace is over.
   * Each start has a new one: ask for it in a handler or a startup callback.
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

function nameTaken({ name, pattern }: Route, other: Route): errors.EventAlreadyExists {
  const action = `Cannot add route "${pattern}"`;
  return new errors.EventAlreadyExists(
    pattern === other.pattern
      ? `${action}: it is there already, and the first of two routes takes all events; ` +
        "leave one of them out, or remove it by removeOnEventHook() before"
      : `${action}: the name "${name}" is taken by "${other.pattern}"; ` +
        "give one of them another name, as in onEvent(pattern, { name }, handler)",
  );
}

function logError(message: () => string, ...thrown: unknown[]): void {
  try {
    console.error(message(), ...thrown);
  } catch {
    // A full disk behind standard error is no reason to end the process.
  }
}

type OnEventArguments =
  | [handler: AnyHandler]
  | [pattern: string, handler: AnyHandler]
  | [pattern: string, options: RouteOptions, handler: AnyHandler];
