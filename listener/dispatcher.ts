// What the events of one listener have in common while they run: the hooks, which events are in flight,
// who waits for an event to be done, and which failures nobody has asked for. Context, Event and
// Lifecycle meet here, so that none of them needs to know the inside of another.

import type { Context } from "./context.ts";
import type { Event } from "./event.ts";
import type { EventTask } from "./event_task.ts";
import type { Listener } from "./listener.ts";

/** An event of whatever context and params. */
// deno-lint-ignore no-explicit-any
export type AnyEvent = Event<any, any, any>;

/** A listener of whatever contexts and converters. */
// deno-lint-ignore no-explicit-any
export type AnyListener = Listener<any, any>;

/** A hook of all events of a listener. */
export type EventHook<C extends Context = Context> = (event: Event<C>) => unknown;

/** What runs when an event failed with an error of `type`. */
export interface ErrorHook {
  // deno-lint-ignore no-explicit-any
  readonly type: abstract new (...args: any[]) => unknown;
  // deno-lint-ignore no-explicit-any
  readonly handle: (event: AnyEvent, error: any) => unknown;
}

/** The hooks of a listener; replaced as a whole, so that a running event keeps those it began with. */
export interface Hooks {
  // deno-lint-ignore no-explicit-any
  readonly before: readonly EventHook<any>[];
  // deno-lint-ignore no-explicit-any
  readonly after: readonly EventHook<any>[];
  readonly onError: readonly ErrorHook[];
  // deno-lint-ignore no-explicit-any
  readonly finally: readonly EventHook<any>[];
}

/** Who waits for something in a context. */
export interface Watcher {
  done(event: AnyEvent): void;
  /** It runs no more, done or not. */
  over?(event: AnyEvent): void;
  dropped(): void;
}

/** Runs `callback` when the microtasks of now are done; it keeps no process alive longer than that. */
function afterMicrotasks(callback: () => void): void {
  // Deno loads its timers, a tenth of the time that a program takes to start, when they are looked up first.
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  if (setImmediate === undefined) setTimeout(callback, 0);
  else setImmediate(callback);
}

const resolved = Promise.resolve();

/** No place: the event runs on, and nobody waits for it. */
const GIVEN_UP = -1;

/** The place of an event among those in flight: from the moment it waits for something until it is over and done. */
export class InFlight {
  readonly event: AnyEvent;
  place: number;
  /** The run of the listener in which it began. */
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
  // Not a Set: that makes itself anew all the time as events come and go, each old table holds on to the
  // next, and a collector of the young follows that chain to all that has been in them since the last
  // collection of the old (a parsed JSON body took a quarter more time).
  readonly #inFlight: InFlight[] = [];
  readonly #watchers = new Map<Context, Set<Watcher>>();
  /** Contexts made for a single event, with the number of their events in flight. */
  readonly #passing = new Map<Context, number>();
  /** Takes a context out of those of the listener. */
  readonly release: (ctx: Context) => void;
  /** Tells of a failure that nobody awaits. */
  readonly report: (event: AnyEvent, error: unknown) => void;
  /** How often the listener has started: tells events of one run from those of the next. */
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

  /** Counts `event` as one in flight. @returns What it leaves with. */
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

  /** Aborts the events of `run`, and of those before, that `counts` and are in flight: nobody waits for them any more. */
  giveUp(counts: (event: AnyEvent) => boolean, run: number, reason: unknown): void {
    const left = this.#inFlight.filter((entry) => entry.run <= run && counts(entry.event));
    for (const entry of left) {
      this.#takeOut(entry);
      entry.place = GIVEN_UP;
    }
    for (const { event } of left) giveUp(event, reason);
    this.checkIdle();
  }

  /** Has whoever waits for events to be over check again. */
  checkIdle(): void {
    if (this.#onLeave.size > 0) { for (const check of this.#onLeave) check(); }
  }

  /** Whether an event of `ctx` is in flight, or about to be. */
  hasEventsIn(ctx: Context): boolean {
    return this.onStack.some((event) => event.ctx === ctx) ||
      this.#inFlight.some(({ event }) => event.ctx === ctx);
  }

  /** Runs `trigger`, whose context is kept only as long as one of its events is in flight. */
  passing<T>(ctx: Context, trigger: () => T): T {
    this.#passing.set(ctx, 1);
    try {
      return trigger();
    } finally {
      this.#countDown(ctx);
    }
  }

  /** One thing less keeps `ctx`, if it is a passing one that was not dropped meanwhile. */
  #countDown(ctx: Context): void {
    const count = this.#passing.get(ctx);
    if (count === undefined) return;
    this.#passing.set(ctx, count - 1);
    if (count > 1) return;
    this.release(ctx);
    // Who still waits in it waits for nothing.
    this.notifyDropped(ctx);
  }

  /** Resolves when no event is in flight that `counts`, and has begun in `run` or before it. */
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

  /** Tells `watcher` of what happens in `ctx` until the function returned is called. */
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

  /** Logs the failure of `task` unless somebody asks for it before the microtasks of now are done. */
  failed(task: EventTask): void {
    // Handlers that trigger events may have filled the stack. Then this throws, before the task is one of those that
    // somebody will look at; and Deno must not be called before the stack is empty, or it panics.
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

/** Aborts an event that nobody waits for any more; its timeout keeps no process alive. `event.ts` says how. */
let giveUp: (event: AnyEvent, reason: unknown) => void;

export function setGiveUp(how: typeof giveUp): void {
  giveUp = how;
}

/** The dispatcher of a listener: `listener.ts` says how, which alone sees it. */
export let dispatcherOf: (listener: AnyListener) => Dispatcher;

export function setDispatcherOf(get: (listener: AnyListener) => Dispatcher): void {
  dispatcherOf = get;
}
