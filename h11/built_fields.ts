// Field sections that a program builds. They are checked when built and encoded when sent.

import { LocalProtocolError } from "./errors.ts";
import { Framing, noteBuiltField } from "./framing.ts";
import { FIELD_VALUE, isBlank, textConsistsOf } from "./grammar.ts";
import { type FieldName, fieldName } from "./names.ts";
import { type Area, Piece, writePiece } from "./output.ts";
import { quote } from "./text.ts";

/** The fields of one built section. */
export class BuiltFields {
  /** The number of fields. */
  readonly count: number;
  /** What the fields say about the framing of the message. */
  readonly framing: Framing = new Framing();
  /** The size of their lines in bytes. */
  size = 0;
  readonly #names: FieldName[];
  readonly #values: string[];
  #wasSent = false;
  #lines: Piece | null = null;

  /** @throws {LocalProtocolError} A field is invalid. */
  constructor(pairs: readonly (readonly [name: string, value: string])[]) {
    this.count = pairs.length;
    this.#names = new Array(pairs.length);
    this.#values = new Array(pairs.length);
    let name: FieldName | null = null;
    for (let i = 0; i < pairs.length; i++) {
      // Destructuring each pair is slower.
      const value = pairs[i][1];
      name = checkField(this.framing, name, pairs[i][0], value);
      this.#names[i] = name;
      this.#values[i] = value;
      this.size += name.lineLength(value);
    }
  }

  /** The index of the first field from `i` on named `name` (lower case); -1 if there is none. */
  find(name: string, i: number): number {
    while (i < this.count && this.#names[i].lower !== name) i++;
    return i < this.count ? i : -1;
  }

  /** The name of field `i` as it was given. */
  rawName(i: number): string {
    return this.#names[i].raw;
  }

  /** The value of field `i`. */
  value(i: number): string {
    return this.#values[i];
  }

  /** All fields as pairs of lower-case name and value. */
  pairs(): [name: string, value: string][] {
    return this.#names.map(({ lower }, i) => [lower, this.#values[i]]);
  }

  /**
   * Writes the lines at `at`, each preceded by CRLF, except the fields whose lower-case names are in
   * `without`.
   *
   * @returns Where they end.
   */
  write(area: Area, without: readonly string[], at: number): number {
    const names = this.#names, values = this.#values;
    if (without.length === 0) {
      // From the second time on, the lines are kept as one piece.
      if (this.#lines !== null) return writePiece(area, this.#lines, at);
      if (this.#wasSent) {
        this.#lines = new Piece(names.map(({ raw }, i) => `\r\n${raw}: ${values[i]}`).join(""));
      }
      this.#wasSent = true;
    }
    for (let i = 0; i < names.length; i++) {
      if (without.length > 0 && without.includes(names[i].lower)) continue;
      at = names[i].write(area, values[i], at);
    }
    return at;
  }
}

function checkField(
  framing: Framing,
  before: FieldName | null,
  rawName: string,
  value: string,
): FieldName {
  const name = fieldName(rawName, before);
  if (name === null) {
    throw new LocalProtocolError(
      `Cannot use field name ${quote(String(rawName))}: expected a token (RFC 9110 5.1)`,
    );
  }
  if (!name.remembers(value)) {
    if (!isFieldValue(value)) throw badValue(rawName, value);
    name.remember(value);
  }
  if (name.frames) noteBuiltField(framing, name.lower, value);
  return name;
}

function isFieldValue(value: string): boolean {
  return typeof value === "string" && textConsistsOf(FIELD_VALUE, value) &&
    !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(value.length - 1));
}

function badValue(name: string, value: unknown): LocalProtocolError {
  const isText = typeof value === "string";
  const shown = isText ? quote(value) : shownWithType(value);
  const wanted = isText
    ? "expected Latin-1 text without control characters or surrounding whitespace (RFC 9110 5.5)"
    : "must be a string";
  return new LocalProtocolError(`Cannot use value ${shown} for field ${quote(name)}: ${wanted}`);
}

/** Shows a value that is not a string with its type, since its text alone may look like a valid value. */
function shownWithType(value: unknown): string {
  // Converting an object to a string may throw.
  if (Object(value) === value) return Object.prototype.toString.call(value);
  return value === null || value === undefined
    ? `${value}`
    : `${String(value)} (a ${typeof value})`;
}
