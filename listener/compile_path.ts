// compilePath(): a pattern's text with its converters looked up.

import { BUILTIN_CONVERTERS, type Converter, type NamedConverter } from "./converters.ts";
import { RouteError } from "./errors.ts";
import { splitPattern } from "./pattern.ts";

/** A param of a {@linkcode CompiledPath}. */
export interface PathParam {
  /** Its key in `params`. */
  readonly name: string;
  /** What text it takes, and the value made of it. */
  readonly converter: Converter;
}

/** What {@linkcode compilePath} makes of a pattern. */
export interface CompiledPath {
  /** The pattern as it was given. */
  readonly pattern: string;
  /**
   * The meaning of the pattern as one expression, anchored at both ends, with a named group for each
   * param. Flags of own converters are not in it. Routing does not run it.
   */
  readonly regex: RegExp;
  /** Literal text and params, in the order of the pattern. */
  readonly parts: readonly (string | PathParam)[];
}

/** A part of a pattern as the router takes it. */
export type CompiledPart = string | { readonly name: string; readonly converter: NamedConverter };

/**
 * Splits a pattern and looks its converters up.
 *
 * @throws {RouteError} A converter is not known, or a param cannot be.
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
        `Cannot add route "${pattern}": converter "${part.converter}" is not one of ${
          [...converters.keys()].join(", ")
        }`,
      );
    }
    return { name: part.name, converter };
  });
}

/**
 * Compiles a pattern with the built-in converters, as {@linkcode Listener.onEvent} does.
 *
 * A path matches as with the expression in `regex`: all of it, and where there is a choice, the
 * params take as much as they can, the first one first.
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
 * @throws {RouteError} The converter of a param is not known, or a param name is used twice.
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
