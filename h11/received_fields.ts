// Parses a field section (RFC 9112 5) in one pass over the bytes, which checks every rule and builds an index
// of the positions of names and values. Text is decoded on demand.

import { LocalProtocolError } from "./errors.ts";
import {
  firstOfEqual,
  Framing,
  framingName,
  mayFrame,
  noteConnectionOption,
  noteField,
  noteHost,
  noteReceivedField,
  type Rules,
} from "./framing.ts";
import { endOfRun, FIELD_VALUE, isBlank, TOKEN } from "./grammar.ts";
import { knownName, KnownText } from "./known_names.ts";
import { isName } from "./names.ts";
import type { Area } from "./output.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";
import { Slab } from "./slab.ts";
import { decodeAscii, decodeLatin1, quoteBytes } from "./text.ts";

const HTAB = 0x09, LF = 0x0a, CR = 0x0d, SP = 0x20, COLON = 0x3a;
const CRLF = 0x0d0a;

/**
 * Fields that are not allowed in a trailer section, as they frame the message, route it, or change how it is
 * processed (RFC 9110 6.5.1).
 */
export const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set(`
  age authorization cache-control connection content-encoding content-length content-range
  content-type cookie date expect expires host if-match if-modified-since if-none-match if-range
  if-unmodified-since keep-alive location max-forwards pragma proxy-authenticate
  proxy-authorization proxy-connection range retry-after set-cookie te trailer transfer-encoding
  upgrade vary warning www-authenticate
`.match(/\S+/g));

// Received sections are kept in two shared areas. One has the bytes; the other has four numbers for each
// field, relative to the start of the fields: start and end of its name, start and end of its value.
export const heads: Slab<Uint8Array> = new Slab((length) => new Uint8Array(length), 32 * 1024);
const indexes = new Slab((length) => new Int32Array(length), 4 * 1024);
/** Space for this many fields is reserved before a section is parsed; more fields move to a larger area. */
const USUAL_FIELDS = 32;
/** The number of bytes past the section that parsing may read, without effect. */
const SLACK = 8;
/** Up to this many bytes, a loop copies them. */
const COPY_LOOP_MAX = 64;
/** How many bytes may be copied in excess of those needed. */
const MORE_MAX = 512;

// Bytes that were placed together with the last section but follow it: what the client sent after it. They
// are identified by the array in which they arrived, not by the buffer, which may have moved them to another
// array since.
let rest: Uint8Array | null = null;
let restStart = 0;
let restEnd = 0;
/** Their position in the area of heads. */
let restAt = 0;

/** The end of the part of `buffer` that is already placed; 0 if none is. */
export function placedEnd(buffer: ReceiveBuffer): number {
  return buffer.bytes === rest && buffer.start === restStart && heads.used === restAt ? restEnd : 0;
}

/** Records that a section took some of the placed bytes, and that those up to `end` are left in `buffer`. */
export function leave(buffer: ReceiveBuffer, end: number): void {
  if (buffer.start === end) return;
  rest = buffer.bytes;
  restStart = buffer.start;
  restEnd = end;
  restAt = heads.used;
}

/** Forgets the placed bytes, since an array may have new content. */
export function forgetPlaced(): void {
  rest = null;
}

/**
 * Copies bytes to the place where a section parsed from them stays, and adds a zero byte. A zero is not valid
 * anywhere in a section, so the parsing loops stop at it and need not check for the end.
 *
 * The copy begins at the first free byte of `heads`. It is allocated only when a section takes it.
 */
export function place(bytes: Uint8Array, start: number, end: number): void {
  rest = null;
  const size = end - start;
  // Making a view of the wanted bytes takes longer than a short loop, or than copying a few bytes more.
  const isAll = start === 0 && bytes.length - end <= MORE_MAX;
  const at = heads.find((isAll ? bytes.length : size) + SLACK);
  const { array } = heads;
  if (size <= COPY_LOOP_MAX) {
    for (let i = 0; i < size; i++) array[at + i] = bytes[start + i];
  } else {
    array.set(isAll ? bytes : bytes.subarray(start, end), at);
  }
  array[at + size] = 0;
}

