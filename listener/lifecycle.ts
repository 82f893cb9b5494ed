// Lifecycle: how a listener starts, runs and stops.
//
//   start    startup callbacks, then listen()
//   run      start, then wait until the source has finished and no event is in flight, or stop() is called
//   stop     the source is closed, and stopSignal aborted; events in flight and the source have the grace
//            period to finish; those that have not are aborted; shutdown callbacks come last

import type { AnyEvent, AnyListener, Dispatcher } from "./dispatcher.ts";
import { DuplicateListener, ListenerNotFound } from "./errors.ts";
import { onTermination } from "./signals.ts";
import { handled } from "./time_limit.ts";

/** A source of events that keeps running after {@linkcode Listener.listen} has set it up. */
export interface Source {
  /** Resolves when the source has ended, and rejects if it failed. A failure after `close()` is ignored. */
  readonly finished: PromiseLike<unknown>;
  /** Stops accepting events; those in progress are finished. Called once, when the listener stops. */
  readonly close?: (() => unknown) | undefined;
  /** Ends what is left at once, so that `finished` settles. Called when the grace period is over. */
  readonly abort?: ((reason: unknown) => void) | undefined;
}

/** What {@linkcode Listener.listen} returns: nothing if it triggers all its events itself, else a source. */
export type Listening = void | Source;

/** A function that runs when a listener starts or stops. */
export type LifecycleHook = () => unknown;

let runningListener: AnyListener | null = null;

/**
 * Returns the listener that is in {@linkcode Listener.run} in this process.
 *
 * ```ts
 * import { getCurrentRunningListener, Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const app = new Listener();
 * app.startup(() => assertEquals(getCurrentRunningListener(), app));
 * await app.run();
 * ```
 *
 * @throws {ListenerNotFound} No listener is in `run()`.
 */
export function getCurrentRunningListener(): AnyListener {
  if (runningListener === null) {
    throw new ListenerNotFound(
      "Cannot get the running listener: no listener is in run(); call it while one is running, or use event.listener",
    );
  }
  return runningListener;
}

export class Lifecycle {
  readonly startup: LifecycleHook[] = [];
  readonly shutdown: LifecycleHook[] = [];
  readonly #listener: AnyListener;
  readonly #dispatcher: Dispatcher;
  /**
   * Reports errors that may have nothing awaiting them: of the source, or of a start() called by a shutdown
   * callback.
   */
  readonly #report: (error: unknown) => void;
  /** The grace period in milliseconds from the next start on; undefined for no limit. */
  grace: number | undefined;
  /** The grace period of this run. */
  #grace: number | undefined;
  #starting: Promise<void> | null = null;
  /** Settles when the startup callbacks are over, before listen() is called. */
  #startingUp: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  /** The start() that waits for stop() to end; another stop() cancels it by setting this to null. */
  #queued: Promise<void> | null = null;
  /** Events whose handlers may await stop(), so that it must not wait for them. */
  #callers = new Set<AnyEvent>();
  /** Notifies stop() of a caller. */
  #onCaller: () => void = () => {};
  #source: Source | null = null;
  /** The errors that the source failed with before it was closed. */
  #failures: unknown[] = [];
  /**
   * A startup or shutdown callback is on the stack. start() and stop() wait for it, so it must not wait for
   * them.
   */
  #isInCallback = false;
  /** What a stop() called by a handler does not wait for: the event of that handler. */
  #rest: Promise<void> | null = null;
  /** Aborted when stop() begins. */
  #closing = new AbortController();
  /** Notifies run() that stop() was called. */
  #onStop: (stopped: { done: Promise<void> }) => void = () => {};

  constructor(
    listener: AnyListener,
    dispatcher: Dispatcher,
    options: { grace: number | undefined; report: (error: unknown) => void },
  ) {
    this.#listener = listener;
    this.#dispatcher = dispatcher;
    this.grace = options.grace;
    this.#report = options.report;
  }

  get stopSignal(): AbortSignal {
    return this.#closing.signal;
  }

