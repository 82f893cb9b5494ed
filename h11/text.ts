// Conversion between bytes and text. On the wire, each code unit is one byte (latin-1). Nearly all are ASCII,
// which TextDecoder and TextEncoder convert several times faster than a loop. A loop does it if these classes
// do not exist or a byte is over 0x7F.

interface Encoding {
  TextDecoder?: new () => { decode(bytes: Uint8Array): string };
  TextEncoder?: new () => {
    encodeInto(text: string, bytes: Uint8Array): { read: number; written: number };
  };
}
const { TextDecoder, TextEncoder } = globalThis as Encoding;
const decoder = TextDecoder ? new TextDecoder() : null;
const encoder = TextEncoder ? new TextEncoder() : null;

/**
 * Up to this length, collecting code units in an array is faster than calling TextDecoder (measured: 60 to
 * 70).
 */
const SHORT_MAX = 64;
/**
 * For each such length, a reusable array of code units. Appending them to a string one by one makes a string
 * of each prefix, and takes two to three times as long.
 */
const units: number[][] = [];
/** Up to this length, a loop is faster than calling TextEncoder (measured: 50 to 90). */
const ENCODE_LOOP_MAX = 48;

/** `bytes[start, end)` as text, one code unit per byte. */
export function decodeLatin1(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length <= SHORT_MAX) {
    const codes = units[length] ??= Array(length).fill(0);
    for (let i = 0; i < length; i++) codes[i] = bytes[start + i];
    return String.fromCharCode.apply(null, codes);
  }
  let i = start;
  while (i < end && bytes[i] < 0x80) i++;
  return i === end ? decodeAscii(bytes, start, end) : decodeSlowly(bytes, start, end);
}

/** `decodeLatin1` for bytes that are known to be under 0x80. */
export function decodeAscii(bytes: Uint8Array, start: number, end: number): string {
  return decoder === null
    ? decodeSlowly(bytes, start, end)
    : decoder.decode(bytes.subarray(start, end));
}

function decodeSlowly(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  // This is below the limit of every engine for the arguments of one call.
  for (let i = start; i < end; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, Math.min(i + 4096, end)));
  }
  return text;
}

/** Writes the bytes of `text`, whose code units must be under 0x100, to `bytes`, starting at `start`. */
export function encodeInto(text: string, bytes: Uint8Array, start: number): void {
  const { length } = text;
  if (encoder !== null && length > ENCODE_LOOP_MAX) {
    // A code unit over 0x7F takes two bytes in UTF-8, so the text does not fit: the loop below writes it.
    const { read } = encoder.encodeInto(text, bytes.subarray(start, start + length));
    if (read === length) return;
  }
  for (let i = 0; i < length; i++) bytes[start + i] = text.charCodeAt(i);
}

/**
 * `text` in quotes for an error message, with unprintable characters escaped, truncated after 64 characters.
 */
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
  return `"${escaped}"${text.length > 64 ? "\u2026" : ""}`;
}
const ESCAPES: Record<string, string> = {
  "\r": "\\r",
  "\n": "\\n",
  "\t": "\\t",
  '"': '\\"',
  "\\": "\\\\",
};

/** `bytes[start, end)` in quotes for an error message. */
export function quoteBytes(bytes: Uint8Array, start: number, end: number): string {
  return quote(decodeLatin1(bytes, start, Math.min(end, start + 65)));
}

/**
 * Makes Deno print the instances of a class with `show`. A method in the class would need a name that the
 * `isolatedDeclarations` option of users refuses.
 */
export function showAs<T>(
  { prototype }: { prototype: T },
  show: (instance: T, inspect: (value: unknown) => string) => string,
): void {
  Object.defineProperty(prototype, Symbol.for("Deno.customInspect"), {
    value(this: T, inspect: (value: unknown) => string): string {
      return show(this, inspect);
    },
  });
}
