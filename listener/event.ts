// Event: one run of a route's handler in a context, and the one place where a run continues or ends.
//
//   NEW -- run --> RUNNING -- before hooks, handler, after hooks --------------> OVER
//                     `-- a step throws, or the timeout expires --> FAILING --> OVER
//                                                                 error hooks
//
// On either way to OVER, the finally hooks run as observers.
//
// If a step returns no promise, the next one runs within the same call: an event that never waits is over
// once it has been triggered, and no promise or timer was created for it.

import type { Context } from "./context.ts";
import { type Dependency, resolveDependency } from "./depends.ts";
import {
  type AnyEvent,
  type Dispatcher,
  dispatcherOf,
  type Hooks,
  type InFlight,
  setGiveUp,
} from "./dispatcher.ts";
import {
  checkOptions,
  contextDropped,
  describe,
  detailOf,
  EventAlreadyDone,
  EventDataError,
  quote,
  TimeoutError,
} from "./errors.ts";
import { EventTask, settleTask } from "./event_task.ts";
import type { Listener } from "./listener.ts";
import type { Route } from "./route.ts";
import { checkTimeout, handled, wait } from "./time_limit.ts";

/** The step before the first hook: the check of the data, if the route has one. */
const CHECK = -1;

type Phase = "new" | "running" | "failing" | "over";

/** The fields that few events need, kept apart so that the others stay small. */
class Extras {
  autoDone = true;
  controller: AbortController | null = null;
  timeout: number | undefined = undefined;
  timer: ReturnType<typeof setTimeout> | undefined = undefined;
  isTimedOut = false;
  /**
   * The result for those who wait, if that may differ from the event's: `done()` was called while the handler
   * or a hook ran, or the event failed before it was done, and so has none.
   */
  outcome: { result: unknown } | null = null;
}

/** Options of {@linkcode Context.newEvent} and {@linkcode Context.trigger}. */
export interface EventOptions {
  /** The params of the path; none by default. */
  params?: Record<string, unknown> | undefined;
  /** The event's data. */
  data?: unknown;
  /**
   * The maximum time in milliseconds for the handler and the hooks, other than error hooks; unlimited by
   * default.
   */
  timeout?: number | undefined;
  /**
   * The path that was triggered, for messages; the route's pattern by default. Its `toString()` is called
   * when the path is first needed.
   */
  path?: { toString(): string } | undefined;
}

/** Options of {@linkcode Event.waitEventDone}. */
export interface WaitEventDoneOptions {
  /** The number of events that have to be done; 1 by default. */
  n?: number | undefined;
  /**
   * The maximum time to wait in milliseconds. Without it, the wait ends at the latest when the waiting event
   * is over (unless it already is) or its context is dropped.
   */
  timeout?: number | undefined;
}

/** Runs a new event; for `context.ts` alone. */
export let runEvent: (event: AnyEvent) => EventTask;

// Handlers destructure their event. A type for `this` lets the compiler refuse a method that is called without it.
// `this: this` would refuse unions of events too, such as that of the params of two routes with one handler.

/**
 * One run of a route's handler; handlers and hooks get it as their argument.
 *
 * ```ts
 * import { Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const app = new Listener();
 * app.onEvent("save <username>", { name: "save" }, ({ params }) => `${params.username} is saved`);
 * app.onEvent("report", async (event) => {
 *   const [saved] = await event.waitEventDone("save", { timeout: 1000 });
 *   return `Reported: ${saved}`;
 * });
 *
 * const ctx = app.newCtx();
 * const report = ctx.triggerEvent("report");
 * ctx.triggerEvent("save alice");
 * assertEquals(await report, "Reported: alice is saved");
 * ```
 */
export class Event<C extends Context = Context, P = Record<string, unknown>, D = unknown> {
  /** The context the event belongs to. */
  readonly ctx: C;
  /** The route that matched. */
  readonly route: Route;
  /** The params of the path, converted. */
  readonly params: P;
  /** The data the event was triggered with, as returned by the route's `data` check if there is one. */
  data: D;
  /**
   * The result: what the handler returned or what `done()` was called with, whichever came last. A handler
   * that returns `undefined` does not replace the result of an earlier `done()`.
   */
  result: unknown = undefined;
  /** The error that the event failed with, even if an error hook handled it. */
  error: unknown = undefined;
  #path: { toString(): string };
  #phase: Phase = "new";
  #isDone = false;
  #extras: Extras | null = null;
  #inFlight: InFlight | null = null;

  static {
    runEvent = (event) => event.#run();
    setGiveUp((event, reason) => {
      event.abort(reason);
      const timer = event.#extras?.timer;
      if (timer !== undefined) unref(timer);
    });
  }

