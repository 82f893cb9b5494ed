// The fields of a message, received or built. A received head is kept as bytes with an index, and
// becomes text when somebody reads it: most of what a client sends is never looked at.

import { LocalProtocolError } from "./errors.ts";
import { Framing, noteField } from "./framing.ts";
import { FIELD_VALUE, isBlank, textConsistsOf } from "./grammar.ts";
import { type FieldName, fieldName } from "./names.ts";
import { type Area, areaFor, cut, Piece, SECTION_END, writePiece, writeText } from "./output.ts";
import { ReceivedFields } from "./received_fields.ts";
import { quote } from "./text.ts";

/** What headers can be made from: pairs (an array, a web `Headers`, a `Map` …) or a record. */
export type HeadersInit =
  | Headers
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string>>;

// What the inside of the engine asks of headers and a user does not.

/** What `headers` say of the message's framing. */
export let framingOf: (headers: Headers) => Framing;
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
export class Headers implements Iterable<readonly [name: string, value: string]> {
  readonly #framing: Framing;
  readonly #received: ReceivedFields | null;
  // Those of headers that were built.
  readonly #names: FieldName[];
  readonly #values: string[];
  /** Bytes of their lines. */
  #size = 0;
  #wasSent = false;
  #lines: Piece | null = null;
  #pairs: (readonly [string, string])[] | null = null;

  static {
    framingOf = (headers) => headers.#framing;
    writeSection = (start, headers, without = NONE, added = "", body = NO_BYTES) => {
      if (headers.#received !== null) headers = new Headers(headers.rawItems());
      const lines = without.length === 0 ? headers.#keptLines() : null;
      const size = start.length + headers.#size + added.length + SECTION_END.length + body.length;
      const area = areaFor(size);
      let at = typeof start === "string"
        ? writeText(area, start, area.used)
        : writePiece(area, start, area.used);
      at = lines === null ? headers.#writeLines(area, without, at) : writePiece(area, lines, at);
      if (added !== "") at = writeText(area, added, at);
      at = writePiece(area, SECTION_END, at);
      area.array.set(body, at);
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
    if (init instanceof ReceivedFields) {
      this.#framing = init.framing;
      this.#received = init;
      this.#names = NO_NAMES;
      this.#values = NO_VALUES;
    } else if (init instanceof Headers) {
      this.#framing = init.#framing;
      this.#received = init.#received;
      this.#names = init.#names;
      this.#values = init.#values;
      this.#size = init.#size;
    } else {
      this.#framing = new Framing();
      this.#received = null;
      const pairs = toPairs(init);
      this.#names = new Array(pairs.length);
      this.#values = new Array(pairs.length);
      // To destructure each pair takes longer.
      for (let i = 0; i < pairs.length; i++) this.#set(i, pairs[i][0], pairs[i][1]);
    }
  }

  #set(i: number, rawName: string, value: string): void {
    const name = fieldName(rawName);
    if (name === null) {
      throw new LocalProtocolError(
        `Cannot use field name ${quote(String(rawName))}: expected a token (RFC 9110 5.1)`,
      );
    }
    if (!name.remembers(value)) {
      if (
        typeof value !== "string" || !textConsistsOf(FIELD_VALUE, value) ||
        isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))
      ) {
        throw new LocalProtocolError(
          `Cannot use value ${quote(String(value))} of field ${quote(rawName)}: expected text of ` +
            "latin-1 without control characters and without space around it (RFC 9110 5.5)",
        );
      }
      name.remember(value);
    }
    if (name.frames) noteField(this.#framing, name.lower, value, "strict");
    this.#size += name.lineLength(value);
    this.#names[i] = name;
    this.#values[i] = value;
  }

  /** All lines in one piece, for headers that are sent again; null where they are sent for the first time. */
  #keptLines(): Piece | null {
    if (this.#lines === null && this.#wasSent) {
      const names = this.#names, values = this.#values;
      this.#lines = new Piece(names.map(({ raw }, i) => `\r\n${raw}: ${values[i]}`).join(""));
    }
    this.#wasSent = true;
    return this.#lines;
  }

  #writeLines(area: Area, without: readonly string[], at: number): number {
    const names = this.#names, values = this.#values;
    for (let i = 0; i < names.length; i++) {
      if (without.length > 0 && without.includes(names[i].lower)) continue;
      at = names[i].write(area, values[i], at);
    }
    return at;
  }

  /** How many fields there are. */
  get length(): number {
    return this.#received?.count ?? this.#names.length;
  }

  /** The values of the fields called `name` (in any case) joined by `", "`, or null for none. */
  get(name: string): string | null {
    name = name.toLowerCase();
    let i = this.#find(name, 0);
    if (i < 0) return null;
    let joined = this.#value(i);
    while ((i = this.#find(name, i + 1)) >= 0) joined += `, ${this.#value(i)}`;
    return joined;
  }

  /** The value of each field called `name` (in any case), in order. */
  getAll(name: string): string[] {
    name = name.toLowerCase();
    const values: string[] = [];
    for (let i = -1; (i = this.#find(name, i + 1)) >= 0;) values.push(this.#value(i));
    return values;
  }

  /** Whether there is a field called `name` (in any case). */
  has(name: string): boolean {
    return this.#find(name.toLowerCase(), 0) >= 0;
  }

  /** The first field from `i` on that is called `name`, which is in lower case; -1 where there is none. */
  #find(name: string, i: number): number {
    if (this.#received !== null) return this.#received.find(name, i);
    while (i < this.#names.length && this.#names[i].lower !== name) i++;
    return i < this.#names.length ? i : -1;
  }

  #value(i: number): string {
    return this.#received === null ? this.#values[i] : this.#received.value(i);
  }

  /** The fields with their names as they came, or were given. */
  rawItems(): [name: string, value: string][] {
    const received = this.#received;
    return Array.from({ length: this.length }, (_, i) => {
      return received === null
        ? [this.#names[i].raw, this.#values[i]]
        : [received.rawName(i), received.value(i)];
    });
  }

  /** The fields as pairs of lower-cased name and value. */
  [Symbol.iterator](): IterableIterator<readonly [name: string, value: string]> {
    this.#pairs ??= this.#received === null
      ? this.#names.map(({ lower }, i) => [lower, this.#values[i]])
      : this.#received.pairs();
    return this.#pairs[Symbol.iterator]();
  }

  /** Shows the fields where an object is printed. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown) => string,
  ): string {
    return `Headers ${inspect(this.rawItems())}`;
  }
}

const NO_NAMES: FieldName[] = [];
const NO_VALUES: string[] = [];

function toPairs(
  init: Exclude<HeadersInit, Headers>,
): readonly (readonly [name: string, value: string])[] {
  if (Array.isArray(init)) return init;
  return Symbol.iterator in init ? Array.from(init) : Object.entries(init);
}
