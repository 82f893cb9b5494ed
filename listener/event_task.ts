// EventTask: the outcome of a triggered event. It is awaited like a promise, but creates one only when it is:
// an event that never waits is over before its task is returned.

import type { AnyEvent } from "./dispatcher.ts";

/** Settles a task; for `event.ts` alone. */
export let settleTask: (
  task: EventTask,
  status: "fulfilled" | "rejected",
  reason?: unknown,
) => void;

/**
 * The outcome of a triggered event: `await` it for the event's result.
 *
 * It resolves when the handler and the hooks are over, even if {@linkcode Event.preventAutoDone} keeps the
 * event from being done by then. It rejects with an error that no error hook handled. If nothing awaits it, a
 * failure is logged once, by {@linkcode Listener.reportFailure}.
 *
 * ```ts
 * import { Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const app = new Listener();
 * app.onEvent("add <a:int> to <b:int>", ({ params }) => params.a + params.b);
 *
 * const task = app.triggerEvent("add 1 to 2");
 * assertEquals(task.status, "fulfilled"); // nothing had to be waited for
 * assertEquals(await task, 3);
 * ```
 */
export class EventTask implements Promise<unknown> {
  /** The event that was triggered. */
  readonly event: AnyEvent;
  /** Whether the event is still running, is over, or failed with an error that no error hook handled. */
  status: "pending" | "fulfilled" | "rejected" = "pending";
  /** The error that the task rejects with. */
  reason: unknown = undefined;
  #isAwaited = false;
  #callbacks: ((task: EventTask) => void)[] | null = null;
  #promise: Promise<unknown> | null = null;

  static {
    settleTask = (task, status, reason) => {
      task.status = status;
      task.reason = reason;
      const callbacks = task.#callbacks;
      if (callbacks === null) return;
      task.#callbacks = null;
      for (const callback of callbacks) callback(task);
    };
  }

  /** @ignore Made when an event is triggered. */
  constructor(event: AnyEvent) {
    this.event = event;
  }

  /** Whether the outcome has been asked for, by `await` or {@linkcode EventTask.onSettled}. */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  /** What `Object.prototype.toString` shows. */
  get [Symbol.toStringTag](): string {
    return "EventTask";
  }

  /**
   * Calls `callback` when the task settles, or at once if it has. This creates no promise and counts as
   * awaiting the task, so `callback` has to check `status` and handle a failure. It must not throw.
   */
  onSettled(callback: (task: this) => void): void {
    this.#isAwaited = true;
    if (this.status !== "pending") callback(this);
    else if (this.#callbacks === null) this.#callbacks = [callback as (task: EventTask) => void];
    else this.#callbacks.push(callback as (task: EventTask) => void);
  }

  /** Like `Promise.prototype.then()`. */
  then<T = unknown, E = never>(
    onFulfilled?: ((value: unknown) => T | PromiseLike<T>) | null,
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    return this.#toPromise().then(onFulfilled, onRejected);
  }

  /** Like `Promise.prototype.catch()`. */
  catch<E = never>(
    // deno-lint-ignore no-explicit-any
    onRejected?: ((reason: any) => E | PromiseLike<E>) | null,
  ): Promise<unknown> {
    return this.#toPromise().catch(onRejected);
  }

  /** Like `Promise.prototype.finally()`. */
  finally(onFinally?: (() => void) | null): Promise<unknown> {
    return this.#toPromise().finally(onFinally);
  }

  #toPromise(): Promise<unknown> {
    return this.#promise ??= new Promise((resolve, reject) => {
      this.onSettled((task) => {
        if (task.status === "fulfilled") resolve(task.event.result);
        else reject(task.reason);
      });
    });
  }
}
