// The bytes that are sent, but for the data of bodies, which is the caller's.

import { Slab } from "./slab.ts";
import { encodeInto } from "./text.ts";

const slab = new Slab((length) => new Uint8Array(length), 32 * 1024);
/** More than this does not come out of the slab: who holds a little must not hold on to much. */
const SHARED_MAX = 4 * 1024;

/** The bytes of `text`, whose code units must be under 0x100. */
export function encodeLatin1(text: string): Uint8Array {
  const bytes = allocate(text.length);
  encodeInto(text, bytes, 0);
  return bytes;
}

/** `parts`, one after the other. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = allocate(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** An array of `length` bytes that nobody else writes to. */
function allocate(length: number): Uint8Array {
  if (length > SHARED_MAX) return new Uint8Array(length);
  const start = slab.find(length);
  slab.take(length);
  return slab.array.subarray(start, start + length);
}

/** A piece of a section that is sent often, kept as it is copied: four bytes at a time. */
export class Piece {
  /** In bytes. */
  readonly length: number;
  /** The last one is filled up with zeros. */
  readonly words: Int32Array;

  /** Takes text whose code units are under 0x100. */
  constructor(text: string) {
    this.length = text.length;
    this.words = new Int32Array((text.length + 3) >> 2);
    const bytes = new Uint8Array(this.words.buffer);
    encodeInto(text, bytes, 0);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getInt32(4 * i, true);
  }
}

/** Ends the last line of a section, and the section. */
export const SECTION_END = new Piece("\r\n\r\n");

/** Where a section is written: pieces go to the view, other text to the bytes under it. */
export interface Area {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The first byte that may be written. */
  readonly start: number;
}

/** Finds room for a section of at most `size` bytes. Nothing else may be encoded until `cut`. */
export function findRoom(size: number): Area {
  // A piece writes up to three bytes too many, which the next one overwrites.
  size += 3;
  if (size > SHARED_MAX) {
    const bytes = new Uint8Array(size);
    return { bytes, view: new DataView(bytes.buffer), start: 0 };
  }
  const start = slab.find(size);
  return { bytes: slab.array, view: slab.view, start };
}

/** Takes what was written up to `end`. */
export function cut({ bytes, start }: Area, end: number): Uint8Array {
  if (bytes === slab.array) slab.take(end - start);
  return bytes.subarray(start, end);
}

/** Writes a piece at `at`. @returns Where it ends. */
export function writePiece({ view }: Area, { length, words }: Piece, at: number): number {
  for (let i = 0; i < words.length; i++) view.setInt32(at + 4 * i, words[i], true);
  return at + length;
}

/** Writes text whose code units are under 0x100 at `at`. @returns Where it ends. */
export function writeText({ bytes }: Area, text: string, at: number): number {
  encodeInto(text, bytes, at);
  return at + text.length;
}
