// Event: one run of a route's handler in a context, and the one place where a run goes on or ends.
//
//   NEW -- run --> RUNNING -- before hooks, handler, after hooks --------------> OVER
//                     `-- a step throws, or the timeout is over --> FAILING --> OVER
//                                                                 error hooks
//
// On the way to OVER, either way, the finally hooks look on.
//
// A step that returns no promise is followed by the next within the same call: an event that never
// waits is over when it has been triggered, and no promise or timer was made for it.

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

/** The step before the first hook: the check of the data, where the route has one. */
const CHECK = -1;

type Phase = "new" | "running" | "failing" | "over";

/** What few events have, so that the others are small. */
class Extras {
  autoDone = true;
  controller: AbortController | null = null;
  /** Why it was asked to end, if it was. */
  abort: { reason: unknown } | null = null;
  timeout: number | undefined = undefined;
  timer: ReturnType<typeof setTimeout> | undefined = undefined;
  isTimedOut = false;
  /** It failed before it was done, and so has no result for those who wait. */
  hasFailed = false;
  /** What those get who wait, where `done()` was called while the handler or a hook ran. */
  outcome: { result: unknown } | null = null;
}

/** What an event is made with. */
export interface EventOptions {
  /** The params of the path; none if not given. */
  params?: Record<string, unknown> | undefined;
  /** Whatever the event carries. */
  data?: unknown;
  /** Milliseconds its handler and hooks may take, but for error hooks; without it, as long as they take. */
  timeout?: number | undefined;
  /**
   * The path that was triggered, for messages; the route's pattern if not given. Its `toString()` is called when
   * somebody asks for it.
   */
  path?: { toString(): string } | undefined;
}

/** Options of {@linkcode Event.waitEventDone}. */
export interface WaitEventDoneOptions {
  /** How many events have to be done, 1 if not given. */
  n?: number | undefined;
  /** Milliseconds to wait; without it, until the event, if it still runs, is over, or its context dropped. */
  timeout?: number | undefined;
}

/** Runs a new event; for `context.ts` alone. */
export let runEvent: (event: AnyEvent) => EventTask;

