// Converters: which text a param matches, and the value made from it. The table below lists all built-in
// ones. Each has a regular expression, which defines what it matches, and a scanner, which the router runs:
// it finds the same ends in one pass, without backtracking (see router.ts).

import { checkFunction, RouteError, shown } from "./errors.ts";
import { isWord } from "./pattern.ts";

/**
 * Which text a param matches, and the value made from it.
 *
 * If the listener decodes params, as HTTP does with `%2F`, routes are matched against the encoded path.
 * Decoded text must then match `regex` again, so `parse` never gets text that `regex` does not allow.
 */
export interface Converter<T = unknown> {
  /**
   * The expression that the whole text must match. Of its flags, only `i`, `s`, `u` and `v` have an effect.
   *
   * It is run on one candidate after the other, the longest first, so a lazy quantifier takes as much as a
   * greedy one. An expression that can take exponential time still does. The text that all runs for one path
   * read is limited to 10 million characters, plus 100 for each character of the path. A path of two hundred
   * characters hardly needs that much. A long path that does, because it is crafted to match almost
   * everywhere, is rejected with a {@linkcode PathParamsError}, after some 30 milliseconds if the expressions
   * are simple.
   */
  readonly regex: RegExp;
  /** Returns the value. An error that it throws becomes the cause of a {@linkcode PathParamsError}. */
  parse(text: string): T;
}

/**
 * The code units of a path. Reading those of a string is slower: each look-up has to ask what kind of string
 * it is.
 */
export type Codes = Uint16Array;

/** The text of code units `[start, end)`. */
export function textOf(units: Codes, start: number, end: number): string {
  const length = end - start;
  if (length > SHORT_MAX) return longTextOf(units, start, end);
  if (length <= TINY_MAX) {
    let text = "";
    for (let i = start; i < end; i++) text += String.fromCharCode(units[i]);
    return text;
  }
  const codes = short[length] ??= new Array(length).fill(0);
  for (let i = 0; i < length; i++) codes[i] = units[start + i];
  return String.fromCharCode.apply(null, codes);
}

function longTextOf(units: Codes, start: number, end: number): string {
  let text = "";
  // Fewer arguments than the limit of any engine for one call.
  for (; start < end; start += 4096) {
    text += String.fromCharCode(...units.subarray(start, Math.min(start + 4096, end)));
  }
  return text;
}

/** Up to this length, text is appended unit by unit, which creates a string for each prefix. */
const TINY_MAX = 6;
/** Up to this length, text is made from an array of that length; one array per length is kept in `short`. */
const SHORT_MAX = 64;
const short: number[][] = [];

/**
 * How the router finds the ends of a param that starts at `at`.
 *
 * The scanners of the built-in converters are regular: if a start `other` takes text, then every end at or
 * beyond `other + min` that an earlier start reaches is also reached from `other`. So the router has to try
 * each end only once.
 */
export interface Scanner {
  /** The minimum length of the text. */
  readonly min: number;
  /**
   * Whether the param may continue with this code unit. If not, the code unit can only come after its
   * farthest end.
   */
  holds(code: number): boolean;
  /** The farthest end, at most `stop`; less than `at + min` if there is none. */
  reach(path: Codes, at: number, stop: number): number;
  /** Whether an end before the farthest one is valid, whatever the start; null if all of them are. */
  readonly accepts: ((path: Codes, end: number) => boolean) | null;
  /** The expression of a user-defined converter, which determines the ends instead. */
  readonly expression: Expression | null;
}

const SURROGATE = /[\ud800-\udfff]/;

/** The expression of a user-defined converter. */
export class Expression {
  readonly #whole: RegExp;
  readonly #beginning: RegExp;
  /** Whether the text after an end may affect the match. */
  readonly #looksAhead: boolean;
  readonly #isUnicode: boolean;

  constructor({ source, flags }: RegExp) {
    flags = flags.replace(/[^isuv]/g, "");
    this.#whole = new RegExp(`^(?:${source})$`, flags);
    this.#beginning = new RegExp(`^(?:${source})`, flags);
    // This errs on the side of `true`: a dollar sign may be inside a character class.
    this.#looksAhead = /\$|\\b|\(\?[=!]/i.test(source);
    this.#isUnicode = /[uv]/.test(flags);
  }

  /** Whether it matches all of `text`. */
  matches(text: string): boolean {
    return this.#whole.test(text);
  }

