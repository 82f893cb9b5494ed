// Context: the state that related events share.

import { cidOf, nextSerial } from "./contexts.ts";
import { type AnyListener, dispatcherOf } from "./dispatcher.ts";
import { checkOptions, contextDropped } from "./errors.ts";
import { Event, type EventOptions, runEvent } from "./event.ts";
import type { EventTask } from "./event_task.ts";
import type { Listener } from "./listener.ts";
import type { Route } from "./route.ts";

/** Options of a context. */
export interface ContextOptions {
  /** The id; by default, a generated one that is unique in the process. */
  cid?: string | undefined;
  /** The initial `scope`. */
  scope?: Record<string, unknown> | undefined;
}

/** Options of {@linkcode Context.triggerEvent}. */
export interface TriggerOptions {
  /** The event's data. */
  data?: unknown;
  /**
   * The maximum time in milliseconds for the handler and the hooks, other than error hooks; unlimited by
   * default.
   */
  timeout?: number | undefined;
}

/** The class of a listener's contexts: see {@linkcode Listener.setContextClass}. */
export type ContextClass<C extends Context> = new (
  listener: AnyListener,
  options?: ContextOptions,
) => C;

/**
 * The key a context is registered under: its id, or the number its id is generated from. For `listener.ts`
 * alone.
 */
export let idOf: (ctx: Context) => string | number;

/** The fields that few contexts need, kept apart so that the others stay small. */
class Extras {
  cid: string | null = null;
  scope: Record<string, unknown> | null = null;
  cache: Map<unknown, unknown> | null = null;
  events: Map<Route, Event[]> | null = null;
}

/**
 * The state that related events share: a conversation, a job, a request. Events of one context can wait for
 * each other, and share its `scope` and the dependencies they use.
 *
 * Create one with {@linkcode Listener.newCtx}. It is kept until {@linkcode Context.drop} is called.
 *
 * ```ts
 * import { Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const app = new Listener();
 * app.onEvent("I am <name>", ({ ctx, params }) => {
 *   ctx.scope.name = params.name;
 * });
 * app.onEvent("Who am I?", ({ ctx }) => ctx.scope.name);
 *
 * const ctx = app.newCtx();
 * await ctx.triggerEvent("I am Ada");
 * assertEquals(await ctx.triggerEvent("Who am I?"), "Ada");
 * ctx.drop();
 * ```
 */
export class Context {
  /** The listener the context belongs to. */
  readonly listener: Listener;
  readonly #id: string | number;
  #isAlive = true;
  #extras: Extras | null = null;
  // Most contexts have one event: the map is created for the second, or when `events` is read.
  #onlyEvent: Event | null = null;

  static {
    idOf = (ctx) => ctx.#id;
  }

  /** Subclasses must accept the same arguments and pass them on. */
  constructor(listener: AnyListener, options?: ContextOptions) {
    this.listener = listener;
    this.#id = options?.cid ?? nextSerial();
    if (options?.scope !== undefined) this.#extra.scope = options.scope;
  }

  get #extra(): Extras {
    return this.#extras ??= new Extras();
  }

  /** The id, unique among the contexts of the listener. */
  get cid(): string {
    return this.#extra.cid ??= typeof this.#id === "string" ? this.#id : cidOf(this.#id);
  }

  /** Arbitrary values that the application keeps with the context. */
  get scope(): Record<string, unknown> {
    return this.#extra.scope ??= {};
  }

  /** The values of dependencies, by dependency. */
  get cache(): Map<unknown, unknown> {
    return this.#extra.cache ??= new Map();
  }

  /** The events of the context by route, oldest first. */
  get events(): Map<Route, Event[]> {
    const extra = this.#extra;
    if (extra.events === null) {
      extra.events = new Map();
      if (this.#onlyEvent !== null) extra.events.set(this.#onlyEvent.route, [this.#onlyEvent]);
    }
    return extra.events;
  }

  /** Whether the context has not been dropped yet. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /**
   * Ends the context: it is removed from the listener's contexts, the signals of its running events are
   * aborted, and pending waits for its events reject with a `ContextNotFound`. Dropping it again has no
   * effect.
   *
   * `scope` and `cache` stay available to events that are still running, but dependencies that are not in the
   * cache are not made any more: `event.use()` rejects with a `ContextNotFound`. `events` is empty from then
   * on.
   *
   * @param reason The reason of the aborted signals; an `AbortError` by default.
   */
  drop(reason?: unknown): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    const dispatcher = dispatcherOf(this.listener);
    dispatcher.release(this);
    // Waits are rejected before the signals ask the events to end.
    dispatcher.notifyDropped(this);
    const events = this.#extras?.events ?? null;
    if (events === null) abortIfRunning(this.#onlyEvent, reason);
    else for (const event of [...events.values()].flat()) abortIfRunning(event, reason);
    this.#onlyEvent = null;
    if (this.#extras !== null) this.#extras.events = null;
  }

  /**
   * Creates an event of `route` in this context without running it.
   *
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a valid number of milliseconds.
   */
  newEvent(route: Route, options: EventOptions = {}): Event<this> {
    if (!this.#isAlive) throw contextDropped(this.cid);
    const event = new Event<this>(this, route, options);
    if (this.#onlyEvent === null && (this.#extras === null || this.#extras.events === null)) {
      this.#onlyEvent = event as Event;
    } else {
      const events = this.events.get(route);
      if (events === undefined) this.events.set(route, [event as Event]);
      else events.push(event as Event);
    }
    return event;
  }

  /**
   * Creates an event of `route` and runs it: synchronously up to the first step that returns a promise.
   *
   * For sources that find the route themselves; otherwise, use {@linkcode Context.triggerEvent}.
   *
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a valid number of milliseconds.
   */
  trigger(route: Route, options: EventOptions = {}): EventTask {
    return runEvent(this.newEvent(route, options));
  }

  /**
   * Triggers an event in this context, of the route that `path` matches.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param cannot be converted.
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a valid number of milliseconds.
   */
  triggerEvent(path: string, options: TriggerOptions = {}): EventTask {
    checkOptions(options, "Cannot trigger an event");
    const [route, params] = this.listener.matchRoute(path);
    const { data, timeout } = options;
    return this.trigger(route, { path, params, data, timeout });
  }
}

function abortIfRunning(event: Event | null, reason: unknown): void {
  if (event !== null && event.running) event.abort(reason);
}
