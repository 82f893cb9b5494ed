// The fields of a message, received or built. A received head is kept as bytes with an index, and
// becomes text when somebody reads it: most of what a client sends is never looked at.

import { LocalProtocolError } from "./errors.ts";
import { Framing, FRAMING_NAMES, noteField } from "./framing.ts";
import { FIELD_VALUE, isBlank, textConsistsOf } from "./grammar.ts";
import { lowerCaseName } from "./names.ts";
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
/** The field lines as they are sent, without the fields whose lower-cased names are in `without`. */
export let fieldLines: (
  headers: Headers,
  without?: readonly string[],
) => string;

const NONE: readonly string[] = [];

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
  readonly #received: ReceivedFields | null;
  readonly #framing: Framing;
  #pairs: (readonly [string, string])[] | null;
  #rawNames: string[] | null;

  static {
    framingOf = (headers) => headers.#framing;
    fieldLines = (headers, without = NONE) => {
      const pairs = headers.#text();
      const rawNames = headers.#rawText();
      let lines = "";
      for (let i = 0; i < pairs.length; i++) {
        if (without.length > 0 && without.includes(pairs[i][0])) continue;
        lines += rawNames[i] + ": " + pairs[i][1] + "\r\n";
      }
      return lines;
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
      this.#received = init;
      this.#framing = init.framing;
      this.#pairs = this.#rawNames = null;
    } else if (init instanceof Headers) {
      this.#received = init.#received;
      this.#framing = init.#framing;
      this.#pairs = init.#pairs;
      this.#rawNames = init.#rawNames;
    } else {
      this.#received = null;
      this.#framing = new Framing();
      this.#pairs = [];
      this.#rawNames = [];
      if (isIterable(init)) {
        for (const [name, value] of init) this.#append(name, value);
      } else for (const name in init) this.#append(name, init[name]);
    }
  }

  #append(rawName: string, value: string): void {
    const name = lowerCaseName(rawName);
    if (name === null) {
      throw new LocalProtocolError(
        `Cannot use field name ${quote(String(rawName))}: expected a token (RFC 9110 5.1)`,
      );
    }
    if (
      typeof value !== "string" || !textConsistsOf(FIELD_VALUE, value) ||
      isBlank(value.charCodeAt(0)) ||
      isBlank(value.charCodeAt(value.length - 1))
    ) {
      throw new LocalProtocolError(
        `Cannot use value ${quote(String(value))} of field ${quote(rawName)}: expected text of ` +
          "latin-1 without control characters and without space around it (RFC 9110 5.5)",
      );
    }
    if (FRAMING_NAMES.has(name)) {
      noteField(this.#framing, name, value, "strict");
    }
    this.#pairs!.push([name, value]);
    this.#rawNames!.push(rawName);
  }

  /** How many fields there are. */
  get length(): number {
    return this.#received?.count ?? this.#pairs!.length;
  }

  /** The values of the fields called `name` (in any case) joined by `", "`, or null for none. */
  get(name: string): string | null {
    const values = this.getAll(name);
    return values.length === 0 ? null : values.length === 1 ? values[0] : values.join(", ");
  }

  /** The value of each field called `name` (in any case), in order. */
  getAll(name: string): string[] {
    name = name.toLowerCase();
    const values: string[] = [];
    if (this.#pairs === null) {
      const received = this.#received!;
      for (let i = 0; i < received.count; i++) {
        if (received.isNamed(i, name)) values.push(received.value(i));
      }
    } else {
      for (const pair of this.#pairs) {
        if (pair[0] === name) values.push(pair[1]);
      }
    }
    return values;
  }

  /** Whether there is a field called `name` (in any case). */
  has(name: string): boolean {
    return this.getAll(name).length > 0;
  }

  /** The fields with their names as they came, or were given. */
  rawItems(): [name: string, value: string][] {
    const pairs = this.#text();
    return this.#rawText().map((rawName, i) => [rawName, pairs[i][1]]);
  }

  /** The fields as pairs of lower-cased name and value. */
  [Symbol.iterator](): IterableIterator<
    readonly [name: string, value: string]
  > {
    return this.#text()[Symbol.iterator]();
  }

  #text(): (readonly [string, string])[] {
    if (this.#pairs === null) {
      const received = this.#received!;
      const pairs: (readonly [string, string])[] = [];
      for (let i = 0; i < received.count; i++) {
        pairs.push([received.name(i), received.value(i)]);
      }
      this.#pairs = pairs;
    }
    return this.#pairs;
  }

  #rawText(): string[] {
    return this.#rawNames ??= this.#text().map((_, i) => this.#received!.rawName(i));
  }

  /** Shows the fields where an object is printed. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown) => string,
  ): string {
    return `Headers ${inspect(this.rawItems())}`;
  }
}

function isIterable(init: object): init is Iterable<readonly [string, string]> {
  return Symbol.iterator in init;
}
