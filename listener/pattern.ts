// Patterns: text with params, `<name>` or `<name:converter>`, or the same in braces. The names of params and
// converters are ASCII words that do not start with a digit; a bracket around anything else is literal text.
// The types below and splitPattern() read a pattern by the same rules, at compile time and at run time.

import { RouteError } from "./errors.ts";

/** The converters that every listener has, and the types of their values. */
export interface BuiltinConverters {
  /**
   * One or more characters other than `/`; the default converter. In HTTP, a `%2F` does not count as a slash
   * of the path, and is decoded to `/` in the value.
   */
  str: string;
  /** Decimal digits, as a number. */
  int: number;
  /** Decimal digits, optionally with a dot and a fraction, as a number. */
  float: number;
  /** Any text, including `/` and the empty text. */
  path: string;
  /** A UUID in its 8-4-4-4-12 form, converted to lower case. */
  uuid: string;
}

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";
// deno-fmt-ignore
type Letter = "a" | "b" | "c" | "d" | "e" | "f" | "g" | "h" | "i" | "j" | "k" | "l" | "m" | "n" | "o" | "p" | "q" | "r" | "s" | "t" | "u" | "v" | "w" | "x" | "y" | "z";
type WordStart = Letter | Uppercase<Letter> | "_";

type IsRestOfWord<S extends string> = S extends "" ? true
  : S extends `${WordStart | Digit}${infer Rest}` ? IsRestOfWord<Rest>
  : false;
type IsWord<S extends string> = S extends `${WordStart}${infer Rest}` ? IsRestOfWord<Rest> : false;

/** @internal `true` if the text between two brackets names a param. */
type IsParam<S extends string> = S extends `${infer Name}:${infer Converter}`
  ? [IsWord<Name>, IsWord<Converter>] extends [true, true] ? true : false
  : IsWord<S>;

/** @internal The param that the text between two brackets names. */
type ParamOf<S extends string, T> = S extends `${infer Name}:${infer Converter}`
  ? { [K in Name]: Converter extends keyof T ? T[Converter] : unknown }
  : { [K in S]: string };

/** @internal The params between the brackets `Open` and `Close`, from left to right. */
type ParamsBetween<
  P extends string,
  Open extends string,
  Close extends string,
  T,
  Found = unknown,
> = P extends `${string}${Open}${infer Rest}`
  ? Rest extends `${infer Inside}${Close}${infer After}`
    ? IsParam<Inside> extends true
      ? ParamsBetween<After, Open, Close, T, Found & ParamOf<Inside, T>>
    : ParamsBetween<Rest, Open, Close, T, Found>
  : Found
  : Found;

/**
 * @internal The params in the literal text of a pattern, flattened by `infer` so that an editor shows the
 * keys.
 */
type LiteralParams<P extends string, T> =
  & ParamsBetween<P, "<", ">", T>
  & ParamsBetween<P, "{", "}", T> extends infer Found ? { [K in keyof Found]: Found[K] } : never;

/**
 * The params of events that match the pattern `P`, derived from its literal text. A pattern that is known
 * only at run time gives `Record<string, unknown>`; a union of patterns gives a union of their params. For a
 * partly known pattern, such as `` `GET:${prefix}/<id:int>` ``, the params in the known part are typed, and
 * any others are `unknown`.
 *
 * `T` maps the names of converters to the types of their values. An unknown converter gives `unknown`.
 *
 * ```ts
 * import type { PathParams } from "@tiny/listener/listener";
 *
 * const params: PathParams<"GET:/user/<username>/<page:int>"> = { username: "bob", page: 2 };
 * ```
 */
export type PathParams<P extends string, T = BuiltinConverters> =
  // Distributes over a union of patterns.
  P extends unknown
    // Record<P, 1> requires a key if P is a literal, and none if it is `string` or a template.
    ? Record<never, never> extends Record<P, 1>
      ? Record<string, unknown> & (string extends P ? unknown : LiteralParams<P, T>)
    : LiteralParams<P, T>
    : never;

/** A param as written in a pattern. */
export interface ParamSpec {
  readonly name: string;
  readonly converter: string;
}

const WORD = "[A-Za-z_][A-Za-z0-9_]*";
const PARAM = new RegExp(`<(${WORD})(?::(${WORD}))?>|\\{(${WORD})(?::(${WORD}))?\\}`, "g");

/**
 * Splits a pattern into literal text and params, in order.
 *
 * @throws {RouteError} A param name is used twice, or cannot be a key of `params`.
 */
export function splitPattern(pattern: string): (string | ParamSpec)[] {
  const parts: (string | ParamSpec)[] = [];
  const names = new Set<string>();
  let end = 0;
  for (const match of pattern.matchAll(PARAM)) {
    const name = match[1] ?? match[3];
    if (names.has(name)) {
      throw new RouteError(`Cannot add route "${pattern}": param "${name}" occurs twice`);
    }
    // Assigning to this key would set the prototype of `params` instead.
    if (name === "__proto__") {
      throw new RouteError(`Cannot add route "${pattern}": a param cannot be named "__proto__"`);
    }
    names.add(name);
    if (match.index > end) parts.push(pattern.slice(end, match.index));
    parts.push({ name, converter: match[2] ?? match[4] ?? "str" });
    end = match.index + match[0].length;
  }
  if (end < pattern.length) parts.push(pattern.slice(end));
  return parts;
}

/** Whether `text` can be the name of a param or a converter. */
export function isWord(text: string): boolean {
  return new RegExp(`^${WORD}$`).test(text);
}
