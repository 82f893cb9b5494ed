// Route: a pattern, the handler of the events that match it, and its place in the order of registration.

import type { Context } from "./context.ts";
import type { CompiledPart } from "./compile_path.ts";
import type { NamedConverter } from "./converters.ts";
import { checkFunction, checkText, shown } from "./errors.ts";
import type { Event } from "./event.ts";

/**
 * The function that runs when an event is triggered. Its only argument is the event. The value that it
 * returns, or that its promise resolves to, becomes the event's `result`.
 */
export type Handler<C extends Context = Context, P = Record<string, unknown>, D = unknown> = (
  event: Event<C, P, D>,
) => unknown;

/** A handler of any kind of event. */
// A registry holds handlers of all kinds; each is called only with its own kind of event.
// deno-lint-ignore no-explicit-any
export type AnyHandler = Handler<any, any, any>;

/** Options of a route. Other keys are left to the application, and are available in `route.options`. */
export interface RouteOptions<D = unknown> {
  /** The route's name; by default, the name of the handler function, or if it has none, the pattern. */
  readonly name?: string | undefined;
  /**
   * Checks the data that an event is triggered with and returns it typed, like the `parse` method of a schema
   * library. If it returns a promise, that is awaited before the first hook runs. If it throws or rejects,
   * the event fails with an {@linkcode EventDataError}. An HTTP request is an event without data.
   */
  readonly data?: ((data: unknown) => D | PromiseLike<D>) | undefined;
  /** Arbitrary values that the application keeps with the route. */
  readonly [key: string]: unknown;
}

/** The pattern of a catch-all route. */
const CATCH_ALL = "<_:path>";
const NO_OPTIONS: RouteOptions = Object.freeze({});

/**
 * Reads the arguments of the overloads of `Listener.onEvent()`.
 *
 * @throws {TypeError} They fit none of the overloads.
 */
export function readArguments(
  args: readonly unknown[],
): { pattern: string; options: RouteOptions; handler: AnyHandler } {
  const [pattern] = args;
  if (args.length === 1 && typeof pattern === "function") {
    return { pattern: CATCH_ALL, options: NO_OPTIONS, handler: pattern as AnyHandler };
  }
  if (typeof pattern !== "string") {
    throw new TypeError(`Cannot add route: the pattern must be a string, got ${shown(pattern)}`);
  }
  const [options, handler] = args.length < 3 ? [NO_OPTIONS, args[1]] : args.slice(1);
  const action = `Cannot add route "${pattern}"`;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `${action}: the options must be an object, got ${shown(options)}; ` +
        "they come before the handler, as in onEvent(pattern, { name }, handler)",
    );
  }
  checkFunction(handler, `${action}: the handler`);
  const { name, data } = options as RouteOptions;
  if (name !== undefined) checkText(name, `${action}: name`);
  if (data !== undefined) checkFunction(data, `${action}: data`);
  return { pattern, options: options as RouteOptions, handler: handler as AnyHandler };
}

/** A pattern and the handler of the events that match it. */
export class Route {
  /** The name, unique among the routes of a listener. */
  readonly name: string;
  /** The pattern as it was registered. */
  readonly pattern: string;
  /** The options it was registered with. */
  readonly options: RouteOptions;
  /** The function that runs when an event is triggered. */
  readonly handler: AnyHandler;
  /** Increases with each registration: if two routes match, the one with the lower order wins. */
  readonly order: number;
  /** @ignore The pattern, compiled. */
  readonly parts: readonly CompiledPart[];
  /** @ignore The names and converters of the params, in the order of the pattern. */
  readonly params: readonly { readonly name: string; readonly converter: NamedConverter }[];

  /** @ignore Made by `Listener.onEvent()`. */
  constructor(
    pattern: string,
    handler: AnyHandler,
    options: RouteOptions,
    compiled: { order: number; parts: readonly CompiledPart[] },
  ) {
    this.name = options.name ?? (handler.name || pattern);
    this.pattern = pattern;
    this.options = options;
    this.handler = handler;
    this.order = compiled.order;
    this.parts = compiled.parts;
    // The array that `filter` returns has spare capacity; a copy has none.
    this.params = compiled.parts.filter((part) => typeof part !== "string").slice();
  }
}