  /** @ignore Made by `Context.newEvent()`. */
  constructor(ctx: C, route: Route, options: EventOptions) {
    this.ctx = ctx;
    this.route = route;
    this.params = (options.params ?? {}) as P;
    this.#path = options.path ?? route.pattern;
    this.data = options.data as D;
    const timeout = checkTimeout(options.timeout);
    if (timeout !== undefined) this.#extra.timeout = timeout;
  }

  get #extra(): Extras {
    return this.#extras ??= new Extras();
  }

  /** The path that was triggered. */
  get path(): string {
    if (typeof this.#path !== "string") this.#path = this.#path.toString();
    return this.#path as string;
  }

  /** The listener the event belongs to. */
  get listener(): Listener {
    return this.ctx.listener;
  }

  /**
   * Aborted when {@linkcode Event.abort} is called; when the event's timeout expires or its context is
   * dropped, if the event is still running; or when its listener stops and the grace period ends, if the
   * event is still running or not done.
   */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get #controller(): AbortController {
    return this.#extra.controller ??= new AbortController();
  }

  /** Whether the handler or a hook is running, or waiting to continue. */
  get running(): boolean {
    return this.#phase === "running" || this.#phase === "failing";
  }

  /** Whether the event is done, so that those who wait for it have been notified. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Whether the event failed because its own `timeout` expired: `error` is a {@linkcode TimeoutError}. */
  get isTimedOut(): boolean {
    return this.#extras !== null && this.#extras.isTimedOut;
  }

  /** Whether the event becomes done when its handler and the after hooks are over. */
  get autoDone(): boolean {
    return this.#extras === null || this.#extras.autoDone;
  }

  /**
   * Leaves it to the application to call `done()`. An event that fails becomes done all the same. Until it is
   * done, the event is in flight, even if its context was dropped: `stop()` waits for it until the grace
   * period ends.
   */
  preventAutoDone(this: AnyEvent): void {
    this.#extra.autoDone = false;
  }

  /**
   * Marks the event as done and notifies those who wait for it. A value that the handler returns afterwards
   * becomes the result of the task; those who wait for the event, even later, get the result of `done()`.
   *
   * @param result The event's result; by default, what the handler returned.
   * @throws {EventAlreadyDone} The event is already done.
   */
  done(this: AnyEvent, result: unknown = this.result): void {
    if (this.#isDone) {
      throw new EventAlreadyDone(
        `Cannot call done() on ${
          describe(this)
        }: it is already done; call preventAutoDone() in its handler ` +
          "if you call done() yourself",
      );
    }
    this.result = result;
    if (this.running) this.#extra.outcome = { result };
    this.#becomeDone(dispatcherOf(this.listener));
  }

  #becomeDone(dispatcher: Dispatcher): void {
    this.#isDone = true;
    dispatcher.notifyDone(this);
    if (this.#phase === "over") this.#leave(dispatcher);
  }

  /** The result for those who wait for the event. */
  get #outcome(): unknown {
    const outcome = this.#extras?.outcome ?? null;
    return outcome === null ? this.result : outcome.result;
  }

  /**
   * Aborts the event's `signal`, which asks the handler to end, or if that is over, whatever it has started.
   *
   * @param reason The reason of the signal; an `AbortError` by default.
   */
  abort(this: AnyEvent, reason?: unknown): void {
    // Only the first call has an effect.
    this.#controller.abort(reason ?? new DOMException("The event was aborted", "AbortError"));
  }

  /**
   * Waits until this event is done.
   *
   * @param timeout The maximum time in milliseconds; by default, as long as the context is alive.
   * @returns The event's result; `undefined` if it failed, in which case `error` is the reason.
   * @throws {RangeError} `timeout` is not a valid number of milliseconds.
   * @throws {TimeoutError} `timeout` has expired.
   * @throws {ContextNotFound} The context was dropped.
   */
  waitUntilDone(this: AnyEvent, timeout?: number): Promise<unknown> {
    const { ctx } = this;
    if (this.#isDone) return Promise.resolve(this.#outcome);
    if (!ctx.isAlive) return handled(Promise.reject(contextDropped(ctx.cid)));
    const detail = (): string => `Cannot wait for ${describe(this)}: not done`;
    return wait(
      { timeout, describe: detail },
      ({ resolve, reject }) =>
        dispatcherOf(ctx.listener).watch(ctx, {
          done: (event) => event === this && resolve(this.#outcome),
          dropped: () => reject(contextDropped(ctx.cid)),
        }),
    );
  }

  /**
   * Waits until `n` events of the route called `name` are done in this context, including those that were
   * done before the call.
   *
   * @returns The results of the first `n` that are done, oldest event first; `undefined` for one that failed.
   * @throws {EventNotFound} No route has that name.
   * @throws {RangeError} `n` is not a positive integer, or `timeout` is not a valid number of milliseconds.
   * @throws {TimeoutError} `timeout` has expired.
   * @throws {ContextNotFound} The context was dropped, or it was created for a single event and none of its
   * events is in flight.
   */
  waitEventDone(
    this: AnyEvent,
    name: string,
    options: WaitEventDoneOptions = {},
  ): Promise<unknown[]> {
    return handled(this.#waitEventDone(name, options));
  }

  async #waitEventDone(name: string, options: WaitEventDoneOptions): Promise<unknown[]> {
    checkOptions(options, `Cannot wait for ${quote(name)}`);
    const { n = 1, timeout } = options;
    const { ctx } = this;
    const route = ctx.listener.getRoute(name);
    if (!Number.isInteger(n) || n < 1) {
      throw new RangeError(`Cannot wait for ${n} events of ${quote(name)}: must be 1 or more`);
    }
    if (!ctx.isAlive) throw contextDropped(ctx.cid);
    const events = (): Event[] => ctx.events.get(route) ?? [];
    const done = new Set(events().filter((event) => event.isDone).slice(0, n));
    const results = (): unknown[] =>
      events().filter((event) => done.has(event)).map((event) => event.#outcome);
    if (done.size === n) return results();
    const dispatcher = dispatcherOf(ctx.listener);
    // If the context was created for a single event, which is over, no other event can be triggered in it.
    const isKept = this.running || ctx.listener.ctxs.get(ctx.cid) === ctx;
    if (!isKept && !dispatcher.hasEventsIn(ctx)) throw contextDropped(ctx.cid);
    const detail = (): string => `Cannot wait for ${n} events of ${quote(name)}: ${done.size} done`;
    return await wait<unknown[]>(
      { signal: this.signal, timeout, describe: detail },
      ({ resolve, reject }) =>
        dispatcher.watch(ctx, {
          done: (event) =>
            event.route === route && done.add(event).size === n && resolve(results()),
          dropped: () => reject(contextDropped(ctx.cid)),
          over: (event) => {
            if (event !== this || timeout !== undefined) return;
            reject(new DOMException(`${describe(this)} is over`, "AbortError"));
          },
        }),
    );
  }

  /**
   * Returns the value of a dependency in this context: see {@linkcode depends}. Always `await` it: if the
   * dependency fails, a handler that does not await it goes on, and nothing reports the failure.
   *
   * @throws {TypeError} It is not a dependency, or it uses itself.
   * @throws {TimeoutError} The dependency's timeout has expired.
   * @throws {ContextNotFound} The context was dropped, and the dependency is not in its cache.
   */
  use<T>(this: AnyEvent, dependency: Dependency<T, this>): Promise<T> {
    return resolveDependency(this as this, dependency);
  }

  #run(): EventTask {
    const task = new EventTask(this);
    const dispatcher = dispatcherOf(this.listener);
    const { hooks } = dispatcher;
    this.#phase = "running";
    const firstStep = this.route.options.data === undefined ? 0 : CHECK;
    this.#advance(task, dispatcher, hooks, firstStep);
    // Only an event that is still waiting needs a timer and an entry among the events in flight.
    if (this.running || !this.#isDone) this.#inFlight = dispatcher.enter(this);
    const timeout = this.#extras?.timeout;
    if ((this.#phase as Phase) === "running" && timeout !== undefined) {
      this.#setTimer(task, dispatcher, hooks, timeout);
    }
    return task;
  }

  // Closures are in methods of their own: V8 allocates what they capture whenever their function is entered.

  #setTimer(task: EventTask, dispatcher: Dispatcher, hooks: Hooks, timeout: number): void {
    this.#extra.timer = setTimeout(() => {
      const message = `Cannot finish ${describe(this)}: still running after ${timeout} ms`;
      const error = new TimeoutError(message);
      this.#extra.isTimedOut = true;
      this.abort(error);
      this.#fail(task, dispatcher, hooks, error);
    }, timeout);
  }

  /** Waits for the value of step number `step`, then continues with the next one. */
  #await(
    value: PromiseLike<unknown>,
    task: EventTask,
    dispatcher: Dispatcher,
    hooks: Hooks,
    step: number,
  ): void {
    Promise.resolve(value).then(
      (value) => {
        if (this.#phase !== "running") return;
        if (step === hooks.before.length) this.#setResult(value);
        this.#advance(task, dispatcher, hooks, step + 1);
      },
      (error) => this.#fail(task, dispatcher, hooks, error),
    );
  }

  /**
   * Runs the steps from number `step` on: the check of the data, the before hooks, the handler, the after
   * hooks. If a before hook marks the event as done, the remaining before hooks and the handler are skipped.
   */
  #advance(task: EventTask, dispatcher: Dispatcher, hooks: Hooks, step: number): void {
    const { before, after } = hooks;
    const handlerStep = before.length;
    const lastStep = handlerStep + after.length;
    dispatcher.onStack.push(this);
    try {
      for (; step <= lastStep; step++) {
        if (this.#isDone && step <= handlerStep) continue;
        const value = step < handlerStep
          ? step === CHECK ? this.#checkData() : before[step](this as Event)
          : step === handlerStep
          ? this.route.handler(this)
          : after[step - handlerStep - 1](this as Event);
        if (isPromiseLike(value)) return this.#await(value, task, dispatcher, hooks, step);
        if (step === handlerStep) this.#setResult(value);
      }
    } catch (error) {
      this.#fail(task, dispatcher, hooks, error);
      return;
    } finally {
      dispatcher.onStack.pop();
    }
    this.#end(dispatcher);
    settleTask(task, "fulfilled");
  }

  /** The result passed to `done()` is kept if the handler returns none. */
  #setResult(value: unknown): void {
    if (value !== undefined || !this.#isDone) this.result = value;
  }

  /** Returns a promise if the check does. */
  #checkData(): void | Promise<void> {
    try {
      const checked = this.route.options.data!(this.data);
      if (isPromiseLike(checked)) return this.#takeData(checked);
      this.data = checked as D;
    } catch (cause) {
      throw this.#refusal(cause);
    }
  }

  async #takeData(checked: PromiseLike<unknown>): Promise<void> {
    try {
      this.data = await checked as D;
    } catch (cause) {
      throw this.#refusal(cause);
    }
  }

  #refusal(cause: unknown): EventDataError {
    const message = `Cannot accept the data of ${describe(this)}: ${detailOf(cause)}`;
    return new EventDataError(message, { cause });
  }

  #fail(task: EventTask, dispatcher: Dispatcher, hooks: Hooks, error: unknown): void {
    if (this.#phase !== "running") return;
    this.#phase = "failing";
    this.#clearTimer();
    this.error = error;
    const takers = hooks.onError.filter(({ type }) => error instanceof type);
    const failure = takers.length > 0 ? null : { error };
    this.#runErrorHooks(task, dispatcher, takers.map(({ handle }) => handle), failure);
  }

  /** Runs all of `hooks`, even if one throws. The task fails with the first error thrown. */
  #runErrorHooks(
    task: EventTask,
    dispatcher: Dispatcher,
    hooks: ((event: Event, error: unknown) => unknown)[],
    failure: { error: unknown } | null,
  ): void {
    for (let i = 0; i < hooks.length; i++) {
      dispatcher.onStack.push(this);
      try {
        const value = hooks[i](this as Event, this.error);
        if (isPromiseLike(value)) {
          const rest = hooks.slice(i + 1);
          Promise.resolve(value).then(
            () => this.#runErrorHooks(task, dispatcher, rest, failure),
            (error) => this.#runErrorHooks(task, dispatcher, rest, failure ?? { error }),
          );
          return;
        }
      } catch (error) {
        failure ??= { error };
      } finally {
        dispatcher.onStack.pop();
      }
    }
    this.#end(dispatcher);
    if (failure === null) return settleTask(task, "fulfilled");
    settleTask(task, "rejected", failure.error);
    if (!task.isAwaited) dispatcher.failed(task);
  }

  #end(dispatcher: Dispatcher): void {
    const failed = this.#phase === "failing";
    this.#phase = "over";
    this.#clearTimer();
    if (dispatcher.hooks.finally.length > 0) this.#runFinallyHooks(dispatcher);
    if (this.#isDone) this.#leave(dispatcher);
    else if (failed || this.autoDone) {
      if (failed) this.#extra.outcome = { result: undefined };
      this.#becomeDone(dispatcher);
    }
    dispatcher.notifyOver(this);
  }

  #clearTimer(): void {
    // The check avoids loading the runtime's timers for an event without one.
    if (this.#extras !== null && this.#extras.timer !== undefined) clearTimeout(this.#extras.timer);
  }

  #leave(dispatcher: Dispatcher): void {
    if (this.#inFlight === null) return;
    dispatcher.leave(this.#inFlight);
    this.#inFlight = null;
  }

  #runFinallyHooks(dispatcher: Dispatcher): void {
    const report = (error: unknown): void => dispatcher.report(this, error);
    for (const hook of dispatcher.hooks.finally) {
      try {
        const value = hook(this as Event);
        if (isPromiseLike(value)) Promise.resolve(value).catch(report);
      } catch (error) {
        // Deferred: if hooks trigger events whose hooks do so in turn, the stack may be full.
        Promise.resolve().then(() => report(error));
      }
    }
  }
}

/** Lets the process exit before `timer` fires. */
function unref(timer: ReturnType<typeof setTimeout>): void {
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  else globalThis.Deno?.unrefTimer(timer);
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
