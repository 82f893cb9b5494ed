// Lifecycle: how a listener starts, runs and stops.
//
//   start    startup callbacks, then listen()
//   run      start, then until the source has finished and no event is in flight, or stop() is called
//   stop     the source is closed, and stopSignal aborted; events in flight and the source have the grace to
//            finish; those that have not are aborted; shutdown callbacks come last

import type { AnyEvent, AnyListener, Dispatcher } from "./dispatcher.ts";
import { DuplicateListener, ListenerNotFound } from "./errors.ts";
import { onTermination } from "./signals.ts";
import { handled } from "./time_limit.ts";

/** A source of events that goes on after {@linkcode Listener.listen} has set it up. */
export interface Source {
  /** Resolves when the source has ended; rejects when it failed. After `close()` a failure has no effect. */
  readonly finished: PromiseLike<unknown>;
  /** Takes no more events in; those under way are finished. Called once, when the listener stops. */
  close?(): unknown;
  /** Ends what is left at once, and so settles `finished`. Called when the grace is over. */
  abort?(reason: unknown): void;
}

/** What {@linkcode Listener.listen} returns: nothing, where events are only triggered within it. */
export type Listening = void | Source;

/** A function to run when a listener starts or stops. */
export type LifecycleHook = () => unknown;

let runningListener: AnyListener | null = null;

/**
 * The listener that is in {@linkcode Listener.run} in this process.
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
 * @throws {ListenerNotFound} None is.
 */
export function getCurrentRunningListener(): AnyListener {
  if (runningListener === null) {
    throw new ListenerNotFound(
      "Cannot get the running listener: none is in run(); call it while one runs, or use event.listener",
    );
  }
  return runningListener;
}

export class Lifecycle {
  readonly startup: LifecycleHook[] = [];
  readonly shutdown: LifecycleHook[] = [];
  readonly #listener: AnyListener;
  readonly #dispatcher: Dispatcher;
  /** Tells what nobody may wait for: that the source has failed, or a start() that a shutdown callback called. */
  readonly #report: (error: unknown) => void;
  /** Milliseconds that events in flight have to finish, from the next start on; undefined for no limit. */
  grace: number | undefined;
  /** That of this run. */
  #grace: number | undefined;
  #starting: Promise<void> | null = null;
  /** Settles when the startup callbacks are over, before listen() is called. */
  #startingUp: Promise<void> | null = null;
  #isUp = false;
  #stopping: Promise<void> | null = null;
  /** The start() that waits for the end of stop(). */
  #queued: { promise: Promise<void>; isCancelled: boolean } | null = null;
  /** Events whose handlers may wait for stop(), so that it cannot wait for them. */
  #callers = new Set<AnyEvent>();
  /** Tells stop() that there is one. */
  #onCaller: () => void = () => {};
  #source: Source | null = null;
  /** What the source has failed with by itself. */
  #failures: unknown[] = [];
  /** A startup or shutdown callback is on the stack: it is waited for, so it cannot wait. */
  #isInCallback = false;
  /** What stop() leaves behind where a handler called it: the event of that handler. */
  #rest: Promise<void> | null = null;
  /** Tells those who ask for it that stop() has begun. */
  #closing = new AbortController();
  /** Tells run() that stop() was called. */
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
    if (this.#queued === null) {
      const promise = succeeds(stopping).then(async () => {
        // Where start() fails each time, and a shutdown callback calls it, nothing else would ever run.
        if (!queued.isCancelled) await nextTurn();
        if (queued.isCancelled) return;
        this.#queued = null;
        return this.start();
      });
      const queued = this.#queued = { promise, isCancelled: false };
    }
    if (!this.#isInCallback) return this.#queued.promise;
    // Nobody can wait for it there: it comes after the callback.
    this.#queued.promise.catch(this.#report);
    return Promise.resolve();
  }

