// The fields of a message, received or built. A received head is kept as bytes with an index. Text is decoded
// on demand, since most of what a client sends is never read.

import { BuiltFields } from "./built_fields.ts";
import type { Framing } from "./framing.ts";
import { areaFor, cut, type Piece, SECTION_END, writePiece, writeText } from "./output.ts";
import { ReceivedFields } from "./received_fields.ts";
import { showAs } from "./text.ts";

/** The input for headers: pairs (an array, a web `Headers`, a `Map` ...) or a record. */
export type HeadersInit =
  | Headers
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string>>;

// Operations on headers for the engine only, not for users.

/** What `headers` say about the framing of the message. */
export let framingOf: (headers: Headers) => Framing;
/**
 * `headers` checked by the strict rules for sending. Received ones may have been read leniently, or be
 * trailers.
 */
export let toBuilt: (headers: Headers) => Headers;
/**
 * Encodes a head or a trailer section. `start` and `added` are lines without their last CRLF. The fields come
 * between them, except those whose lower-case names are in `without`. `body` follows the section.
 */
export let writeSection: (
  start: Piece | string,
  headers: Headers,
  without?: readonly string[],
  added?: string,
  body?: Uint8Array,
) => Uint8Array;
const NONE: readonly string[] = [];
const NO_BYTES = new Uint8Array(0);

/**
 * The fields of a message, in order. Immutable. Names and values hold one code unit per byte (latin-1).
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Headers } from "@tiny/listener/h11";
 *
 * const headers = new Headers([["Accept", "text/html"], ["ACCEPT", "text/plain"]]);
 * assertEquals(headers.get("accept"), "text/html, text/plain");
 * assertEquals([...headers], [["accept", "text/html"], ["accept", "text/plain"]]);
 * assertEquals(headers.rawItems(), [["Accept", "text/html"], ["ACCEPT", "text/plain"]]);
 * ```
 */
export class Headers implements Iterable<[name: string, value: string]> {
  readonly #fields: ReceivedFields | BuiltFields;

  static {
    framingOf = (headers) => headers.#fields.framing;
    toBuilt = (headers) =>
      headers.#fields instanceof BuiltFields ? headers : new Headers(headers.rawItems());
    writeSection = (start, headers, without = NONE, added = "", body = NO_BYTES) => {
      const fields = headers.#fields instanceof BuiltFields
        ? headers.#fields
        : new BuiltFields(headers.rawItems());
      const size = start.length + fields.size + added.length + SECTION_END.length + body.length;
      const area = areaFor(size);
      let at = typeof start === "string"
        ? writeText(area, start, area.used)
        : writePiece(area, start, area.used);
      at = fields.write(area, without, at);
      if (added !== "") at = writeText(area, added, at);
      at = writePiece(area, SECTION_END, at);
      if (body.length > 0) area.array.set(body, at);
      return cut(area, at + body.length);
    };
  }

  /**
   * Creates headers and checks the fields.
   *
   * @throws {LocalProtocolError} A name is not a token; a value contains a control character other than HTAB
   * or a character over U+00FF, or has white space around it; or a field that frames the message is invalid
   * (RFC 9110 5.1, 5.5, 8.6; RFC 9112 6.1).
   */
  constructor(init?: HeadersInit);
  /** @internal Received fields that have been checked. */
  constructor(init: ReceivedFields);
  constructor(init: HeadersInit | ReceivedFields = []) {
    this.#fields = init instanceof ReceivedFields
      ? init
      : init instanceof Headers
      ? init.#fields
      : new BuiltFields(toPairs(init));
  }

  /** The number of fields. */
  get length(): number {
    return this.#fields.count;
  }

  /** The values of the fields named `name` (case-insensitive), joined by `", "`; null if there are none. */
  get(name: string): string | null {
    const fields = this.#fields;
    name = name.toLowerCase();
    let i = fields.find(name, 0);
    if (i < 0) return null;
    let joined = fields.value(i);
    while ((i = fields.find(name, i + 1)) >= 0) joined += `, ${fields.value(i)}`;
    return joined;
  }

  /** The value of each field named `name` (case-insensitive), in order. */
  getAll(name: string): string[] {
    const fields = this.#fields;
    name = name.toLowerCase();
    const values: string[] = [];
    for (let i = -1; (i = fields.find(name, i + 1)) >= 0;) values.push(fields.value(i));
    return values;
  }

  /** Whether there is a field named `name` (case-insensitive). */
  has(name: string): boolean {
    return this.#fields.find(name.toLowerCase(), 0) >= 0;
  }

  /** The fields, with their names as received or as given. */
  rawItems(): [name: string, value: string][] {
    const fields = this.#fields;
    return Array.from({ length: fields.count }, (_, i) => [fields.rawName(i), fields.value(i)]);
  }

  /**
   * Iterates over pairs of lower-case name and value. The pairs are new arrays; a web `Headers` accepts them
   * directly.
   */
  [Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    return this.#fields.pairs()[Symbol.iterator]();
  }
}

showAs(Headers, (headers, inspect) => `Headers ${inspect(headers.rawItems())}`);

function toPairs(
  init: Exclude<HeadersInit, Headers>,
): readonly (readonly [name: string, value: string])[] {
  if (Array.isArray(init)) return init;
  return Symbol.iterator in init ? Array.from(init) : Object.entries(init);
}
