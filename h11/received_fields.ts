// Reading a field section (RFC 9112 5): one pass over the bytes, which checks every rule and leaves an
// index of where names and values stand. Text is made when somebody asks for it.

import { LocalProtocolError } from "./errors.ts";
import {
  firstOfEqual,
  Framing,
  noteConnectionOption,
  noteField,
  noteHost,
  type Rules,
} from "./framing.ts";
import { FIELD_VALUE, TOKEN } from "./grammar.ts";
import { isName, knownName } from "./names.ts";
import { decodeAscii, decodeLatin1, quoteBytes } from "./text.ts";

const HTAB = 0x09, LF = 0x0a, CR = 0x0d, SP = 0x20, COLON = 0x3a;

/**
 * Fields that a trailer section may not have, as they frame the message, route it, or change how it
 * is processed (RFC 9110 6.5.1).
 */
export const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  ...[
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
  ],
  ...[
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
  ],
  ...[
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
  ],
  ...[
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
  ],
  ...[
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
  ],
  ...["transfer-encoding", "upgrade", "vary", "warning", "www-authenticate"],
]);

// The fields of the section that is being read, four numbers each: start and end of the name, start
// and end of the value. Reading a section never waits, so one scratch area serves all connections.
let scratch = new Int32Array(4 * 128);
let count = 0;
let framing = new Framing();
let isAscii = true;

/** How a field section is read. */
export interface FieldRules {
  rules: Rules;
  /** Fields at most, 0 for no limit. */
  maxFields: number;
  /** A trailer section: nothing in it frames the message. */
  trailers: boolean;
}

/**
 * Reads a field section and the empty line that ends it.
 *
 * @param view A view on the array's buffer.
 * @returns Where it ended, or -1 where `end` came first.
 * @throws {LocalProtocolError} A line breaks a rule.
 */
export function scanFields(
  bytes: Uint8Array,
  view: DataView,
  p: number,
  end: number,
  how: FieldRules,
): number {
  const { rules, trailers } = how;
  const maxFields = how.maxFields === 0 ? Infinity : how.maxFields;
  const offset = bytes.byteOffset;
  count = 0;
  isAscii = true;
  framing = new Framing();
  for (;;) {
    const nameStart = p;
    while (p < end && TOKEN[bytes[p]] === 1) p++;
    if (p >= end) return -1;
    const nameEnd = p;
    if (bytes[p] !== COLON || p === nameStart) {
      if (bytes[p] !== CR || p !== nameStart) {
        throw badName(bytes, nameStart, p);
      }
      if (p + 1 >= end) return -1;
      if (bytes[p + 1] !== LF) throw badLineEnd(bytes, p, nameStart);
      return p + 2;
    }
    p++;
    while (p < end && (bytes[p] === SP || bytes[p] === HTAB)) p++;
    const valueStart = p;
    for (;;) {
      // Four bytes at a time while all of them are SP or VCHAR: no byte's high bit is set in itself,
      // after 0x20 was taken away, or after 1 was added (a cycle took 8 % less time).
      while (p + 4 <= end) {
        const four = view.getInt32(offset + p, true);
        if (
          ((four | (four - 0x20202020) | (four + 0x01010101)) & 0x80808080) !==
            0
        ) break;
        p += 4;
      }
      const stop = p + 4 < end ? p + 4 : end;
      let kind = 1;
      while (p < stop && (kind = FIELD_VALUE[bytes[p]]) !== 0) {
        if (kind === 2) isAscii = false;
        p++;
      }
      if (kind === 0 || p >= end) break;
    }
    if (p >= end) return -1;
    if (bytes[p] !== CR) throw badLineEnd(bytes, p, nameStart);
    if (p + 1 >= end) return -1;
    if (bytes[p + 1] !== LF) throw badLineEnd(bytes, p, nameStart);
    let valueEnd = p;
    while (
      valueEnd > valueStart &&
      (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)
    ) {
      valueEnd--;
    }
    p += 2;
    if (count >= maxFields) {
      throw new LocalProtocolError(
        `Cannot read more fields: expected at most ${how.maxFields} in one section`,
        431,
      );
    }
    const at = 4 * count;
    if (at === scratch.length) grow();
    scratch[at] = nameStart;
    scratch[at + 1] = nameEnd;
    scratch[at + 2] = valueStart;
    scratch[at + 3] = valueEnd;
    if (
      trailers ? keepsTrailer(bytes, at, rules) : keepsField(bytes, at, rules)
    ) count++;
  }
}

function grow(): void {
  const larger = new Int32Array(2 * scratch.length);
  larger.set(scratch);
  scratch = larger;
}

function keepsTrailer(bytes: Uint8Array, at: number, rules: Rules): boolean {
  return rules === "lenient" ||
    !FORBIDDEN_TRAILERS.has(knownName(bytes, scratch[at], scratch[at + 1]));
}

/** Takes note of a field that frames the message. These six have six different lengths. */
function keepsField(bytes: Uint8Array, at: number, rules: Rules): boolean {
  const nameStart = scratch[at], nameEnd = scratch[at + 1];
  const start = scratch[at + 2], end = scratch[at + 3];
  let name: string;
  switch (nameEnd - nameStart) {
    case 4:
      if (rules === "strict" && isName(bytes, nameStart, nameEnd, "host")) {
        noteHost(framing, bytes, start, end);
      }
      return true;
    case 6:
      name = "expect";
      break;
    case 7:
      name = "upgrade";
      break;
    case 10:
      if (!isName(bytes, nameStart, nameEnd, "connection")) return true;
      if (isName(bytes, start, end, "keep-alive")) {
        noteConnectionOption(framing, "keep-alive");
      } else if (isName(bytes, start, end, "close")) {
        noteConnectionOption(framing, "close");
      } else {noteField(
          framing,
          "connection",
          decodeLatin1(bytes, start, end),
          rules,
        );}
      return true;
    case 14:
      name = "content-length";
      break;
    case 17:
      name = "transfer-encoding";
      break;
    default:
      return true;
  }
  if (!isName(bytes, nameStart, nameEnd, name)) return true;
  // A user agent has no use for an expectation of the server's.
  if (rules === "lenient" && name === "expect") return true;
  const value = decodeLatin1(bytes, start, end);
  const isNew = noteField(framing, name, value, rules);
  if (rules === "lenient" && name === "content-length") {
    scratch[at + 3] = start + firstOfEqual(value)!.length;
  }
  return isNew;
}

