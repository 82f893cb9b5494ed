// The bytes to send, except the data of bodies, which belongs to the caller.

import { Slab } from "./slab.ts";
import { encodeInto } from "./text.ts";

const makeBytes = (length: number): Uint8Array => new Uint8Array(length);
const slab = new Slab(makeBytes, 32 * 1024);
/** Larger arrays do not come from the slab, so that holding a small array never retains a much larger one. */
const SHARED_MAX = 4 * 1024;

/** The bytes of `text`, whose code units must be under 0x100. */
export function encodeLatin1(text: string): Uint8Array {
  const bytes = allocate(text.length);
  encodeInto(text, bytes, 0);
  return bytes;
}

/** Concatenates `parts`. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = allocate(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** An array of `length` bytes that no other code writes to. */
function allocate(length: number): Uint8Array {
  if (length > SHARED_MAX) return new Uint8Array(length);
  const start = slab.find(length);
  slab.take(length);
  return slab.array.subarray(start, start + length);
}

/** A piece of a section that is sent often, stored so that it can be copied four bytes at a time. */
export class Piece {
  /** The length in bytes. */
  readonly length: number;
  /** The bytes as words. The last one is padded with zeros. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  /** Encodes text whose code units are under 0x100. */
  constructor(text: string) {
    this.length = text.length;
    this.words = new Int32Array((text.length + 3) >> 2);
    this.bytes = new Uint8Array(this.words.buffer, 0, this.length);
    encodeInto(text, this.bytes, 0);
    const view = new DataView(this.words.buffer);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getInt32(4 * i, true);
  }
}

/** The end of the last line of a section, and the empty line. */
export const SECTION_END: Piece = new Piece("\r\n\r\n");

/**
 * An area with room for a section of at most `size` bytes. Nothing else may be encoded until `cut`.
 *
 * Writing a piece may write up to three bytes past its end, which the next piece overwrites. The last piece
 * is SECTION_END, whose four bytes write none.
 */
export function areaFor(size: number): Slab<Uint8Array> {
  const area = size > SHARED_MAX ? new Slab(makeBytes, size) : slab;
  area.find(size);
  return area;
}

/** Bytes to which pieces and texts are written, or that hold received ones. */
export interface Area {
  readonly array: Uint8Array;
  readonly view: DataView;
}

/** An area for an array of the caller, which is usually the same as last time. */
export function areaOf(array: Uint8Array): Area {
  if (array !== given.array) {
    given = { array, view: new DataView(array.buffer, array.byteOffset, array.byteLength) };
  }
  return given;
}
let given: Area = { array: slab.array, view: slab.view };

/** Takes the bytes written to the free part of an area, up to `end`. */
export function cut(area: Slab<Uint8Array>, end: number): Uint8Array {
  const start = area.used;
  area.take(end - start);
  return new Uint8Array(area.buffer, start, end - start);
}

/** Writes a piece at `at`. @returns Its end. */
export function writePiece({ array, view }: Area, piece: Piece, at: number): number {
  const { length, words } = piece;
  if (length > LOOP_MAX) array.set(piece.bytes, at);
  else for (let i = 0; i < words.length; i++) view.setInt32(at + 4 * i, words[i], true);
  return at + length;
}
/** Up to this many bytes, a loop is faster than the call that copies an array. */
const LOOP_MAX = 40;

/** Writes text whose code units are under 0x100 at `at`. @returns Its end. */
export function writeText({ array }: Area, text: string, at: number): number {
  encodeInto(text, array, at);
  return at + text.length;
}

/** Writes a whole number in decimal digits at `at`. @returns Its end. */
export function writeNumber({ array }: Area, number: number, at: number): number {
  let end = at + 1;
  for (let rest = number; rest >= 10; rest /= 10) end++;
  for (let i = end - 1; i >= at; i--) {
    array[i] = 0x30 + number % 10;
    number = Math.floor(number / 10);
  }
  return end;
}

/**
 * Writes text at `at` if it is ASCII.
 *
 * @returns Its end; -1 if it is not ASCII.
 */
export function writeAscii({ array }: Area, text: string, at: number): number {
  const { length } = text;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return -1;
    array[at + i] = unit;
  }
  return at + length;
}
