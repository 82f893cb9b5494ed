// Converters: what text a param takes, and the value made of it. The table below is the whole list of
// the built-in ones. Beside the regular expression, which says what a converter means, stands the
// scanner that the router runs: it finds the same ends in one pass, and never goes back (see router.ts).

import { checkFunction, RouteError, shown } from "./errors.ts";
import { isWord } from "./pattern.ts";

/**
 * What text a param takes, and the value made of it.
 *
 * Where a listener decodes params, as HTTP does with `%2F`, a route is found by the text as it stands in the path.
 * What is decoded then has to match `regex` again: so `parse` gets no text that it does not allow.
 */
export interface Converter<T = unknown> {
  /**
   * The text must match it as a whole. Of the flags `i`, `s`, `u` and `v` count.
   *
   * It is run on one candidate after the other, the longest first: a lazy quantifier takes as much as a greedy
   * one, and an expression that can take exponential time does. What all runs for one path read is bounded, by
   * 10 million characters and 100 for each of the path's. A path of two hundred characters hardly needs
   * so much. A long one that does, as it is made to match almost everywhere, is refused with a
   * {@linkcode PathParamsError}, after some 30 milliseconds where the expressions are simple.
   */
  readonly regex: RegExp;
  /** Makes the value; what it throws becomes a {@linkcode PathParamsError}. */
  parse(text: string): T;
}

/** The code units of a path: of a string's, each look-up has to ask what kind of string it is. */
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
  // Fewer arguments than any engine's limit for one call.
  for (; start < end; start += 4096) {
    text += String.fromCharCode(...units.subarray(start, Math.min(start + 4096, end)));
  }
  return text;
}

/** Up to this length a text is made unit by unit, which makes a string of each beginning. */
const TINY_MAX = 6;
/** Up to this length it is made of an array of as many elements, which are kept here by their lengths. */
const SHORT_MAX = 64;
const short: number[][] = [];

/**
 * How the router finds out where a param that starts at `at` may end.
 *
 * Those of the built-in converters are regular: whatever a start reaches at or beyond `other + min`, with `other` a
 * start behind it that took text, `other` reaches too. It lets the router try each end only once.
 */
export interface Scanner {
  /** The least length of the text. */
  readonly min: number;
  /** Whether the text can go on with this code unit: where not, it ends there or never. */
  holds(code: number): boolean;
  /** The farthest end, at most `stop`; below `at + min` where there is none. */
  reach(path: Codes, at: number, stop: number): number;
  /** Whether an end before the farthest one is an end as well, wherever the start; null: each is. */
  readonly accepts: ((path: Codes, end: number) => boolean) | null;
  /** What tells the ends instead, where a user has made the converter. */
  readonly expression: Expression | null;
}

const SURROGATE = /[\ud800-\udfff]/;

/** A user's expression. */
export class Expression {
  readonly #whole: RegExp;
  readonly #beginning: RegExp;
  /** Whether what stands behind an end may make a difference. */
  readonly #looksAhead: boolean;
  readonly #isUnicode: boolean;

  constructor({ source, flags }: RegExp) {
    flags = flags.replace(/[^isuv]/g, "");
    this.#whole = new RegExp(`^(?:${source})$`, flags);
    this.#beginning = new RegExp(`^(?:${source})`, flags);
    // It takes too many for such: a dollar may stand in a class.
    this.#looksAhead = /\$|\\b|\(\?[=!]/i.test(source);
    this.#isUnicode = /[uv]/.test(flags);
  }

  /** Whether it matches `text` as a whole. */
  matches(text: string): boolean {
    return this.#whole.test(text);
  }

  /** `false` where no beginning of `text` matches: one run instead of one for each beginning. */
  mayBegin(text: string): boolean {
    if (this.#looksAhead) return true;
    // An end between two surrogates cuts a character that is whole here.
    if (this.#isUnicode && SURROGATE.test(text)) return true;
    return this.#beginning.test(text);
  }
}

/** A converter as patterns are compiled with it. */
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
  // The next number up would stand for two texts: someone else's row in a database.
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`Cannot read int "${text}": must be at most ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

function parseFloating(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot read float "${text}": must be at most ${Number.MAX_VALUE}`);
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
 * Makes a converter of a user ready for patterns.
 *
 * @throws {RouteError} The name is no word.
 * @throws {TypeError} What the converter is made of is of another type.
 */
export function makeConverter(name: string, converter: Converter): NamedConverter {
  if (!isWord(name)) {
    throw new RouteError(
      `Cannot add converter "${name}": the name must be letters, digits and _, no digit first`,
    );
  }
  const action = `Cannot add converter "${name}"`;
  if (!(converter?.regex instanceof RegExp)) {
    throw new TypeError(`${action}: regex must be a RegExp, not ${shown(converter?.regex)}`);
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
