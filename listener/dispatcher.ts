// The state that the running events of one listener share: the hooks, the events in flight, the waits for
// events to be done, and the failures that nothing has awaited yet. Context, Event and Lifecycle meet here,
// so that none of them depends on the internals of another.

import type { Context } from "./context.ts";
import type { Event } from "./event.ts";
import type { EventTask } from "./event_task.ts";
import type { Listener } from "./listener.ts";

/** An event of any context, params and data. */
// deno-lint-ignore no-explicit-any
export type AnyEvent = Event<any, any, any>;

/** A listener of any contexts and converters. */
// deno-lint-ignore no-explicit-any
export type AnyListener = Listener<any, any>;

/** A hook that runs for every event of a listener. */
export type EventHook<C extends Context = Context> = (event: Event<C>) => unknown;

/** A hook for events that fail with an error of `type`. */
export interface ErrorHook {
  // deno-lint-ignore no-explicit-any
  readonly type: abstract new (...args: any[]) => unknown;
  // deno-lint-ignore no-explicit-any
  readonly handle: (event: AnyEvent, error: any) => unknown;
}

/**
 * The hooks of a listener. They are replaced as a whole, so that a running event keeps those it began with.
 */
export interface Hooks {
  // deno-lint-ignore no-explicit-any
  readonly before: readonly EventHook<any>[];
  // deno-lint-ignore no-explicit-any
  readonly after: readonly EventHook<any>[];
  readonly onError: readonly ErrorHook[];
  // deno-lint-ignore no-explicit-any
  readonly finally: readonly EventHook<any>[];
}

/** A wait for something that happens in a context. */
export interface Watcher {
  done(event: AnyEvent): void;
  /** The event has ended, done or not. */
  over?(event: AnyEvent): void;
  dropped(): void;
}

/** Runs `callback` once the pending microtasks are done; it does not keep the process alive any longer. */
function afterMicrotasks(callback: () => void): void {
  // Looked up late: Deno loads its timers on first access, which takes a tenth of a program's startup time.
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  if (setImmediate === undefined) setTimeout(callback, 0);
  else setImmediate(callback);
}

const resolved = Promise.resolve();

/** The place of an event that was given up: it may still run, but nothing waits for it. */
const GIVEN_UP = -1;

/**
 * An entry among the events in flight: from the moment the event waits for something until it is over and
 * done.
 */
export class InFlight {
  readonly event: AnyEvent;
  place: number;
  /** The run of the listener in which the event began. */
  readonly run: number;

  constructor(event: AnyEvent, place: number, run: number) {
    this.event = event;
    this.place = place;
    this.run = run;
  }
}

export class Dispatcher {
  hooks: Hooks = { before: [], after: [], onError: [], finally: [] };
  /** The events whose handlers or hooks are on the stack, the innermost last. */
  readonly onStack: AnyEvent[] = [];
  // Not a Set: with constant insertions and deletions, it keeps rebuilding its table. Each old table
  // references the next one, and the minor garbage collector follows that chain to everything that was in
  // them since the last major collection (parsing JSON bodies took a quarter longer).
  readonly #inFlight: InFlight[] = [];
  readonly #watchers = new Map<Context, Set<Watcher>>();
  /** Contexts created for a single event, with the number of their events in flight. */
  readonly #passing = new Map<Context, number>();
  /** Removes a context from those of the listener. */
  readonly release: (ctx: Context) => void;
  /** Reports a failure that nothing awaits. */
  readonly report: (event: AnyEvent, error: unknown) => void;
  /** How often the listener has started: distinguishes the events of one run from those of the next. */
  run = 0;
  #failures: EventTask[] = [];
  #onLeave: Set<() => void> = new Set();

  constructor(
    release: (ctx: Context) => void,
    report: (event: AnyEvent, error: unknown) => void,
  ) {
    this.release = release;
    this.report = report;
  }

