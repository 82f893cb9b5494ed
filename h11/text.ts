// Bytes to text and back. On the wire a code unit is a byte (latin-1); nearly all of them are ASCII,
// which TextDecoder and TextEncoder turn around several times faster than a loop does. Where they do
// not exist, or a byte is over 0x7F, the loop does it.

interface Encoding {
  TextDecoder?: new () => { decode(bytes: Uint8Array): string };
  TextEncoder?: new () => {
    encodeInto(
      text: string,
      bytes: Uint8Array,
    ): { read: number; written: number };
  };
}
const { TextDecoder, TextEncoder } = globalThis as Encoding;
const decoder = TextDecoder ? new TextDecoder() : null;
const encoder = TextEncoder ? new TextEncoder() : null;

/** Up to this length a loop is faster than the call into TextDecoder (measured: 24 to 32). */
const LOOP_MAX = 24;

/** `bytes[start, end)` as text, one code unit a byte. */
export function decodeLatin1(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  if (end - start <= LOOP_MAX) {
    let text = "";
    for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
    return text;
  }
  let i = start;
  while (i < end && bytes[i] < 0x80) i++;
  return i === end ? decodeAscii(bytes, start, end) : decodeSlowly(bytes, start, end);
}

/** `decodeLatin1` for bytes that are known to be under 0x80. */
export function decodeAscii(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  return decoder === null
    ? decodeSlowly(bytes, start, end)
    : decoder.decode(bytes.subarray(start, end));
}

function decodeSlowly(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  // Fewer arguments than any engine's limit for one call.
  for (let i = start; i < end; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, Math.min(i + 4096, end)));
  }
  return text;
}

/**
 * A shared area that small results are cut from, as an array of their own costs more than filling it
 * does. It is only ever filled, never written twice: what is cut from it does not change.
 */
export class Slab<A extends Uint8Array | Int32Array> {
  /** The area that is being filled. */
  array: A;
  #used = 0;
  readonly #make: (length: number) => A;
  readonly #size: number;

  /** Makes areas of `size` elements, or of as many as are asked for at once. */
  constructor(make: (length: number) => A, size: number) {
    this.#make = make;
    this.#size = size;
    this.array = make(size);
  }

  /** Where `length` free elements of `array` begin; `array` may be a new one. */
  find(length: number): number {
    if (this.#used + length > this.array.length) {
      this.array = this.#make(Math.max(length, this.#size));
      this.#used = 0;
    }
    return this.#used;
  }

  /** Takes the first `length` of the free elements. */
  take(length: number): void {
    this.#used += length;
  }
}

const output = new Slab((length) => new Uint8Array(length), 32 * 1024);
/** More than this does not come out of the shared area: who holds a little must not hold on to much. */
const SHARED_MAX = 4 * 1024;

/** An array of `length` bytes that nobody else writes to. */
function allocate(length: number): Uint8Array {
  if (length > SHARED_MAX) return new Uint8Array(length);
  const start = output.find(length);
  output.take(length);
  return output.array.subarray(start, start + length);
}

/** The bytes of `text`, whose code units must be under 0x100. */
export function encodeLatin1(text: string): Uint8Array {
  const bytes = allocate(text.length);
  if (encoder !== null) {
    const { read, written } = encoder.encodeInto(text, bytes);
    if (read === text.length && written === text.length) return bytes;
  }
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** `parts`, one after the other. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i].length;
  const joined = allocate(length);
  for (let i = 0, at = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.length > LOOP_COPY_MAX) {
      joined.set(part, at);
      at += part.length;
    } else {
      for (let k = 0; k < part.length; k++) joined[at++] = part[k];
    }
  }
  return joined;
}
/** Up to this length a loop is faster than the call of `set` (measured: 40 to 60). */
const LOOP_COPY_MAX = 48;

/** `text` in quotes for an error message: what is not printable escaped, cut after 64 characters. */
export function quote(text: string): string {
  const shown = text.length > 64 ? text.slice(0, 64) : text;
  const escaped = shown.replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x1f"\\\x7f-\uffff]/g,
    (c) =>
      ESCAPES[c] ??
        (c < "\u0100"
          ? "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0")
          : "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")),
  );
  return `"${escaped}"${text.length > 64 ? "…" : ""}`;
}
const ESCAPES: Record<string, string> = {
  "\r": "\\r",
  "\n": "\\n",
  "\t": "\\t",
  '"': '\\"',
  "\\": "\\\\",
};

/** `bytes[start, end)` in quotes for an error message. */
export function quoteBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  return quote(decodeLatin1(bytes, start, Math.min(end, start + 65)));
}
