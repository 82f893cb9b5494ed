// compilePath(): splits a pattern and looks up its converters.

import { BUILTIN_CONVERTERS, type Converter, type NamedConverter } from "./converters.ts";
import { RouteError } from "./errors.ts";
import { splitPattern } from "./pattern.ts";

/** A param of a {@linkcode CompiledPath}. */
export interface PathParam {
  /** The key in `params`. */
  readonly name: string;
  /** Which text the param matches, and the value made from it. */
  readonly converter: Converter;
}

/** What {@linkcode compilePath} returns. */
export interface CompiledPath {
  /** The pattern as it was given. */
  readonly pattern: string;
  /**
   * The pattern as a regular expression, anchored at both ends, with a named group for each param. It defines
   * what the pattern matches; the router does not run it.
   */
  readonly regex: RegExp;
  /** The literal text and the params, in the order of the pattern. */
  readonly parts: readonly (string | PathParam)[];
}

/** A part of a pattern as the router uses it. */
export type CompiledPart = string | { readonly name: string; readonly converter: NamedConverter };

/**
 * Splits a pattern and looks up its converters.
 *
 * @throws {RouteError} A converter is unknown, or a param name is used twice or is `__proto__`.
 */
export function compileParts(
  pattern: string,
  converters: ReadonlyMap<string, NamedConverter>,
): CompiledPart[] {
  return splitPattern(pattern).map((part) => {
    if (typeof part === "string") return part;
    const converter = converters.get(part.converter);
    if (converter === undefined) {
      throw new RouteError(
        `Cannot add route "${pattern}": unknown converter "${part.converter}"; expected one of ${
          [...converters.keys()].join(", ")
        }`,
      );
    }
    return { name: part.name, converter };
  });
}

/**
 * Compiles a pattern as {@linkcode Listener.onEvent} does, but with the built-in converters alone.
 *
 * A path matches if `regex` matches all of it. If the params can be assigned in several ways, each takes as
 * much text as it can, the first param first.
 *
 * ```ts
 * import { compilePath } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const { regex, parts } = compilePath("GET:/user/<username>/<page:int>");
 * assertEquals(regex.exec("GET:/user/bob/2")?.groups?.page, "2");
 * assertEquals(parts.length, 4);
 * ```
 *
 * @throws {RouteError} A converter is unknown, or a param name is used twice or is `__proto__`.
 */
export function compilePath(pattern: string): CompiledPath {
  const parts = compileParts(pattern, BUILTIN_CONVERTERS);
  const source = parts.map((part) =>
    typeof part === "string"
      ? part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
      : `(?<${part.name}>${part.converter.regex.source})`
  ).join("");
  return { pattern, regex: new RegExp(`^${source}$`), parts };
}
