// Every error of the event framework, and the one place where messages used more than once are made.
//
//   ListenerError
//   |-- RouteError             a pattern, a converter or options that cannot be registered
//   |-- EventAlreadyExists     a route of that name exists
//   |-- EventNotFound          no route matches the path, or none has the name
//   |-- EventAlreadyDone       done() was called already
//   |-- ContextNotFound        no context has that id, or it was dropped
//   |-- ContextAlreadyExists   a context with that id is alive
//   |-- DuplicateListener      another listener is in run()
//   |-- ListenerNotFound       no listener is in run(), or none could be imported
//   |-- PathParamsError        the path matches, but a param cannot be converted
//   `-- EventDataError         a route's `data` rejected the event's data
//   TimeoutError               a DOMException, like those of the platform's own timeouts

import type { AnyEvent } from "./dispatcher.ts";

/** The base class of the errors of the event framework, except {@linkcode TimeoutError}. */
export class ListenerError extends Error {
  /**
   * Creates an error.
   *
   * @param message What could not be done, and why.
   * @param options The `cause`, if there is one.
   */
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A pattern, converter or option that cannot be registered. */
export class RouteError extends ListenerError {}

/** A route of that name already exists, or one that would take all events of the new one. */
export class EventAlreadyExists extends ListenerError {}

/**
 * No route matches the path, or no route has the name.
 *
 * ```ts
 * import { EventNotFound, Listener } from "@tiny/listener/listener";
 * import { assertThrows } from "@std/assert";
 *
 * const app = new Listener();
 * app.onEvent("greet <name>", ({ params }) => `Hello, ${params.name}!`);
 * assertThrows(() => app.triggerEvent("gret bob"), EventNotFound, 'did you mean "greet <name>"?');
 * ```
 */
export class EventNotFound extends ListenerError {}

/** The event is already done. */
export class EventAlreadyDone extends ListenerError {}

/** No context has that id, or the context was dropped. */
export class ContextNotFound extends ListenerError {}

/** A context with that id is alive. */
export class ContextAlreadyExists extends ListenerError {}

/** Another listener is in {@linkcode Listener.run} in this process. */
export class DuplicateListener extends ListenerError {}

/** No listener is in {@linkcode Listener.run}, or {@linkcode importFromString} found nothing to import. */
export class ListenerNotFound extends ListenerError {}

/**
 * The path matches a route, but the text of a param cannot be converted; `cause` is the reason. Also thrown,
 * with no `cause`, if there are too many ways to read the params of the path: see
 * {@linkcode Converter.regex}.
 */
export class PathParamsError extends ListenerError {}

/** The `data` option of a route rejected the data of an event; `cause` is the reason. */
export class EventDataError extends ListenerError {}

/**
 * A time limit has expired. It is a `DOMException` whose `name` is `"TimeoutError"`, like those of
 * `AbortSignal.timeout()`, with a class of its own for {@linkcode Listener.onError} and `instanceof`.
 *
 * ```ts
 * import { Listener, TimeoutError } from "@tiny/listener/listener";
 * import { assertRejects } from "@std/assert";
 *
 * const app = new Listener();
 * app.onEvent("wait", () => new Promise(() => {}));
 * await assertRejects(async () => await app.triggerEvent("wait", { timeout: 1 }), TimeoutError);
 * ```
 */
export class TimeoutError extends DOMException {
  /**
   * Creates an error.
   *
   * @param message What was waited for, and for how long.
   */
  constructor(message: string) {
    super(message, "TimeoutError");
  }
}

/** `"text"` with control characters escaped, so that a path cannot forge a line of a log. */
export function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\\"', '"').replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Checks an argument that callers without type checks may get wrong.
 *
 * @param what The start of the message: what could not be done, and which argument is checked; `must be a
 * function` follows.
 * @throws {TypeError} `value` is not a function.
 */
export function checkFunction(value: unknown, what: string): void {
  if (typeof value === "function") return;
  throw new TypeError(`${what} must be a function, got ${shown(value)}`);
}

/**
 * The same for an argument with options.
 *
 * @throws {TypeError} `value` is not an object.
 */
export function checkOptions(value: unknown, action: string): void {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`${action}: the options must be an object, got ${shown(value)}`);
}

/**
 * The same for an argument that is text.
 *
 * @throws {TypeError} `value` is not a string.
 */
export function checkText(value: unknown, what: string): void {
  if (typeof value === "string") return;
  throw new TypeError(`${what} must be a string, got ${shown(value)}`);
}

/** Describes a value for a message that says what it should have been. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** `event "name" ("path")`, for messages. */
export function describe({ route, path }: AnyEvent): string {
  return `event ${quote(route.name)} (${quote(path)})`;
}

/** The message of something thrown. An object without a prototype cannot be converted to text. */
export function detailOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return "the thrown value cannot be shown";
  }
}

/** `hint` is the pattern that may have been meant; in the next function, the name. */
export function noRouteMatches(path: string, hint: string | null): EventNotFound {
  return new EventNotFound(
    `Cannot find route for ${quote(path)}: no pattern matches${didYouMean(hint)}`,
  );
}

export function noRouteNamed(name: string, hint: string | null): EventNotFound {
  return new EventNotFound(
    `Cannot find route ${quote(name)}: no route has that name${didYouMean(hint)}`,
  );
}

function didYouMean(hint: string | null): string {
  return hint === null ? "" : `; did you mean ${quote(hint)}?`;
}

export function contextDropped(cid: string): ContextNotFound {
  return new ContextNotFound(
    `Cannot use context ${quote(cid)}: it was dropped; create another one with newCtx()`,
  );
}

export function noParam(name: string, path: string, cause: unknown): PathParamsError {
  const message = `Cannot parse param "${name}" of ${quote(path)}: ${detailOf(cause)}`;
  return new PathParamsError(message, { cause });
}

export function tooMuchToRead(path: string): PathParamsError {
  return new PathParamsError(
    `Cannot find route for ${quote(path)}: its params can be read in too many ways`,
  );
}