/** How a field section is read. */
export interface FieldRules {
  rules: Rules;
  /** The maximum number of fields; 0 for no limit. */
  maxFields: number;
  /** Whether it is a trailer section, whose fields do not frame the message. */
  trailers: boolean;
}

/**
 * Parses a field section and the empty line that ends it, in bytes that `place` copied.
 *
 * @param start The start of the section, including its start line.
 * @param p The start of its fields.
 * @returns The fields, or null if `end` came first.
 * @throws {LocalProtocolError} A line breaks a rule.
 */
export function readFields(
  area: Slab<Uint8Array>,
  start: number,
  p: number,
  end: number,
  how: FieldRules,
): ReceivedFields | null {
  const { array: bytes, view } = area;
  const { rules, trailers, maxFields } = how;
  const framing = new Framing();
  const from = p;
  let first = indexes.find(4 * USUAL_FIELDS);
  let index = indexes.array;
  let at = first;
  let count = 0;
  let isAscii = true;
  for (;;) {
    const nameStart = p;
    p = endOfRun(TOKEN, bytes, p);
    if (bytes[p] !== COLON || p === nameStart) {
      if (p >= end) return null;
      if (p > nameStart || bytes[p] !== CR) throw badName(bytes, nameStart, p);
      if (p + 1 >= end) return null;
      if (bytes[p + 1] !== LF) throw badLineEnd(bytes, nameStart, p);
      area.take(p + 2 - start);
      indexes.take(at - first);
      return new ReceivedFields(area, from, p + 2, index, first, count, framing, isAscii);
    }
    const nameEnd = p++;
    while (isBlank(bytes[p])) p++;
    const valueStart = p;
    for (;;) {
      // Skips four bytes at a time while all of them are SP or VCHAR. A byte is neither if subtracting 0x20
      // or adding 1 sets its high bit. The lowest such byte is examined next. (A cycle took 15 % less time
      // than byte by byte.)
      let high = 0;
      for (;;) {
        const four = view.getInt32(p, true);
        high = ((four - 0x20202020) | (four + 0x01010101)) & 0x80808080;
        if (high !== 0) break;
        p += 4;
      }
      p += (31 - Math.clz32(high & -high)) >> 3;
      const kind = FIELD_VALUE[bytes[p]];
      if (kind === 0) break;
      if (kind === 2) isAscii = false;
      p++;
    }
    if (view.getUint16(p) !== CRLF) {
      if (p >= end || (p + 1 >= end && bytes[p] === CR)) return null;
      throw badLineEnd(bytes, nameStart, p);
    }
    let valueEnd = p;
    while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1])) valueEnd--;
    p += 2;

    if (count === maxFields && maxFields !== 0) {
      throw new LocalProtocolError(
        `Cannot read more than ${how.maxFields} fields in one section`,
        431,
      );
    }
    if (at + 4 > index.length) {
      const fields = index.subarray(first, at);
      first = indexes.find(2 * fields.length);
      index = indexes.array;
      index.set(fields, first);
      at = first + fields.length;
    }
    if (trailers) {
      const name = knownName(bytes, view, nameStart, nameEnd);
      if (rules === "strict" && FORBIDDEN_TRAILERS.has(name)) continue;
    } else if (mayFrame(nameEnd - nameStart, bytes[nameStart] | 0x20)) {
      const known = framingName(nameEnd - nameStart);
      if (known.isIn(view, nameStart, nameEnd)) {
        valueEnd = noteBytes(framing, known.text, bytes, view, valueStart, valueEnd, rules);
        if (valueEnd < 0) continue;
      }
    }
    index[at] = nameStart - from;
    index[at + 1] = nameEnd - from;
    index[at + 2] = valueStart - from;
    index[at + 3] = valueEnd - from;
    at += 4;
    count++;
  }
}

const KEEP_ALIVE = new KnownText("keep-alive");

/**
 * Records a field that frames the message.
 *
 * @returns The end of the value to keep, or -1 if the field is dropped.
 */
