// What the inspector knows: figures of routes, recent contexts and events, and recent errors. All of it is
// bounded. Each record has the revision of its last change, so that a viewer is sent only what is new to it.

import { type HTTPContext, HTTPError } from "../http_context.ts";
import type { AnyEvent, Context, Route } from "../listener.ts";
import { Histogram } from "./histogram.ts";

/** The number of contexts that are kept, preferably those in flight. */
const MAX_CONTEXTS = 200;
/** The number of events of one context that are kept, the first ones. */
const MAX_EVENTS = 50;
/** The number of different errors that are kept. */
const MAX_ERRORS = 50;
/** The number of characters of a text that are kept. */
const MAX_TEXT = 4_000;
const MAX_LABEL = 500;

/**
 * The figures of a route, or of requests without one, over the requests that it handled and other events.
 * Latencies are in milliseconds.
 */
export interface RouteFigures {
  readonly id: number;
  readonly pattern: string;
  readonly name: string;
  /** Requests that were answered, and other events that have ended. */
  readonly count: number;
  /** Requests and events in flight. */
  readonly active: number;
  /** 5xx responses, responses that failed while they were sent, and events that failed. */
  readonly errors: number;
  readonly p50: number | null;
  readonly p99: number | null;
}

/** An event of a context. Times are in milliseconds; `start` is relative to that of the context. */
export interface EventRecord {
  readonly name: string;
  readonly path: string;
  readonly start: number;
  duration: number | null;
  error: string | null;
}

/** A context: that of a request, or one that the application created. */
export interface ContextRecord {
  readonly id: number;
  revision: number;
  readonly isRequest: boolean;
  /** The method and target, or the context's ID. */
  readonly label: string;
  /** When it began, in milliseconds since the Unix epoch. */
  readonly time: number;
  /** Null while it is in flight. */
  duration: number | null;
  status: number;
  bytes: number;
  hasFailed: boolean;
  readonly events: EventRecord[];
  /** The number of events that are not in `events`. */
  moreEvents: number;
}

/** An error, and how often it occurred. */
export interface ErrorRecord {
  readonly id: number;
  revision: number;
  /** Where it last occurred. */
  label: string;
  readonly name: string;
  readonly message: string;
  stack: string;
  /** When it last occurred, in milliseconds since the Unix epoch. */
  time: number;
  count: number;
}

/** What has changed since a revision. */
export interface Changes {
  readonly revision: number;
  readonly routes: RouteFigures[];
  /** The IDs of all routes that exist; others have been removed. */
  readonly routeIds: number[];
  readonly contexts: ContextRecord[];
  readonly errors: ErrorRecord[];
}

/** The counts of a route. */
class RouteCounts {
  revision = 0;
  active = 0;
  errors = 0;
  count = 0;
  readonly latencies = new Histogram();
  readonly id: number;
  readonly pattern: string;
  readonly name: string;

  constructor(id: number, { pattern, name }: { pattern: string; name: string }) {
    this.id = id;
    this.pattern = pattern;
    this.name = name;
  }

  get figures(): RouteFigures {
    const { id, pattern, name, count, active, errors, latencies } = this;
    const [p50, p99] = [latencies.quantile(0.5), latencies.quantile(0.99)];
    return { id, pattern, name, count, active, errors, p50, p99 };
  }
}

/** A record, and what is needed to update it. */
interface Running {
  readonly record: ContextRecord;
  /** By `performance.now()`. */
  readonly start: number;
  /** The event that a request was made for; it ends with the response. */
  own: AnyEvent | null;
  /** In a context that the application created: the number of events in flight. */
  active: number;
}

/** Records what happens. */
export class Recorder {
  /** The number of requests that were answered. */
  requests = 0;
  /** 5xx responses, and responses that failed while they were sent. */
  failures = 0;
  /** The latencies of all requests. */
  readonly latencies: Histogram = new Histogram();
  #revision = 0;
  #lastId = 0;
  readonly #noRoute = new RouteCounts(0, { pattern: "no route", name: "" });
  // The figures of a route are dropped with the route.
  readonly #routes = new WeakMap<Route, RouteCounts>();
  readonly #contexts = new Set<ContextRecord>();
  readonly #running = new WeakMap<Context, Running>();
  readonly #events = new WeakMap<AnyEvent, EventRecord>();
  readonly #errors = new Map<string, ErrorRecord>();

  /** Called when a request arrives. */
  requestBegins(ctx: HTTPContext): void {
    this.#begin(ctx, { isRequest: true, label: `${ctx.method} ${ctx.target}` });
  }

  /** Called when the request has been answered, as far as possible. */
  requestEnds(ctx: HTTPContext): void {
    const running = this.#running.get(ctx);
    if (running === undefined) return;
    const { record, start } = running;
    const { error, status, route } = ctx;
    const counts = route === null ? this.#noRoute : this.#countsOf(route);
    if (running.own !== null) counts.active--;
    record.duration = performance.now() - start;
    record.status = status;
    record.bytes = ctx.bytesSent;
    // An HTTPError becomes the response, unless that has already begun: then it cuts it.
    record.hasFailed = status >= 500 ||
      (error instanceof HTTPError ? error.status >= 500 : error !== undefined);
    this.requests++;
    counts.count++;
    if (record.hasFailed) {
      this.failures++;
      counts.errors++;
      this.#addError(error ?? new HTTPError(status), record.label);
    }
    // How long a connection lives after an upgrade is not a latency.
    if (status !== 101) {
      this.latencies.record(record.duration);
      counts.latencies.record(record.duration);
    }
    this.#changed(record, counts);
  }

