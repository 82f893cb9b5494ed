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
  #timer: ReturnType<typeof setInterval> | null = null;

  /** The time after `timeout` milliseconds, counted from now at the earliest. */
  after(timeout: number): number {
    return this.now + timeout + TICK;
  }

  /** Begins to tell `watched` of the time. */
  watch(watched: Watched): void {
    this.#watched.add(watched);
    if (this.#timer === null) {
      this.now = performance.now();
      this.#timer = this.startTimer();
    }
  }

  /** Ends it. */
  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** Sets the time and tells all that are watched. */
  tick(now: number): void {
    this.now = now;
    for (const watched of this.#watched) watched.checkDeadlines(now);
  }

  /** What makes the clock tick; a test that does it by hand overrides it. */
  protected startTimer(): ReturnType<typeof setInterval> | null {
    let last = performance.now();
    const timer = setInterval(() => {
      const passed = performance.now() - last;
      last += passed;
      this.tick(this.now + (passed > 2 * TICK ? TICK : passed));
    }, TICK);
    // What is watched keeps the process alive by itself, where it is to.
    Deno.unrefTimer(timer as unknown as number);
    return timer;
  }
}
