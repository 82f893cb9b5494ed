// Lifecycle: how a listener starts, runs and stops.
//
//   start    startup callbacks, then listen()
//   run      start, then until the source has finished and no event is in flight, or stop() is called
//   stop     the source is closed; events in flight and the source have the grace to finish; those that have
//            not are aborted; shutdown callbacks come last

import type { AnyEvent, AnyListener, Dispatcher } from "./dispatcher.ts";
import { DuplicateListener, ListenerNotFound } from "./errors.ts";
import { onTermination } from "./signals.ts";

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
  readonly #grace: number | undefined;
  #starting: Promise<void> | null = null;
  /** Settles when the startup callbacks are over, before listen() is called. */
  #startingUp: Promise<void> | null = null;
  #isUp = false;
  #stopping: Promise<void> | null = null;
  #source: Source | null = null;
  /** What stop() leaves behind where a handler called it: the event of that handler. */
  #rest: Promise<void> | null = null;
  /** Tells run() that stop() was called. */
  #onStop: (stopped: { done: Promise<void> }) => void = () => {};

  constructor(listener: AnyListener, dispatcher: Dispatcher, grace: number | undefined) {
    this.#listener = listener;
    this.#dispatcher = dispatcher;
    this.#grace = grace;
  }

  start(): Promise<void> {
    return this.#starting ??= this.#start();
  }

  async #start(): Promise<void> {
    const startingUp = this.#startingUp = runInOrder(this.startup);
    const isStopped = (): boolean => this.#startingUp !== startingUp || this.#stopping !== null;
    try {
      await startingUp;
    } catch (error) {
      this.#reset();
      throw error;
    }
    if (isStopped()) return;
    this.#isUp = true;
    try {
      const source = await this.#listener.listen() ?? null;
      // Its end is looked at by run() and stop(); until then a failure is not an unhandled one.
      source?.finished.then(undefined, () => {});
      if (isStopped()) await closeAtOnce(source);
      else this.#source = source;
    } catch (error) {
      // Where stop() was called, the end of listen() is what it asked for.
      if (isStopped()) return;
      await (this.#stopping = this.#stop(startingUp, [])).catch(() => {});
      throw error;
    }
  }

  async run(): Promise<void> {
    if (runningListener !== null) {
      throw new DuplicateListener(
        "Cannot run the listener: another one is in run(); use start() and stop() for the second one",
      );
    }
    runningListener = this.#listener;
    const removeSignals = onTermination(() => void this.stop().catch(() => {}));
    try {
      const stopped = new Promise<{ done: Promise<void> }>((resolve) => this.#onStop = resolve);
      const end = await Promise.race([this.#live(), stopped]);
      await (end?.done ?? this.stop());
      await this.#rest;
    } catch (error) {
      await this.stop().catch(() => {});
      throw error;
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
    if (this.#stopping !== null) return this.#stopping;
    if (this.#startingUp === null) return Promise.resolve();
    this.#stopping = this.#stop(this.#startingUp, [...this.#dispatcher.onStack]);
    this.#onStop({ done: this.#stopping });
    return this.#stopping;
  }

  /** @param callers Events whose handlers may wait for stop(), so that stop() cannot wait for them. */
  async #stop(startingUp: Promise<void>, callers: AnyEvent[]): Promise<void> {
    try {
      if (!this.#isUp && !await succeeds(startingUp)) return;
      const source = this.#source;
      const errors: unknown[] = [];
      try {
        await source?.close?.();
      } catch (error) {
        errors.push(error);
      }
      const finished = source === null ? undefined : succeeds(source.finished);
      if (callers.length === 0) await this.#finish(source, finished);
      else {
        await inTime(this.#dispatcher.idle(new Set(callers)), this.#grace);
        this.#rest = this.#finish(source, finished);
      }
      for (const hook of this.shutdown) {
        try {
          await hook();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length === 1) throw errors[0];
      if (errors.length > 1) {
        throw new AggregateError(errors, `Cannot stop cleanly: ${errors.length} callbacks failed`);
      }
    } finally {
      this.#reset();
    }
  }

  /** Gives events in flight and the source the grace to finish, and aborts what is left. */
  async #finish(source: Source | null, finished: Promise<boolean> | undefined): Promise<void> {
    const all = Promise.all([this.#dispatcher.idle(), finished]);
    if (await inTime(all, this.#grace)) return;
    const reason = new DOMException("The listener stops and the grace is over", "AbortError");
    for (const event of this.#dispatcher.inFlight) event.abort(reason);
    if (source?.abort === undefined) return;
    source.abort(reason);
    await finished;
  }

  /** Makes the listener ready for another start(). */
  #reset(): void {
    this.#starting = null;
    this.#startingUp = null;
    this.#stopping = null;
    this.#source = null;
    this.#isUp = false;
  }
}

async function runInOrder(hooks: readonly LifecycleHook[]): Promise<void> {
  for (const hook of hooks) await hook();
}

/** Whether `promise` resolves. */
function succeeds(promise: PromiseLike<unknown>): Promise<boolean> {
  return Promise.resolve(promise).then(() => true, () => false);
}

/** For a source whose listener was stopped before it was there. */
async function closeAtOnce(source: Source | null): Promise<void> {
  if (source === null) return;
  await source.close?.();
  source.abort?.(new DOMException("The listener was stopped", "AbortError"));
}

/** Whether `promise` resolves within `milliseconds`; the timer does not outlive it. */
async function inTime(promise: Promise<unknown>, milliseconds?: number): Promise<boolean> {
  const done = promise.then(() => true);
  if (milliseconds === undefined) return await done;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
