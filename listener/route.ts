// A route: a pattern, the handler of events that match it, and its place in the order of registration.

import type { Context } from "./context.ts";
import type { CompiledPart } from "./compile_path.ts";
import type { NamedConverter } from "./converters.ts";
import { checkFunction, shown } from "./errors.ts";
import type { Event } from "./event.ts";

/**
 * What runs when an event is triggered. It gets one argument, the event; what it returns, or what its
 * promise resolves with, becomes the event's `result`.
 */
export type Handler<C extends Context = Context, P = Record<string, unknown>, D = unknown> = (
  event: Event<C, P, D>,
) => unknown;

/** A handler of whatever kind of event. */
// A registry holds handlers of all kinds; each is called only with its own.
// deno-lint-ignore no-explicit-any
export type AnyHandler = Handler<any, any, any>;

/** Options of a route. Other keys are the application's own and stand in `route.options`. */
export interface RouteOptions<D = unknown> {
  /** The route's name; without it the handler function's name, or else the pattern. */
  readonly name?: string | undefined;
  /**
   * Checks the data an event is triggered with and returns it typed, as the `parse` of a schema library
   * does; a promise is waited for, before the first hook. What it throws, or rejects with, fails the event with an
   * {@linkcode EventDataError}.
   */
  readonly data?: ((data: unknown) => D | PromiseLike<D>) | undefined;
  /** Whatever the application keeps with a route. */
  readonly [key: string]: unknown;
}

/** The pattern of a route that catches all. */
const CATCH_ALL = "<_:path>";
const NO_OPTIONS: RouteOptions = Object.freeze({});

/**
 * Sorts the arguments of `Listener.onEvent()`.
 *
 * @throws {TypeError} They are none that it takes.
 */
export function readArguments(
  args: readonly unknown[],
): { pattern: string; options: RouteOptions; handler: AnyHandler } {
  const [pattern] = args;
  if (args.length === 1 && typeof pattern === "function") {
    return { pattern: CATCH_ALL, options: NO_OPTIONS, handler: pattern as AnyHandler };
  }
  if (typeof pattern !== "string") {
    throw new TypeError(`Cannot add route: the pattern must be a string, not ${shown(pattern)}`);
  }
  const [options, handler] = args.length < 3 ? [NO_OPTIONS, args[1]] : args.slice(1);
  const action = `Cannot add route "${pattern}"`;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `${action}: the options must be an object, not ${shown(options)}; ` +
        "they come before the handler, as in onEvent(pattern, { name }, handler)",
    );
  }
  checkFunction(handler, `${action}: the handler`);
  const { data } = options as RouteOptions;
  if (data !== undefined) checkFunction(data, `${action}: data`);
  return { pattern, options: options as RouteOptions, handler: handler as AnyHandler };
}

/** A pattern and the handler of the events that match it. */
export class Route {
  /** Unique among the routes of a listener. */
  readonly name: string;
  /** The pattern as it was registered. */
  readonly pattern: string;
  /** The options it was registered with. */
  readonly options: RouteOptions;
  /** What runs when an event is triggered. */
  readonly handler: AnyHandler;
  /** Rises with each registration: of two routes that match, the one with the lower order wins. */
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
    // What `filter` returns has room for more.
    this.params = compiled.parts.filter((part) => typeof part !== "string").slice();
  }
}