  /**
   * Adds `event` to those in flight.
   *
   * @returns The entry to pass to `leave()`.
   */
  enter(event: AnyEvent): InFlight {
    const entry = new InFlight(event, this.#inFlight.length, this.run);
    this.#inFlight.push(entry);
    const count = this.#passing.size > 0 ? this.#passing.get(event.ctx) : undefined;
    if (count !== undefined) this.#passing.set(event.ctx, count + 1);
    return entry;
  }

  leave(entry: InFlight): void {
    if (entry.place >= 0) this.#takeOut(entry);
    if (this.#passing.size > 0) this.#countDown(entry.event.ctx);
    this.checkIdle();
  }

  #takeOut(entry: InFlight): void {
    const last = this.#inFlight.pop()!;
    if (last !== entry) {
      this.#inFlight[entry.place] = last;
      last.place = entry.place;
    }
  }

  /**
   * Aborts the in-flight events of `run` and of earlier runs that `counts` accepts. Nothing waits for them
   * any more.
   */
  giveUp(counts: (event: AnyEvent) => boolean, run: number, reason: unknown): void {
    const left = this.#inFlight.filter((entry) => entry.run <= run && counts(entry.event));
    for (const entry of left) {
      this.#takeOut(entry);
      entry.place = GIVEN_UP;
    }
    for (const { event } of left) giveUp(event, reason);
    this.checkIdle();
  }

  /** Makes pending `idle()` calls check again. */
  checkIdle(): void {
    if (this.#onLeave.size > 0) { for (const check of this.#onLeave) check(); }
  }

  /** Whether an event of `ctx` is in flight or on the stack. */
  hasEventsIn(ctx: Context): boolean {
    return this.onStack.some((event) => event.ctx === ctx) ||
      this.#inFlight.some(({ event }) => event.ctx === ctx);
  }

  /** Runs `trigger` with a context that is kept only while one of its events is in flight. */
  passing<T>(ctx: Context, trigger: () => T): T {
    this.#passing.set(ctx, 1);
    try {
      return trigger();
    } finally {
      this.#countDown(ctx);
    }
  }

  /** Drops one reference to `ctx`, if it is a passing context that has not been dropped yet. */
  #countDown(ctx: Context): void {
    const count = this.#passing.get(ctx);
    if (count === undefined) return;
    this.#passing.set(ctx, count - 1);
    if (count > 1) return;
    this.release(ctx);
    // Waits that are left in it could never end.
    this.notifyDropped(ctx);
  }

  /** Resolves when none of the events in flight that began in `run` or earlier is accepted by `counts`. */
  async idle(
    counts: (event: AnyEvent) => boolean = () => true,
    run: number = Infinity,
  ): Promise<void> {
    const isIdle = (): boolean =>
      !this.#inFlight.some((entry) => entry.run <= run && counts(entry.event));
    if (isIdle()) return;
    let check: () => void;
    await new Promise<void>((resolve) => {
      check = () => isIdle() && resolve();
      this.#onLeave.add(check);
    });
    this.#onLeave.delete(check!);
  }

  /** Notifies `watcher` of what happens in `ctx` until the returned function is called. */
  watch(ctx: Context, watcher: Watcher): () => void {
    let watchers = this.#watchers.get(ctx);
    if (watchers === undefined) this.#watchers.set(ctx, watchers = new Set());
    watchers.add(watcher);
    return () => {
      if (watchers.delete(watcher) && watchers.size === 0) this.#watchers.delete(ctx);
    };
  }

  notifyDone(event: AnyEvent): void {
    if (this.#watchers.size === 0) return;
    for (const watcher of this.#watchers.get(event.ctx) ?? []) watcher.done(event);
  }

  notifyOver(event: AnyEvent): void {
    if (this.#watchers.size === 0) return;
    for (const watcher of this.#watchers.get(event.ctx) ?? []) watcher.over?.(event);
  }

  notifyDropped(ctx: Context): void {
    if (this.#passing.size > 0) this.#passing.delete(ctx);
    if (this.#watchers.size === 0) return;
    for (const watcher of this.#watchers.get(ctx) ?? []) watcher.dropped();
  }

  /** Reports the failure of `task` unless it is awaited before the pending microtasks are done. */
  failed(task: EventTask): void {
    // Handlers that trigger events may have filled the stack, in which case this throws. So it comes before
    // the task is added: a list that is not empty has a report scheduled. And Deno must not be called before
    // the stack is empty, or it panics.
    if (this.#failures.length === 0) {
      resolved.then(() => afterMicrotasks(() => this.#reportFailures()));
    }
    this.#failures.push(task);
  }

  #reportFailures(): void {
    const failures = this.#failures;
    this.#failures = [];
    for (const task of failures) {
      if (!task.isAwaited) this.report(task.event, task.reason);
    }
  }
}

/**
 * Aborts an event that nothing waits for any more; its timeout no longer keeps the process alive. Set by
 * `event.ts`.
 */
let giveUp: (event: AnyEvent, reason: unknown) => void;

export function setGiveUp(how: typeof giveUp): void {
  giveUp = how;
}

/** Returns the dispatcher of a listener. Set by `listener.ts`, which alone can access it. */
export let dispatcherOf: (listener: AnyListener) => Dispatcher;

export function setDispatcherOf(get: (listener: AnyListener) => Dispatcher): void {
  dispatcherOf = get;
}
