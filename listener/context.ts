// Context: what events have in common, for as long as it is alive.

import { cidOf, nextSerial } from "./contexts.ts";
import { type AnyListener, dispatcherOf } from "./dispatcher.ts";
import { contextDropped } from "./errors.ts";
import { Event, type EventOptions, runEvent } from "./event.ts";
import type { EventTask } from "./event_task.ts";
import type { Listener } from "./listener.ts";
import type { Route } from "./route.ts";

/** Options of a context. */
export interface ContextOptions {
  /** Its id; made up if not given, unique in the process. */
  cid?: string | undefined;
  /** What the context starts with in `scope`. */
  scope?: Record<string, unknown> | undefined;
}

/** Options of {@linkcode Context.triggerEvent}. */
export interface TriggerOptions {
  /** Whatever the event carries. */
  data?: unknown;
  /** Milliseconds its handler and hooks may take, but for error hooks; without it, as long as they take. */
  timeout?: number | undefined;
}

/** The class of a listener's contexts: see {@linkcode Listener.setContextClass}. */
export type ContextClass<C extends Context> = new (
  listener: AnyListener,
  options?: ContextOptions,
) => C;

/** What a context is registered by: its id, or the number that is made of; for `listener.ts` alone. */
export let idOf: (ctx: Context) => string | number;

/** What few contexts have, so that the others are small. */
class Extras {
  cid: string | null = null;
  scope: Record<string, unknown> | null = null;
  cache: Map<unknown, unknown> | null = null;
  events: Map<Route, Event[]> | null = null;
}

/**
 * What events have in common: a conversation, a job, a request. Events of one context can wait for each
 * other, and share its `scope` and the dependencies they use.
 *
 * Make one with {@linkcode Listener.newCtx}. It is kept until {@linkcode Context.drop} is called.
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
  // Most contexts have one event: the map is made for the second, or for who asks.
  #onlyEvent: Event | null = null;

  static {
    idOf = (ctx) => ctx.#id;
  }

  /** Subclasses take the same arguments and hand them on. */
  constructor(listener: AnyListener, options?: ContextOptions) {
    this.listener = listener;
    this.#id = options?.cid ?? nextSerial();
    if (options?.scope !== undefined) this.#extra.scope = options.scope;
  }

  get #extra(): Extras {
    return this.#extras ??= new Extras();
  }

  /** The context's id, unique among the contexts of the listener. */
  get cid(): string {
    return this.#extra.cid ??= typeof this.#id === "string" ? this.#id : cidOf(this.#id);
  }

  /** Whatever the application keeps with the context. */
  get scope(): Record<string, unknown> {
    return this.#extra.scope ??= {};
  }

  /** What dependencies made, by dependency. */
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

  /** Whether the context was not dropped yet. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /**
   * Ends the context: it is no longer among the listener's, the signals of its running events are aborted,
   * and whoever waits for one of its events gets a `ContextNotFound`. To drop it again has no effect.
   *
   * `scope` and `cache` stay, for the events that still run; what is not in the cache is not made any more:
   * `event.use()` rejects with a `ContextNotFound`. `events` is empty from then on.
   *
   * @param reason What the signals are aborted with; an `AbortError` if not given.
   */
  drop(reason?: unknown): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    const dispatcher = dispatcherOf(this.listener);
    dispatcher.release(this);
    // Who waits is told so before the signals tell that the events are to end.
    dispatcher.notifyDropped(this);
    const events = this.#extras?.events ?? null;
    if (events === null) abortIfRunning(this.#onlyEvent, reason);
    else [...events.values()].flat().forEach((event) => abortIfRunning(event, reason));
    this.#onlyEvent = null;
    if (this.#extras !== null) this.#extras.events = null;
  }

  /**
   * Makes an event of `route` in this context, without running it.
   *
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a number of milliseconds.
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
   * Makes an event of `route` and runs it: before it returns, up to the first step that returns a promise.
   *
   * For sources that find the route themselves; others use {@linkcode Context.triggerEvent}.
   *
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a number of milliseconds.
   */
  trigger(route: Route, options: EventOptions = {}): EventTask {
    return runEvent(this.newEvent(route, options));
  }

  /**
   * Triggers the event that `path` stands for in this context.
   *
   * @throws {EventNotFound} No route matches.
   * @throws {PathParamsError} A route matches, but a param has no value.
   * @throws {ContextNotFound} The context was dropped.
   * @throws {RangeError} `timeout` is not a number of milliseconds.
   */
  triggerEvent(path: string, options: TriggerOptions = {}): EventTask {
    const [route, params] = this.listener.matchRoute(path);
    const { data, timeout } = options;
    return this.trigger(route, { path, params, data, timeout });
  }
}

function abortIfRunning(event: Event | null, reason: unknown): void {
  if (event !== null && event.running) event.abort(reason);
}
