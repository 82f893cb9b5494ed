// The fields of a message, received or built. A received head is kept as bytes with an index, and
// becomes text when somebody reads it: most of what a client sends is never looked at.

import { BuiltFields } from "./built_fields.ts";
import type { Framing } from "./framing.ts";
import { areaFor, cut, type Piece, SECTION_END, writePiece, writeText } from "./output.ts";
import { ReceivedFields } from "./received_fields.ts";
import { showAs } from "./text.ts";

/** What headers can be made from: pairs (an array, a web `Headers`, a `Map` ...) or a record. */
export type HeadersInit =
  | Headers
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string>>;

// What the inside of the engine asks of headers and a user does not.

/** What `headers` say of the message's framing. */
export let framingOf: (headers: Headers) => Framing;
/** `headers`, judged as what we send is: received ones may come from a user agent's response, or from trailers. */
export let toBuilt: (headers: Headers) => Headers;
/**
 * Makes the bytes of a head or of a trailer section. `start` and `added` are lines without their last
 * CRLF, which the fields come between, but for those whose lower-cased names are in `without`; `body`
 * comes after all.
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
 * The fields of a message, in their order, immutable. Names and values hold one code unit per byte
 * (latin-1).
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
   * Takes and checks the fields.
   *
   * @throws {LocalProtocolError} A name is not a token, a value has a control character but HTAB or a
   * character over U+00FF or space around it, or a field that frames the message is not valid
   * (RFC 9110 5.1, 5.5, 8.6; RFC 9112 6.1).
   */
  constructor(init?: HeadersInit);
  /** @internal Fields that were received, and judged. */
  constructor(init: ReceivedFields);
  constructor(init: HeadersInit | ReceivedFields = []) {
    this.#fields = init instanceof ReceivedFields
      ? init
      : init instanceof Headers
      ? init.#fields
      : new BuiltFields(toPairs(init));
  }

  /** How many fields there are. */
  get length(): number {
    return this.#fields.count;
  }

  /** The values of the fields called `name` (in any case) joined by `", "`, or null for none. */
  get(name: string): string | null {
    const fields = this.#fields;
    name = name.toLowerCase();
    let i = fields.find(name, 0);
    if (i < 0) return null;
    let joined = fields.value(i);
    while ((i = fields.find(name, i + 1)) >= 0) joined += `, ${fields.value(i)}`;
    return joined;
  }

  /** The value of each field called `name` (in any case), in order. */
  getAll(name: string): string[] {
    const fields = this.#fields;
    name = name.toLowerCase();
    const values: string[] = [];
    for (let i = -1; (i = fields.find(name, i + 1)) >= 0;) values.push(fields.value(i));
    return values;
  }

  /** Whether there is a field called `name` (in any case). */
  has(name: string): boolean {
    return this.#fields.find(name.toLowerCase(), 0) >= 0;
  }

  /** The fields with their names as they came, or were given. */
  rawItems(): [name: string, value: string][] {
    const fields = this.#fields;
    return Array.from({ length: fields.count }, (_, i) => [fields.rawName(i), fields.value(i)]);
  }

  /** The fields as pairs of lower-cased name and value, made for the caller: a web `Headers` takes them as they are. */
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
