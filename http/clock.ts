// One coarse clock for all connections of a server: a deadline costs a number, not a timer.

/** Milliseconds between two looks at the clock: a deadline is late by at most this, and never early. */
export const TICK = 250;

/** Something with deadlines, told of each tick. */
export interface Watched {
  /** `now` is the clock's time. */
  checkDeadlines(now: number): void;
}

/** Tells what it watches of the time, every {@linkcode TICK} while there is anything to watch. */
export class Clock {
  /**
   * Milliseconds, as of the last tick. It goes on whatever the wall clock does, but not while the process is
   * stopped or at other work: nobody is late whom the server has not looked at.
   */
  now: number = performance.now();
  readonly #watched = new Set<Watched>();
  #isTicking = false;

  /** The time after `timeout` milliseconds, counted from now at the earliest. */
  after(timeout: number): number {
    return this.now + timeout + TICK;
  }

  /** Begins to tell `watched` of the time. */
  watch(watched: Watched): void {
    this.#watched.add(watched);
    if (this.#isTicking) return;
    this.#isTicking = true;
    this.now = performance.now();
    void this.keepTicking();
  }

  /** Ends it. */
  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
  }

  /** Sets the time and tells all that are watched. */
  tick(now: number): void {
    this.now = now;
    for (const watched of this.#watched) watched.checkDeadlines(now);
  }

  /** Ticks while there is anything to watch; a test that does it by hand overrides it. */
  protected async keepTicking(): Promise<void> {
    let last = performance.now();
    while (this.#watched.size > 0) {
      // Nobody wakes it. Deno takes 4 ms to load its timers, before the first answer of all; and these do not
      // keep the process alive, which what is watched does by itself, where it is to.
      await Atomics.waitAsync(SLEEPER, 0, 0, TICK).value;
      const passed = performance.now() - last;
      last += passed;
      this.tick(this.now + (passed > 2 * TICK ? TICK : passed));
    }
    this.#isTicking = false;
  }
}

const SLEEPER = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