function noteBytes(
  framing: Framing,
  name: string,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  rules: Rules,
): number {
  // The most common values are checked without decoding them.
  if (name === "host") {
    if (rules === "strict") noteHost(framing, bytes, start, end);
    return end;
  }
  if (name === "connection" && KEEP_ALIVE.isIn(view, start, end)) {
    noteConnectionOption(framing, "keep-alive");
    return end;
  }
  // An Expect field in a response has no meaning.
  if (rules === "lenient" && name === "expect") return end;
  const value = decodeLatin1(bytes, start, end);
  if (rules === "strict") {
    noteField(framing, name, value, rules);
    return end;
  }
  if (!noteReceivedField(framing, name, value)) return -1;
  const first = name === "content-length" ? firstOfEqual(value) : null;
  return first === null ? end : start + first.length;
}

function badName(bytes: Uint8Array, start: number, p: number): LocalProtocolError {
  const b = bytes[p];
  const why = b === SP || b === HTAB
    ? p === start
      ? "whitespace before the name, or obsolete line folding (RFC 9112 5.2)"
      : "whitespace before the colon (RFC 9112 5.1)"
    : b === LF
    ? "a bare LF (RFC 9112 2.2)"
    : b === COLON
    ? "the name is empty (RFC 9112 5)"
    : b === CR
    ? "no colon (RFC 9112 5)"
    : `${quoteBytes(bytes, p, p + 1)} in the name (RFC 9110 5.1)`;
  return badLine(bytes, start, p, why);
}

function badLineEnd(bytes: Uint8Array, start: number, p: number): LocalProtocolError {
  const why = bytes[p] === CR
    ? "a bare CR (RFC 9112 2.2)"
    : bytes[p] === LF
    ? "a bare LF (RFC 9112 2.2)"
    : `control character ${quoteBytes(bytes, p, p + 1)} in the value (RFC 9110 5.5)`;
  return badLine(bytes, start, p, why);
}

/** The error for a line that begins at `start` and is broken by the byte at `p`. */
function badLine(bytes: Uint8Array, start: number, p: number, why: string): LocalProtocolError {
  const line = quoteBytes(bytes, start, p + 1);
  return new LocalProtocolError(`Cannot read field line ${line}: ${why}`);
}

/** How many short names and values are decoded individually: most readers need only one or two. */
const FEW_CUTS = 2;
const SHORT_VALUE = 48;

/** The fields of one section: its bytes, and the positions of the fields in them. */
export class ReceivedFields {
  /** The number of fields. */
  readonly count: number;
  /** What the fields say about the framing of the message. */
  readonly framing: Framing;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** The start of the fields. */
  readonly #start: number;
  /** The end of the empty line after them. */
  readonly #end: number;
  readonly #index: Int32Array;
  readonly #first: number;
  readonly #isAscii: boolean;
  #text: string | null = null;
  /** How many names and values have been decoded individually. */
  #cuts = 0;
  /** The name or value read last, and its place in the index: what is repeated is often read again. */
  #lastCut = "";
  #lastAt = -1;
  /** Earlier fields that are equal to these, and may have been decoded already. */
  #equal: ReceivedFields | null = null;

  /** Wraps the result of `readFields`, which has taken the bytes of the section and the index. */
  constructor(
    { array, view }: Area,
    start: number,
    end: number,
    index: Int32Array,
    first: number,
    count: number,
    framing: Framing,
    isAscii: boolean,
  ) {
    this.count = count;
    this.framing = framing;
    this.#bytes = array;
    this.#view = view;
    this.#start = start;
    this.#end = end;
    this.#index = index;
    this.#first = first;
    this.#isAscii = isAscii;
  }

  /** The size in bytes, including the empty line. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** The same fields in `area`, which has equal bytes from `start` on. The start line there may differ. */
  at(area: Area, start: number): ReceivedFields {
    const end = start + this.size;
    const { count, framing } = this;
    const fields = new ReceivedFields(
      area,
      start,
      end,
      this.#index,
      this.#first,
      count,
      framing,
      this.#isAscii,
    );
    fields.#equal = this;
    return fields;
  }

