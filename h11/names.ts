// Field names, in bytes and in text, and methods.

import { FRAMING_NAMES } from "./framing.ts";
import { textConsistsOf, TOKEN } from "./grammar.ts";
import { type Area, Piece, writePiece, writeText } from "./output.ts";
import { decodeLatin1 } from "./text.ts";

/** Maps ASCII letters to lower case, and every other byte to itself. */
const LOWER = Uint8Array.from(
  { length: 256 },
  (_, b) => b >= 0x41 && b <= 0x5a ? b | 0x20 : b,
);

/** Whether `bytes[start, end)` is `name` (lower case), ignoring case. */
export function isName(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (LOWER[bytes[start + i]] !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** A checked field name, and the line in which it was last sent. */
export class FieldName {
  /** The name as it was given. */
  readonly raw: string;
  /** The name in lower case. */
  readonly lower: string;
  /** Whether `framing.ts` interprets fields of this name. */
  readonly frames: boolean;
  /** The name that followed it last time. */
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

  /** Whether `value` is the one remembered last. */
  remembers(value: string): boolean {
    return value === this.#value;
  }

  /** Remembers a value that has been found valid. */
  remember(value: string): void {
    if (value.length > REMEMBERED_MAX) return;
    this.#value = value;
    this.#line = null;
  }

  /** The number of bytes that `write` writes. */
  lineLength(value: string): number {
    return this.#start.length + value.length;
  }

  /** Writes the field line, preceded by CRLF. @returns The end of the line. */
  write(area: Area, value: string, at: number): number {
    // A program sends most fields with the same value as last time. Keeping that line saved a sixth of the
    // time of a cycle.
    if (value === this.#value) {
      return writePiece(area, this.#line ??= new Piece(`\r\n${this.raw}: ${value}`), at);
    }
    return writeText(area, value, writePiece(area, this.#start, at));
  }
}
const REMEMBERED_MAX = 128;

// Names that have been checked. A program sends few different names, and sends them often. The bound limits
// memory for a program whose names come from elsewhere.
const checked = new Map<string, FieldName>();
const CHECKED_MAX = 1024;

/**
 * Checks the name of the field that follows `before`, or of the first field; null if it is not a token. Names
 * are nearly always sent in the same order.
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