  async #start(): Promise<void> {
    this.#dispatcher.run++;
    this.#grace = this.grace;
    // It is known before the first callback runs, which may call stop().
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
    this.#isUp = true;
    // A startup callback may have set it anew, as it may what listen() looks at.
    this.#grace = this.grace;
    try {
      const source = await this.#listener.listen() ?? null;
      checkSource(source);
      // Who waits for its end is run(), or else stop(), which may come late or never.
      source?.finished.then(undefined, (error) => {
        if (this.#source !== source || this.#stopping !== null) return;
        this.#failures.push(error);
        if (runningListener !== this.#listener) this.#report(error);
      });
      if (!isStopped()) this.#source = source;
      else if (source !== null) void new Ending(source, []).abort(listenerStopped());
    } catch (error) {
      // Where stop() was called, the end of listen() is what it asked for.
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
        "Cannot run the listener: another one is in run(); use start() and stop() for the second one",
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
    if (this.#queued !== null) {
      this.#queued.isCancelled = true;
      this.#queued = null;
    }
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
    // It is known before anybody is told, who may call stop() or start() in turn.
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
      if (!this.#isUp) {
        // A startup callback may go on until it is told.
        this.#closing.abort(listenerStops());
        if (await inTime(succeeds(startingUp), this.#grace) === false) return;
      }
      const errors = this.#failures;
      const source = this.#source === null ? null : new Ending(this.#source, errors);
      // Who is told may send its peers away, and they must not come back here.
      this.#closing.abort(listenerStops());
      // It may wait for the callers, as the answer of a request does.
      const ended = source && Promise.race([source.isOver, hasCaller.then(() => source.isClosed)]);
      const isInTime = await this.#finish((event) => !callers.has(event), ended);
      if (callers.size > 0) this.#rest = handled(this.#finishCallers(source, isInTime, errors));
      else if (!isInTime) await source?.abort(graceIsOver());
      // Not among `errors`, which the end of the callers may throw meanwhile, where nobody looks.
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
   * Gives the events in flight that count, and the source, the grace to finish, and gives up the events that are left.
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

  /** What is left of a stop() that handlers called: their events, what came later, and the source. */
  async #finishCallers(
    source: Ending | null,
    wereOthersInTime: boolean,
    errors: unknown[],
  ): Promise<void> {
    // Where the others were given up, the source has had its grace with them.
    const ended = wereOthersInTime && source !== null ? source.isOver : null;
    const isInTime = await this.#finish(() => true, ended) && wereOthersInTime;
    const isOver = source === null || await inTime(source.isOver, 0) !== undefined;
    if (!isOver && !isInTime) await source.abort(graceIsOver());
    throwAll(errors.splice(0));
  }

  /** Makes the listener ready for another start(). */
  #reset(): void {
    // Who is told of a start that failed has nothing to stop: the end of that would come in the next run.
    this.#startingUp = null;
    this.#closing.abort(listenerStops());
    this.#closing = new AbortController();
    this.#starting = null;
    this.#stopping = null;
    this.#source = null;
    this.#failures = [];
    this.#isUp = false;
  }
}

/** Throws what has come together. */
function throwAll(errors: unknown[]): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) {
    throw new AggregateError(errors, `Cannot stop cleanly: ${errors.length} errors`);
  }
}

/** `error`, or where `stopping` rejects with another one, both. */
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

/** A source that is closed: it takes no more events in. */
class Ending {
  /** Resolves when `close()` is over. */
  readonly isClosed: Promise<unknown>;
  /** Resolves when the source is over, too. */
  readonly isOver: Promise<unknown>;
  readonly #source: Source;
  readonly #errors: unknown[];

  /** Closes `source`; what it throws goes to `errors`. */
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
    // It may take for ever: what is waited for is what it is to bring about.
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
  return new DOMException("The listener stops", "AbortError");
}

function graceIsOver(): DOMException {
  return new DOMException("The listener stops and the grace is over", "AbortError");
}

/** What {@linkcode Listener.listen} returned may be anything where types are not checked. */
function checkSource(source: Source | null): void {
  if (source === null || typeof source.finished?.then === "function") return;
  throw new TypeError(
    "Cannot listen: listen() must return nothing, or a Source, whose `finished` is a promise",
  );
}

/** Lets the event loop come to what else there is. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Whether `promise` resolves. */
function succeeds(promise: PromiseLike<unknown>): Promise<boolean> {
  return Promise.resolve(promise).then(() => true, () => false);
}

/** What `promise` resolves to within `milliseconds`, else undefined; the timer does not outlive it. */
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
