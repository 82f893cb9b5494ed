// Time limits: what a number of milliseconds may be, and waiting that leaves nothing behind.

import { TimeoutError } from "./errors.ts";

/** What setTimeout() takes; above it, timers fire at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/**
 * Returns `timeout` where it limits anything, and `undefined` where it is not given or `Infinity`.
 *
 * @throws {RangeError} It is negative, not a number, or above 2^31 - 1.
 */
export function checkTimeout(timeout: number | undefined, name = "timeout"): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined;
  if (timeout >= 0 && timeout <= MAX_TIMEOUT) return timeout;
  throw new RangeError(
    `Cannot set ${name} to ${timeout}: must be 0 to ${MAX_TIMEOUT} milliseconds, or Infinity`,
  );
}

/**
 * The same promise, which is no unhandled rejection where nobody awaits it yet: what it rejects with comes from
 * outside, as a client that leaves, and must not end the process because a handler looks late, or not at all.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** The two ways a wait may end by itself. */
export interface WaitEnds<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/**
 * Waits for what `subscribe`, which must not throw, subscribes to; rejects when `signal` is aborted, with
 * its reason, and when `timeout` is over. However it ends, the subscription, the timer and the abort
 * listener are gone.
 *
 * @param options.describe What was waited for, and how far it came: the `TimeoutError`'s detail.
 */
export function wait<T>(
  options: { signal?: AbortSignal; timeout: number | undefined; describe: () => string },
  subscribe: (ends: WaitEnds<T>) => () => void,
): Promise<T> {
  const { signal } = options;
  return handled(
    new Promise<T>((resolve, reject) => {
      const timeout = checkTimeout(options.timeout);
      if (signal?.aborted) return reject(signal.reason);
      // Before all else: Deno loads its timers when they are looked up first, and runs microtasks meanwhile.
      const timer = timeout === undefined ? undefined : setTimeout(
        () => ends.reject(new TimeoutError(`${options.describe()} after ${timeout} ms`)),
        timeout,
      );
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        unsubscribe();
      };
      const ends: WaitEnds<T> = {
        resolve(value): void {
          end();
          resolve(value);
        },
        reject(reason): void {
          end();
          reject(reason);
        },
      };
      const onAbort = (): void => ends.reject(signal!.reason);
      const unsubscribe = subscribe(ends);
      signal?.addEventListener("abort", onAbort);
    }),
  );
}