  /** Returns `false` if no prefix of `text` matches: one run instead of one for each prefix. */
  mayBegin(text: string): boolean {
    if (this.#looksAhead) return true;
    // An end between two surrogates splits a character that is whole here.
    if (this.#isUnicode && SURROGATE.test(text)) return true;
    return this.#beginning.test(text);
  }
}

/** A converter as used in compiled patterns. */
export interface NamedConverter extends Converter {
  readonly scanner: Scanner;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const HYPHEN = 0x2d;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isHex(code: number): boolean {
  return isDigit(code) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
}

function digitsEnd(path: Codes, at: number, stop: number): number {
  while (at < stop && isDigit(path[at])) at++;
  return at;
}

const STR: Scanner = {
  min: 1,
  holds: (code): boolean => code !== SLASH,
  reach(path, at, stop): number {
    while (at < stop && path[at] !== SLASH) at++;
    return at;
  },
  accepts: null,
  expression: null,
};

const INT: Scanner = {
  min: 1,
  holds: isDigit,
  reach: digitsEnd,
  accepts: null,
  expression: null,
};

const FLOAT: Scanner = {
  min: 1,
  holds: (code): boolean => isDigit(code) || code === DOT,
  reach(path, at, stop): number {
    const dot = digitsEnd(path, at, stop);
    if (dot === at || dot >= stop || path[dot] !== DOT) return dot;
    const end = digitsEnd(path, dot + 1, stop);
    return end > dot + 1 ? end : dot;
  },
  accepts: (path, end): boolean => path[end - 1] !== DOT,
  expression: null,
};

const PATH: Scanner = {
  min: 0,
  holds: (): boolean => true,
  reach: (_path, _at, stop): number => stop,
  accepts: null,
  expression: null,
};

const UUID_LENGTH = 36;
const UUID_HYPHENS = [8, 13, 18, 23];
const UUID: Scanner = {
  min: UUID_LENGTH,
  holds: (): boolean => false,
  reach(path, at, stop): number {
    if (at + UUID_LENGTH > stop) return -1;
    for (let i = 0; i < UUID_LENGTH; i++) {
      const code = path[at + i];
      if (UUID_HYPHENS.includes(i) ? code !== HYPHEN : !isHex(code)) return -1;
    }
    return at + UUID_LENGTH;
  },
  accepts: null,
  expression: null,
};

function parseInteger(text: string): number {
  const value = Number(text);
  // Above that, several texts stand for the same number: someone else's row in a database.
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`Cannot parse int "${text}": must be at most ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

function parseFloating(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot parse float "${text}": must be at most ${Number.MAX_VALUE}`);
  }
  return value;
}

const itself = (text: string): string => text;

/** The built-in converters by name, typed by `BuiltinConverters`. */
export const BUILTIN_CONVERTERS: ReadonlyMap<string, NamedConverter> = new Map<
  string,
  NamedConverter
>([
  ["str", { regex: /[^/]+/, parse: itself, scanner: STR }],
  ["int", { regex: /[0-9]+/, parse: parseInteger, scanner: INT }],
  ["float", { regex: /[0-9]+(?:\.[0-9]+)?/, parse: parseFloating, scanner: FLOAT }],
  ["path", { regex: /[^]*/, parse: itself, scanner: PATH }],
  ["uuid", {
    regex: /[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}/,
    parse: (text): string => text.toLowerCase(),
    scanner: UUID,
  }],
]);

/**
 * Prepares a user-defined converter for use in patterns.
 *
 * @throws {RouteError} The name is not a word.
 * @throws {TypeError} `regex` is not a `RegExp`, or `parse` is not a function.
 */
export function makeConverter(name: string, converter: Converter): NamedConverter {
  if (!isWord(name)) {
    throw new RouteError(
      `Cannot add converter "${name}": the name must consist of letters, digits and _, and not begin with a digit`,
    );
  }
  const action = `Cannot add converter "${name}"`;
  if (!(converter?.regex instanceof RegExp)) {
    throw new TypeError(`${action}: regex must be a RegExp, got ${shown(converter?.regex)}`);
  }
  checkFunction(converter.parse, `${action}: parse`);
  const scanner: Scanner = {
    min: 0,
    holds: (): boolean => true,
    reach: (_path, _at, stop): number => stop,
    accepts: null,
    expression: new Expression(converter.regex),
  };
  return { regex: converter.regex, parse: (text): unknown => converter.parse(text), scanner };
}
