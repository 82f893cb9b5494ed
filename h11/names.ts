// Names of fields in bytes and in text, and methods.

import { FRAMING_NAMES } from "./framing.ts";
import { textConsistsOf, TOKEN } from "./grammar.ts";
import { type Area, Piece, writePiece, writeText } from "./output.ts";
import { decodeLatin1 } from "./text.ts";

/** Lower case of an ASCII letter; every other byte is itself. */
const LOWER = Uint8Array.from(
  { length: 256 },
  (_, b) => b >= 0x41 && b <= 0x5a ? b | 0x20 : b,
);

/** `bytes[start, end)` is `name`, which is in lower case, in any case. */
export function isName(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (LOWER[bytes[start + i]] !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** A field name that was checked, and the line it was last sent in. */
export class FieldName {
  /** As it was given. */
  readonly raw: string;
  /** In lower case. */
  readonly lower: string;
  /** A field of that name frames the message. */
  readonly frames: boolean;
  /** The name that came after it the last time. */
  next: FieldName | null = null;
  readonly #start: Piece;
  // An empty value needs no check.
  #value = "";
  #line: Piece | null = null;

  constructor(raw: string) {
    this.raw = raw;
    this.lower = raw.toLowerCase();
    this.frames = FRAMING_NAMES.has(this.lower);
    this.#start = new Piece(`\r\n${raw}: `);
  }

  /** Whether `value` was the last that `remember` was called with. */
  remembers(value: string): boolean {
    return value === this.#value;
  }

  /** Remembers a value that was found valid. */
  remember(value: string): void {
    if (value.length > REMEMBERED_MAX) return;
    this.#value = value;
    this.#line = null;
  }

  /** How many bytes `write` writes. */
  lineLength(value: string): number {
    return this.#start.length + value.length;
  }

  /** Writes the field's line with the CRLF before it. @returns Where it ends. */
  write(area: Area, value: string, at: number): number {
    // A program sends most of its fields with the value they had the last time: to keep that one line
    // saved a sixth of the time of a cycle.
    if (value === this.#value) {
      return writePiece(area, this.#line ??= new Piece(`\r\n${this.raw}: ${value}`), at);
    }
    return writeText(area, value, writePiece(area, this.#start, at));
  }
}
const REMEMBERED_MAX = 128;

// Names that were checked before. A program sends few names and sends them often; the bound keeps
// one that takes its names from elsewhere from filling the memory.
const checked = new Map<string, FieldName>();
const CHECKED_MAX = 1024;

/**
 * Checks the name of the field after the one called `before`, or of the first one; null where it is not a
 * token. Names that are sent come in the same order nearly always.
 */
export function fieldName(raw: string, before: FieldName | null): FieldName | null {
  const previous = before ?? BEFORE_FIRST;
  if (previous.next !== null && previous.next.raw === raw) return previous.next;
  return previous.next = checkedName(raw);
}
const BEFORE_FIRST = new FieldName("first");

function checkedName(raw: string): FieldName | null {
  const known = checked.get(raw);
  if (known !== undefined) return known;
  if (typeof raw !== "string" || raw === "" || !textConsistsOf(TOKEN, raw)) return null;
  const name = new FieldName(raw);
  if (checked.size < CHECKED_MAX && raw.length <= 64) checked.set(raw, name);
  return name;
}

const KNOWN_METHODS = [
  "GET",
  "POST",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "CONNECT",
  "TRACE",
];

/** The method in `bytes[start, end)`; methods are case-sensitive (RFC 9110 9.1). */
export function methodName(bytes: Uint8Array, start: number, end: number): string {
  for (let i = 0; i < KNOWN_METHODS.length; i++) {
    const method = KNOWN_METHODS[i];
    if (method.length !== end - start) continue;
    let at = 0;
    while (at < method.length && bytes[start + at] === method.charCodeAt(at)) {
      at++;
    }
    if (at === method.length) return method;
  }
  return decodeLatin1(bytes, start, end);
}