  /** Called when an event begins. */
  eventBegins(event: AnyEvent): void {
    const { ctx, route } = event;
    const running = this.#running.get(ctx) ??
      this.#begin(ctx, { isRequest: false, label: `context ${ctx.cid}` });
    const { record } = running;
    if (record.isRequest) {
      // A hook around the request may have triggered other events before.
      if (route === (ctx as HTTPContext).route) running.own ??= event;
    } else {
      running.active++;
      record.duration = null;
    }
    const entry: EventRecord = {
      name: cut(route.name, MAX_LABEL),
      path: cut(event.path, MAX_LABEL),
      start: performance.now() - running.start,
      duration: null,
      error: null,
    };
    if (record.events.length < MAX_EVENTS) record.events.push(entry);
    else record.moreEvents++;
    this.#events.set(event, entry);
    const counts = this.#countsOf(route);
    counts.active++;
    this.#changed(record, counts);
  }

  /** Called when an event has ended. */
  eventEnds(event: AnyEvent): void {
    const running = this.#running.get(event.ctx);
    const entry = this.#events.get(event);
    // If a hook that ran before ours failed, the event was not recorded.
    if (running === undefined || entry === undefined) return;
    const { record } = running;
    const { error } = event;
    const now = performance.now() - running.start;
    entry.duration = now - entry.start;
    if (error !== undefined) entry.error = cut(describe(error).join(": "), MAX_LABEL);
    this.#changed(record);
    // The request's own event ends with the response, and fails with it unless a hook takes the error.
    if (event === running.own) return;
    const counts = this.#countsOf(event.route);
    counts.active--;
    counts.count++;
    counts.latencies.record(entry.duration);
    if (error !== undefined) {
      record.hasFailed = true;
      counts.errors++;
      this.#addError(error, cut(event.path, MAX_LABEL));
    }
    if (!record.isRequest && --running.active === 0) record.duration = now;
    this.#changed(counts);
  }

  /** What has changed since a revision, 0 for everything; `routes` are the registered routes. */
  since(revision: number, routes: Iterable<Route>): Changes {
    const isNew = (it: { revision: number }): boolean => it.revision > revision;
    const all = Array.from(routes, (route) => this.#countsOf(route));
    if (this.#noRoute.count > 0) all.push(this.#noRoute);
    return {
      revision: this.#revision,
      routes: all.filter(isNew).map((it) => it.figures),
      routeIds: all.map(({ id }) => id),
      contexts: [...this.#contexts].filter(isNew),
      errors: [...this.#errors.values()].filter(isNew),
    };
  }

  #begin(ctx: Context, what: { isRequest: boolean; label: string }): Running {
    const record: ContextRecord = {
      id: ++this.#lastId,
      revision: 0,
      isRequest: what.isRequest,
      label: cut(what.label, MAX_LABEL),
      time: Date.now(),
      duration: null,
      status: 0,
      bytes: 0,
      hasFailed: false,
      events: [],
      moreEvents: 0,
    };
    const running: Running = { record, start: performance.now(), own: null, active: 0 };
    this.#running.set(ctx, running);
    this.#contexts.add(record);
    if (this.#contexts.size > MAX_CONTEXTS) this.#contexts.delete(this.#leastWanted());
    this.#changed(record);
    return running;
  }

  /** The oldest record that has ended, or else the oldest of all. */
  #leastWanted(): ContextRecord {
    let oldest: ContextRecord | null = null;
    for (const record of this.#contexts) {
      if (record.duration !== null) return record;
      oldest ??= record;
    }
    return oldest!;
  }

  #countsOf(route: Route): RouteCounts {
    let counts = this.#routes.get(route);
    if (counts === undefined) {
      counts = new RouteCounts(++this.#lastId, route);
      this.#routes.set(route, counts);
      this.#changed(counts);
    }
    return counts;
  }

  #addError(error: unknown, label: string): void {
    const [name, message] = describe(error).map((text) => cut(text, MAX_TEXT));
    const stack = cut(stackOf(error), MAX_TEXT);
    const key = `${name}\n${message}\n${stack}`;
    const time = Date.now();
    let record = this.#errors.get(key);
    if (record === undefined) {
      record = { id: ++this.#lastId, revision: 0, label, name, message, stack, time, count: 0 };
      if (this.#errors.size === MAX_ERRORS) {
        this.#errors.delete(this.#errors.keys().next().value!);
      }
    } else this.#errors.delete(key);
    // The most recent error comes last.
    this.#errors.set(key, record);
    record.label = label;
    record.time = time;
    record.count++;
    this.#changed(record);
  }

  #changed(...records: { revision: number }[]): void {
    this.#revision++;
    for (const record of records) record.revision = this.#revision;
  }
}

/** The name and message of whatever was thrown, even if it, its name or its message is no string. */
function describe(error: unknown): [name: string, message: string] {
  try {
    if (!(error instanceof Error)) return ["thrown", String(error)];
    return [String(error.name), String(error.message)];
  } catch {
    return ["thrown", "a value that cannot be shown"];
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error && typeof error.stack === "string" ? error.stack : "";
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