/**
 * One run of a route's handler: what handlers and hooks get as their argument.
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
  /** Whatever the event was triggered with. */
  data: D;
  /** What the handler returned, or, where that was nothing, what `done()` was called with. */
  result: unknown = undefined;
  /** What the event failed with; it stays when an error hook takes it. */
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
   * Aborted when the event's timeout is over or its context is dropped, while the event runs and never afterwards;
   * when its listener stops and the grace is over, while it runs or is not done; or when
   * {@linkcode Event.abort} is called.
   */
  get signal(): AbortSignal {
    const extra = this.#extra;
    if (extra.controller === null) {
      extra.controller = new AbortController();
      if (extra.abort !== null) extra.controller.abort(extra.abort.reason);
    }
    return extra.controller.signal;
  }

  /** Whether the handler or a hook runs, or will go on. */
  get running(): boolean {
    return this.#phase === "running" || this.#phase === "failing";
  }

  /** Whether the event is done: those who wait for it have been woken. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Whether the event failed as its own `timeout` was over: `error` is a {@linkcode TimeoutError}. */
  get isTimedOut(): boolean {
    return this.#extras !== null && this.#extras.isTimedOut;
  }

  /** Whether the event is done when its handler and the after hooks are over. */
  get autoDone(): boolean {
    return this.#extras === null || this.#extras.autoDone;
  }

  /**
   * Leaves it to the application to call `done()`. An event that fails is done all the same. Until it is done the
   * event is in flight, also where its context was dropped: `stop()` waits for it, as long as the grace is.
   */
  preventAutoDone(): void {
    this.#extra.autoDone = false;
  }

  /**
   * Says that the event is done, and wakes those who wait for it. What the handler returns after that is for its
   * task, and no more for them, whenever they come.
   *
   * @param result The event's result; what the handler returned if not given.
   * @throws {EventAlreadyDone} It was done before.
   */
  done(result: unknown = this.result): void {
    if (this.#isDone) {
      throw new EventAlreadyDone(
        `Cannot call done() on ${
          describe(this)
        }: it is done already; call preventAutoDone() in its handler ` +
          "to have it done by done() alone",
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

  /** What those get who wait for the event. */
  get #outcome(): unknown {
    if (this.#extras === null) return this.result;
    const { outcome, hasFailed } = this.#extras;
    if (outcome !== null) return outcome.result;
    return hasFailed ? undefined : this.result;
  }

  /**
   * Asks the event to end, by its `signal`: its handler, or, where that is over, what it has begun.
   *
   * @param reason The signal's reason; an `AbortError` if not given.
   */
  abort(reason?: unknown): void {
    const extra = this.#extra;
    if (extra.abort !== null) return;
    reason ??= new DOMException("The event was aborted", "AbortError");
    extra.abort = { reason };
    extra.controller?.abort(reason);
  }

  /**
   * Waits until this event is done.
   *
   * @param timeout Milliseconds; without it, as long as the context lives.
   * @returns The event's result; `undefined` where it failed, with the reason in `error`.
   * @throws {RangeError} `timeout` is not a number of milliseconds.
   * @throws {TimeoutError} `timeout` is over.
   * @throws {ContextNotFound} The context was dropped.
   */
  waitUntilDone(timeout?: number): Promise<unknown> {
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
   * Waits until `n` events of the route called `name` are done in this context, those included that were
   * done before.
   *
   * @returns The results of the first `n` that are done, oldest first; `undefined` where one failed.
   * @throws {EventNotFound} No route has that name.
   * @throws {RangeError} `n` is no whole number from 1 up, or `timeout` not a number of milliseconds.
   * @throws {TimeoutError} `timeout` is over.
   * @throws {ContextNotFound} The context was dropped, or was made for an event alone, and no event of it is in flight.
   */
  waitEventDone(name: string, options: WaitEventDoneOptions = {}): Promise<unknown[]> {
    return handled(this.#waitEventDone(name, options));
  }

  async #waitEventDone(name: string, { n = 1, timeout }: WaitEventDoneOptions): Promise<unknown[]> {
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
    // A context that was made for an event alone, which is over: nobody comes here any more.
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
   * Gives what a dependency is in this context: see {@linkcode depends}.
   *
   * @throws {TypeError} It is no dependency, or is used to make itself.
   * @throws {TimeoutError} The dependency's timeout is over.
   * @throws {ContextNotFound} The context was dropped, and the dependency was not made before.
   */
  use<T>(dependency: Dependency<T, this>): Promise<T> {
    return resolveDependency(this, dependency);
  }

  #run(): EventTask {
    const task = new EventTask(this);
    const dispatcher = dispatcherOf(this.listener);
    const { hooks } = dispatcher;
    this.#phase = "running";
    const firstStep = this.route.options.data === undefined ? 0 : CHECK;
    this.#advance(task, dispatcher, hooks, firstStep);
    // Only what is left to wait for needs a timer and a place among the events in flight.
    if (this.running || !this.#isDone) this.#inFlight = dispatcher.enter(this);
    const timeout = this.#extras?.timeout;
    if ((this.#phase as Phase) === "running" && timeout !== undefined) {
      this.#extra.timer = setTimeout(() => {
        const message = `Cannot finish ${describe(this)}: not over after ${timeout} ms`;
        const error = new TimeoutError(message);
        this.#extra.isTimedOut = true;
        this.abort(error);
        this.#fail(task, dispatcher, hooks, error);
      }, timeout);
    }
    return task;
  }

  /**
   * Runs the steps from number `step` on: the check of the data, the before hooks, the handler, the after hooks.
   * Where a before hook says that the event is done, those that follow and the handler are left out.
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
        if (isPromiseLike(value)) {
          const waiting = step;
          Promise.resolve(value).then(
            (value) => {
              if (this.#phase !== "running") return;
              if (waiting === handlerStep) this.#setResult(value);
              this.#advance(task, dispatcher, hooks, waiting + 1);
            },
            (error) => this.#fail(task, dispatcher, hooks, error),
          );
          return;
        }
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

  /** A result that `done()` was called with stays where the handler returns none. */
  #setResult(value: unknown): void {
    if (value !== undefined || !this.#isDone) this.result = value;
  }

  /** Returns a promise where the check does. */
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
    const message = `Cannot take data of ${describe(this)}: ${detailOf(cause)}`;
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

  /** Runs each of `hooks`, also after one that throws; the first thing thrown is the task's failure. */
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
      if (failed) this.#extra.hasFailed = true;
      this.#becomeDone(dispatcher);
    }
    dispatcher.notifyOver(this);
  }

  #clearTimer(): void {
    // Where there is none, the runtime's timers need not be loaded.
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
        // Later: a hook that triggers events, whose hooks do so too, has filled the stack.
        Promise.resolve().then(() => report(error));
      }
    }
  }
}

/** Lets the process end before `timer`. */
function unref(timer: ReturnType<typeof setTimeout>): void {
  if (typeof timer === "object") (timer as { unref?(): void }).unref?.();
  else globalThis.Deno?.unrefTimer(timer);
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
