// One coarse clock for all connections of a server: a deadline is a number, not a timer.

/** Milliseconds between two ticks: a deadline is noticed late by at most this, and never early. */
export const TICK = 250;

/** A deadline that never comes. */
export const NEVER: number = Infinity;

/** Something with deadlines, notified on each tick. */
export interface Watched {
  /** `now` is the clock's time. */
  checkDeadlines(now: number): void;
}

/** Notifies what it watches every {@linkcode TICK} milliseconds, while there is anything to watch. */
export class Clock {
  /**
   * Milliseconds, as of the last tick. The clock is independent of the wall clock. It stands still while the
   * process is suspended or busy with other work: no client is late whose input the server has not looked at.
   */
  now: number = performance.now();
  readonly #watched = new Set<Watched>();
  #isTicking = false;

  /** The time in `timeout` milliseconds, counted from now at the earliest; never if `timeout` is 0, which is off. */
  after(timeout: number): number {
    return timeout === 0 ? NEVER : this.now + timeout + TICK;
  }

  /** Starts to notify `watched`. */
  watch(watched: Watched): void {
    this.#watched.add(watched);
    if (this.#isTicking) return;
    this.#isTicking = true;
    this.now = performance.now();
    void this.keepTicking();
  }

  /** Stops notifying `watched`. */
  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
  }

  /** Sets the time and notifies everything that is watched. */
  tick(now: number): void {
    this.now = now;
    for (const watched of this.#watched) watched.checkDeadlines(now);
  }

  /** Ticks while there is anything to watch; overridden by tests that tick by hand. */
  protected async keepTicking(): Promise<void> {
    let last = performance.now();
    while (this.#watched.size > 0) {
      // Nothing ever notifies this wait, so it lasts for a tick. Deno takes 4 ms to load its timers, which
      // would delay the first response; and unlike a timer, this does not keep the process alive. What is
      // watched does that itself if it should.
      await Atomics.waitAsync(SLEEPER, 0, 0, TICK).value;
      const passed = performance.now() - last;
      last += passed;
      this.tick(this.now + (passed > 2 * TICK ? TICK : passed));
    }
    this.#isTicking = false;
  }
}

const SLEEPER = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