function badName(
  bytes: Uint8Array,
  start: number,
  p: number,
): LocalProtocolError {
  const b = bytes[p];
  const why = b === SP || b === HTAB
    ? p === start
      ? "white space before the name, or obsolete line folding (RFC 9112 5.2)"
      : "white space before the colon (RFC 9112 5.1)"
    : b === LF
    ? "a bare LF (RFC 9112 2.2)"
    : b === COLON
    ? "the name is empty (RFC 9112 5)"
    : b === CR
    ? "no colon (RFC 9112 5)"
    : `${quoteBytes(bytes, p, p + 1)} in the name (RFC 9110 5.1)`;
  return new LocalProtocolError(
    `Cannot read field line ${quoteLine(bytes, start, p)}: ${why}`,
  );
}

function badLineEnd(
  bytes: Uint8Array,
  p: number,
  start: number,
): LocalProtocolError {
  const why = bytes[p] === CR
    ? "a bare CR (RFC 9112 2.2)"
    : bytes[p] === LF
    ? "a bare LF (RFC 9112 2.2)"
    : `control character ${quoteBytes(bytes, p, p + 1)} in the value (RFC 9110 5.5)`;
  return new LocalProtocolError(
    `Cannot read field line ${quoteLine(bytes, start, p)}: ${why}`,
  );
}

/** The line that begins at `start` as far as `p`, the byte that breaks it. */
function quoteLine(bytes: Uint8Array, start: number, p: number): string {
  return quoteBytes(bytes, start, p + 1);
}

/** An area that is only ever filled, never written twice: what is cut from it does not change. */
class Slab<A extends Uint8Array | Int32Array> {
  array: A;
  #used = 0;
  readonly #make: (length: number) => A;
  readonly #size: number;

  constructor(make: (length: number) => A, size: number) {
    this.#make = make;
    this.#size = size;
    this.array = make(size);
  }

  /** Where `length` free elements of `array` begin; `array` may be a new one. */
  reserve(length: number): number {
    if (this.#used + length > this.array.length) {
      this.array = this.#make(Math.max(length, this.#size));
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    return start;
  }
}
const heads = new Slab((length) => new Uint8Array(length), 32 * 1024);
const indexes = new Slab((length) => new Int32Array(length), 4 * 1024);

/** The fields of one section: a copy of its bytes, and where the fields stand in it. */
export class ReceivedFields {
  /** How many fields there are. */
  readonly count: number;
  /** How many bytes the section has, with its start line and its end. */
  readonly byteLength: number;
  /** What the fields say of the message's framing. */
  readonly framing: Framing;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #index: Int32Array;
  readonly #first: number;
  readonly #isAscii: boolean;
  #text: string | null = null;

  /** Keeps what `scanFields` has just read, and the start line that stands before it. */
  constructor(
    bytes: Uint8Array,
    start: number,
    end: number,
    startLineIsAscii: boolean,
  ) {
    this.count = count;
    this.framing = framing;
    this.#isAscii = isAscii && startLineIsAscii;
    this.byteLength = end - start;
    this.#start = heads.reserve(end - start);
    this.#bytes = heads.array;
    heads.array.set(bytes.subarray(start, end), this.#start);
    this.#first = indexes.reserve(4 * count);
    this.#index = indexes.array;
    const from = start - this.#start;
    for (let i = 0, to = this.#first; i < 4 * count; i++, to++) {
      indexes.array[to] = scratch[i] - from;
    }
  }

  /** Bytes `[start, end)`, counted from the first one kept, as text. */
  slice(start: number, end: number): string {
    return this.#text === null
      ? decodeLatin1(this.#bytes, this.#start + start, this.#start + end)
      : this.#text.slice(start, end);
  }

  /** Whether field `i` is called `name`, which is in lower case. */
  isNamed(i: number, name: string): boolean {
    const at = this.#first + 4 * i;
    return isName(this.#bytes, this.#index[at], this.#index[at + 1], name);
  }

  /** The name of field `i` in lower case. */
  name(i: number): string {
    const at = this.#first + 4 * i;
    return knownName(this.#bytes, this.#index[at], this.#index[at + 1]);
  }

  /** The name of field `i` as it came. */
  rawName(i: number): string {
    return this.#cut(this.#first + 4 * i);
  }

  /** The value of field `i`. */
  value(i: number): string {
    return this.#cut(this.#first + 4 * i + 2);
  }

  #cut(at: number): string {
    // The first value that is read decodes the whole section: cutting strings out of a string is
    // several times cheaper than decoding each.
    if (this.#text === null) {
      const end = this.#start + this.byteLength;
      this.#text = this.#isAscii
        ? decodeAscii(this.#bytes, this.#start, end)
        : decodeLatin1(this.#bytes, this.#start, end);
    }
    return this.#text.slice(
      this.#index[at] - this.#start,
      this.#index[at + 1] - this.#start,
    );
  }
}