  start(): Promise<void> {
    if (this.#stopping !== null) return this.#startAfter(this.#stopping);
    if (this.#isInCallback) return Promise.resolve();
    return this.#starting ??= this.#start();
  }

  #startAfter(stopping: Promise<void>): Promise<void> {
    const queued = this.#queued ??= succeeds(stopping).then(async () => {
      // If a shutdown callback calls a start() that always fails, nothing else would ever run.
      if (this.#queued === queued) await nextTurn();
      if (this.#queued !== queued) return;
      this.#queued = null;
      return this.start();
    });
    if (!this.#isInCallback) return queued;
    // The callback cannot wait for it: it runs after the callback.
    queued.catch(this.#report);
    return Promise.resolve();
  }

  async #start(): Promise<void> {
    this.#dispatcher.run++;
    this.#grace = this.grace;
    // Set before the first callback runs, which may call stop().
    let settle: (outcome: Promise<void>) => void;
    const startingUp = this.#startingUp = new Promise<void>((resolve) => settle = resolve);
    startingUp.catch(() => {});
    const isGivenUp = (): boolean => this.#startingUp !== startingUp;
    const isStopped = (): boolean => isGivenUp() || this.#stopping !== null;
    try {
      const startup = this.#runStartup(isGivenUp);
      settle!(startup);
      await startup;
    } catch (error) {
      if (!isStopped()) this.#reset();
      throw error;
    }
    if (isStopped()) return;
    // A startup callback may have changed it, like anything else that listen() reads.
    this.#grace = this.grace;
    try {
      const source = await this.#listener.listen() ?? null;
      checkSource(source);
      // Only run() waits for its end, or else stop(), which may be called late or never.
      source?.finished.then(undefined, (error) => {
        if (this.#source !== source || this.#stopping !== null) return;
        this.#failures.push(error);
        if (runningListener !== this.#listener) this.#report(error);
      });
      if (!isStopped()) this.#source = source;
      else if (source !== null) void new Ending(source, []).abort(listenerStopped());
    } catch (error) {
      // If stop() was called, it has asked listen() to end.
      if (isStopped()) return;
      throw await withThatOf(this.#beginStop(startingUp), error);
    }
  }

  async #runStartup(isGivenUp: () => boolean): Promise<void> {
    for (const hook of this.startup) {
      await this.#call(hook);
      if (isGivenUp()) return;
    }
  }

  #call(hook: LifecycleHook): unknown {
    this.#isInCallback = true;
    try {
      return hook();
    } finally {
      this.#isInCallback = false;
    }
  }

  async run(): Promise<void> {
    if (runningListener !== null) {
      throw new DuplicateListener(
        "Cannot run the listener: another one is already in run(); use start() and stop() for the second one",
      );
    }
    runningListener = this.#listener;
    this.#rest = null;
    const removeSignals = onTermination(() => void this.stop().catch(() => {}));
    try {
      const stopped = new Promise<{ done: Promise<void> }>((resolve) => this.#onStop = resolve);
      const end = await Promise.race([this.#live(), stopped]);
      await (end?.done ?? this.stop());
      await this.#rest;
    } catch (error) {
      throw await withThatOf(this.stop().then(() => this.#rest), error);
    } finally {
      removeSignals();
      runningListener = null;
    }
  }

  async #live(): Promise<undefined> {
    await this.start();
    await this.#source?.finished;
    await this.#dispatcher.idle();
  }

  stop(): Promise<void> {
    const startingUp = this.#startingUp;
    this.#queued = null;
    if (startingUp === null) return Promise.resolve();
    const stopping = this.#stopping ?? this.#beginStop(startingUp);
    const callers = this.#dispatcher.onStack;
    if (callers.length > 0) {
      for (const event of callers) this.#callers.add(event);
      this.#dispatcher.checkIdle();
      this.#onCaller();
    }
    this.#onStop({ done: stopping });
    if (!this.#isInCallback) return stopping;
    stopping.catch(() => {});
    return Promise.resolve();
  }

  #beginStop(startingUp: Promise<void>): Promise<void> {
    // Set before anything is notified, which may call stop() or start() in turn.
    let begin: (stopped: Promise<void>) => void;
    const stopping = this.#stopping = new Promise<void>((resolve) => begin = resolve);
    begin!(this.#stop(startingUp));
    return stopping;
  }

  async #stop(startingUp: Promise<void>): Promise<void> {
    const callers = this.#callers = new Set();
    const hasCaller = new Promise<void>((resolve) => this.#onCaller = resolve);
    this.#rest = null;
    try {
      const errors = this.#failures;
      const source = this.#source === null ? null : new Ending(this.#source, errors);
      // Aborted after the source is closed: listeners of the signal may disconnect their peers, which must
      // not be able to reconnect. A startup callback may be waiting for it.
      this.#closing.abort(listenerStops());
      if (await inTime(succeeds(startingUp), this.#grace) === false) return;
      // The end of the source may depend on the callers, as the response to a request does.
      const ended = source && Promise.race([source.isOver, hasCaller.then(() => source.isClosed)]);
      const isInTime = await this.#finish((event) => !callers.has(event), ended);
      if (callers.size > 0) this.#rest = handled(this.#finishCallers(source, isInTime, errors));
      else if (!isInTime) await source?.abort(graceIsOver());
      // Kept apart from `errors`, which the end of the callers may throw in the meantime, where nothing
      // awaits it.
      const ofCallbacks: unknown[] = [];
      for (const hook of this.shutdown) {
        try {
          await this.#call(hook);
        } catch (error) {
          ofCallbacks.push(error);
        }
      }
      throwAll([...errors.splice(0), ...ofCallbacks]);
    } finally {
      this.#reset();
    }
  }

  /**
   * Gives the events in flight that `counts` accepts, and the source, the grace period to finish, then gives
   * up the events that are left.
   *
   * @returns Whether all have finished in time.
   */
  async #finish(
    counts: (event: AnyEvent) => boolean,
    ended: Promise<unknown> | null,
  ): Promise<boolean> {
    const { run } = this.#dispatcher;
    const all = Promise.all([this.#dispatcher.idle(counts, run), ended]);
    if (await inTime(all, this.#grace) !== undefined) return true;
    this.#dispatcher.giveUp(counts, run, graceIsOver());
    return false;
  }

  /** Finishes a stop() that handlers called: their events, later ones, and the source. */
  async #finishCallers(
    source: Ending | null,
    wereOthersInTime: boolean,
    errors: unknown[],
  ): Promise<void> {
    // If the others were given up, the source has had its grace period along with them.
    const ended = wereOthersInTime && source !== null ? source.isOver : null;
    await this.#finish(() => true, ended);
    const isOver = source === null || await inTime(source.isOver, 0) !== undefined;
    if (!isOver) await source.abort(graceIsOver());
    throwAll(errors.splice(0));
  }

  /** Prepares the listener for another start(). */
  #reset(): void {
    // Cleared first: if a listener of the signal calls stop() after a failed start, there is nothing to stop,
    // and that stop() would end during the next run.
    this.#startingUp = null;
    this.#closing.abort(listenerStops());
    this.#closing = new AbortController();
    this.#starting = null;
    this.#stopping = null;
    this.#source = null;
    this.#failures = [];
  }
}

/** Throws the collected errors, if any. */
function throwAll(errors: unknown[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) {
    throw new AggregateError(errors, `Cannot stop cleanly: ${errors.length} errors`);
  }
}

/** Returns `error`, combined with the error that `stopping` rejects with, if any. */
async function withThatOf(stopping: Promise<unknown>, error: unknown): Promise<unknown> {
  try {
    await stopping;
    return error;
  } catch (failure) {
    const all = failure instanceof AggregateError ? failure.errors : [failure];
    if (all.includes(error)) return failure;
    return new AggregateError([error, failure], "Cannot stop cleanly after a failure: 2 errors");
  }
}

/** A source that has been closed: it accepts no more events. */
class Ending {
  /** Resolves when `close()` is over. */
  readonly isClosed: Promise<unknown>;
  /** Resolves when `close()` and the source are over. */
  readonly isOver: Promise<unknown>;
  readonly #source: Source;
  readonly #errors: unknown[];

  /** Closes `source`; errors that it throws are added to `errors`. */
  constructor(source: Source, errors: unknown[]) {
    this.#source = source;
    this.#errors = errors;
    this.isClosed = this.#collect(() => source.close?.());
    this.isOver = Promise.all([this.isClosed, succeeds(source.finished)]);
  }

  /** Ends what is left at once. */
  async abort(reason: unknown): Promise<void> {
    const { abort } = this.#source;
    if (abort === undefined) return;
    let aborting: unknown;
    try {
      aborting = abort.call(this.#source, reason);
    } catch (error) {
      this.#errors.push(error);
      return;
    }
    // abort() itself may never end, so wait for its effect instead.
    void this.#collect(() => aborting);
    await succeeds(this.#source.finished);
  }

  async #collect(step: () => unknown): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#errors.push(error);
    }
  }
}

function listenerStopped(): DOMException {
  return new DOMException("The listener was stopped", "AbortError");
}

function listenerStops(): DOMException {
  return new DOMException("The listener is stopping", "AbortError");
}

function graceIsOver(): DOMException {
  return new DOMException("The listener is stopping, and the grace period is over", "AbortError");
}

/** Checks the result of {@linkcode Listener.listen}, which may be anything if types are not checked. */
function checkSource(source: Source | null): void {
  if (source === null || typeof source.finished?.then === "function") return;
  throw new TypeError(
    "Cannot listen: listen() must return nothing or a Source, whose `finished` is a promise",
  );
}

/** Lets the event loop handle whatever else is pending. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Whether `promise` resolves. */
function succeeds(promise: PromiseLike<unknown>): Promise<boolean> {
  return Promise.resolve(promise).then(() => true, () => false);
}

/** Returns what `promise` resolves to within `milliseconds`, else undefined. The timer is always cleared. */
async function inTime<T>(promise: Promise<T>, milliseconds?: number): Promise<T | undefined> {
  if (milliseconds === undefined) return await promise;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