  /** A copy in its own area, including the start line of `before` bytes. */
  copyWith(before: number): ReceivedFields {
    const { count, framing } = this;
    const size = before + this.size;
    const array = new Uint8Array(size + SLACK);
    array.set(this.#bytes.subarray(this.#start - before, this.#end));
    const area = { array, view: new DataView(array.buffer) };
    const index = this.#index.slice(this.#first, this.#first + 4 * count);
    return new ReceivedFields(area, before, size, index, 0, count, framing, this.#isAscii);
  }

  /**
   * How many of `length` bytes are equal here, starting at `from`, and in `view`, starting at `at`, before
   * the first difference.
   *
   * @param from Relative to the start of the fields, as in the methods below: positions in the start line are
   * negative.
   */
  commonSize(from: number, view: DataView, at: number, length: number): number {
    const ours = this.#view;
    let i = this.#start + from;
    const offset = at - i, end = i + length;
    for (const last = end - 8; i <= last; i += 8) {
      const differ = (ours.getInt32(i) ^ view.getInt32(offset + i)) |
        (ours.getInt32(i + 4) ^ view.getInt32(offset + i + 4));
      if (differ !== 0) break;
    }
    for (; i < end; i++) {
      if (ours.getUint8(i) !== view.getUint8(offset + i)) break;
    }
    return i - this.#start - from;
  }

  /** Bytes `[start, end)` as text. */
  slice(start: number, end: number): string {
    return decodeLatin1(this.#bytes, this.#start + start, this.#start + end);
  }

  /** Copies bytes `[start, end)`. @returns The number of bytes; -1 if `into` is too small. */
  copy(start: number, end: number, into: Uint16Array): number {
    const length = end - start;
    if (length > into.length) return -1;
    const bytes = this.#bytes, from = this.#start + start;
    for (let i = 0; i < length; i++) into[i] = bytes[from + i];
    return length;
  }

  /** The index of the first field from `i` on named `name` (lower case); -1 if there is none. */
  find(name: string, i: number): number {
    const index = this.#index, start = this.#start;
    for (let at = this.#first + 4 * i; i < this.count; i++, at += 4) {
      if (isName(this.#bytes, start + index[at], start + index[at + 1], name)) return i;
    }
    return -1;
  }

  /** All fields as pairs of lower-case name and value. */
  pairs(): [name: string, value: string][] {
    const bytes = this.#bytes, view = this.#view, index = this.#index, start = this.#start;
    const text = this.#toText();
    const pairs = new Array<[string, string]>(this.count);
    for (let i = 0, at = this.#first; i < pairs.length; i++, at += 4) {
      pairs[i] = [
        knownName(bytes, view, start + index[at], start + index[at + 1]),
        text.slice(index[at + 2], index[at + 3]),
      ];
    }
    return pairs;
  }

  /** The name of field `i` as received. */
  rawName(i: number): string {
    return this.#cut(this.#first + 4 * i);
  }

  /** The value of field `i`. */
  value(i: number): string {
    return this.#cut(this.#first + 4 * i + 2);
  }

  #cut(at: number): string {
    if (this.#equal !== null) return this.#equal.#cut(at);
    if (at === this.#lastAt) return this.#lastCut;
    const start = this.#index[at], end = this.#index[at + 1];
    this.#lastAt = at;
    if (this.#text === null && end - start <= SHORT_VALUE && this.#cuts < FEW_CUTS) {
      this.#cuts++;
      return this.#lastCut = this.slice(start, end);
    }
    return this.#lastCut = this.#toText().slice(start, end);
  }

  /**
   * The whole section as text, decoded once more than a few values are read: slicing a string is several
   * times cheaper than decoding each value.
   */
  #toText(): string {
    if (this.#equal !== null) return this.#equal.#toText();
    if (this.#text === null) {
      this.#text = this.#isAscii
        ? decodeAscii(this.#bytes, this.#start, this.#end)
        : decodeLatin1(this.#bytes, this.#start, this.#end);
    }
    return this.#text;
  }
}
