// Time limits: the valid range of a timeout, and waits that leave nothing behind.

import { shown, TimeoutError } from "./errors.ts";

/** The maximum that setTimeout() accepts; timers with a longer delay fire at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/**
 * Returns `timeout` if it is a limit, and `undefined` if it is not given or `Infinity`.
 *
 * @throws {RangeError} It is negative, not a number, or above 2^31 - 1.
 */
export function checkTimeout(timeout: number | undefined, name = "timeout"): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined;
  if (typeof timeout === "number" && timeout >= 0 && timeout <= MAX_TIMEOUT) return timeout;
  throw new RangeError(
    `Cannot set ${name} to ${shown(timeout)}: ` +
      `must be a number from 0 to ${MAX_TIMEOUT} milliseconds, or Infinity`,
  );
}

/**
 * Returns the same promise, marked as handled, so that it is not an unhandled rejection before something
 * awaits it. Its errors come from outside, such as a client that disconnects, and must not end the process
 * because a handler awaits the promise late or never.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** The two ways in which the subscription can end a wait. */
export interface WaitEnds<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/**
 * Waits until the subscription that `subscribe` sets up settles the wait; rejects when `signal` is aborted,
 * with its reason, and when `timeout` expires. However it ends, the subscription, the timer and the abort
 * listener are removed. `subscribe` must not throw.
 *
 * @param options.describe What was waited for, and how far it got: the start of the `TimeoutError`'s message.
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
      // First of all: Deno loads its timers on first access, and runs microtasks meanwhile.
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
