// The head of a response: what its handler gives, and what it should have besides.

import * as h11 from "../h11.ts";
import { shown } from "./shown.ts";

/** Fields as pairs of a name and a value. */
export type Fields = [name: string, value: string][];

/** The fields of a response that was given none. */
export const NO_HEADERS: Fields = [];

/** Fields that frame a message (RFC 9112 6). */
const FRAMING = new Set(["content-length", "transfer-encoding"]);
/** Fields that describe a body or its freshness: they do not apply to the body of an error (RFC 9110 8). */
const OF_BODY = new Set([
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-location",
  "content-range",
  "content-type",
  "etag",
  "expires",
  "last-modified",
]);

/** Fields that are set before the response is given. */
export class AddedFields {
  #fields: { name: string; lowerCased: string; value: string; isOnly: boolean }[] = [];

  /**
   * Adds a field, either replacing those of the same name or beside them.
   *
   * @throws {LocalProtocolError} It is not valid.
   * @throws {TypeError} It frames the message.
   */
  add(name: string, value: string, isOnly: boolean): void {
    new h11.Headers([[name, value]]);
    const lowerCased = name.toLowerCase();
    if (FRAMING.has(lowerCased)) {
      throw new TypeError(
        `Cannot set field "${name}": it describes the body; pass it with the response`,
      );
    }
    if (isOnly) this.#fields = this.#fields.filter((field) => field.lowerCased !== lowerCased);
    this.#fields.push({ name, lowerCased, value, isOnly });
  }

  /** Sets several fields, which replace those of the same names; cookies are added. */
  setAll(fields: Fields): void {
    const added = fields
      .map(([name, value]) => ({ name, lowerCased: name.toLowerCase(), value }))
      .filter(({ lowerCased }) => !FRAMING.has(lowerCased))
      .map((field) => ({ ...field, isOnly: field.lowerCased !== "set-cookie" }));
    const replaced = new Set(added.filter((it) => it.isOnly).map((it) => it.lowerCased));
    this.#fields = this.#fields.filter((it) => !replaced.has(it.lowerCased)).concat(added);
  }

  /** Removes the fields that describe a body, because another body takes its place. */
  dropThoseOfBody(): void {
    this.#fields = this.#fields.filter(({ lowerCased }) => !OF_BODY.has(lowerCased));
  }

  /** The fields of a response, and those added here that it does not replace. */
  mergeWith(headers: h11.HeadersInit): Fields {
    const fields = toFields(headers);
    const given = new Set(fields.map(([name]) => name.toLowerCase()));
    for (const { name, lowerCased, value, isOnly } of this.#fields) {
      if (!isOnly || !given.has(lowerCased)) fields.push([name, value]);
    }
    return fields;
  }
}

/** `headers` as pairs; if they are an array, that array itself. */
export function pairsOf(headers: h11.HeadersInit): Fields {
  return Array.isArray(headers) ? headers as Fields : toFields(headers);
}

function toFields(headers: h11.HeadersInit): Fields {
  const items = headers instanceof h11.Headers
    ? headers.rawItems()
    : Symbol.iterator in headers
    ? headers
    : Object.entries(headers);
  const fields: Fields = [];
  for (const [name, value] of items) fields.push([name, value]);
  return fields;
}

/**
 * `headers`, completed with the fields that a response should have, except for its length.
 *
 * @param closes The connection ends after the response. The response has to announce that whatever other
 * connection options it has: the engine removes one that says the opposite (RFC 9112 9.6).
 */
export function completeFields(
  headers: h11.HeadersInit,
  type: string | null,
  closes: boolean,
  now: number,
): Fields {
  const fields = toFields(headers);
  let hasType = false, hasDate = false, saysClose = false;
  for (const [name, value] of fields) {
    const { length } = name;
    if (length === 4) hasDate ||= is(name, "date");
    else if (length === 10) saysClose ||= is(name, "connection") && value === "close";
    else if (length === 12) hasType ||= is(name, "content-type");
  }
  if (!hasType && type !== null) fields.push(["Content-Type", type]);
  if (!hasDate) fields.push(["Date", httpDate(now)]);
  if (!saysClose && closes) fields.push(CLOSE);
  return fields;
}

const CLOSE: [string, string] = ["Connection", "close"];

function is(name: string, lowerCased: string): boolean {
  return name.toLowerCase() === lowerCased;
}

/**
 * The fields of a 101 (Switching Protocols) response: the `given` ones, completed with `Upgrade`, by default
 * the first protocol that the client offered, and with the connection option `Upgrade`, without which the
 * client does not switch (RFC 9110 7.8).
 *
 * @throws {TypeError} The client offered none of the protocols in the `given` fields.
 */
export function switchingFields(given: h11.Headers, request: h11.Headers): Fields {
  const fields: Fields = given.rawItems();
  const offered = membersOf(request, "upgrade");
  if (!given.has("upgrade")) {
    fields.unshift(["Upgrade", offered[0]]);
  } else if (!offered.some((protocol) => hasMember(given, "upgrade", protocol))) {
    throw new TypeError(
      `Cannot upgrade to "${membersOf(given, "upgrade").join(", ")}": the client offered "${
        offered.join(", ")
      }" (RFC 9110 7.8)`,
    );
  }
  if (!hasMember(given, "connection", "upgrade")) fields.push(["Connection", "Upgrade"]);
  return fields;
}

/** The members of the lists in the fields called `name` (RFC 9110 5.6.1). */
function membersOf(headers: h11.Headers, name: string): string[] {
  return headers.getAll(name).join().split(",").map((it) => it.trim()).filter(Boolean);
}

/** Whether those lists contain `member`, regardless of case. */
function hasMember(headers: h11.Headers, name: string, member: string): boolean {
  return membersOf(headers, name).some((it) => is(it, member.toLowerCase()));
}

/** The error for a value that is not a valid response status. */
export function badStatus(status: unknown): RangeError {
  const isNumeric = typeof status === "string"
    ? /^[0-9]+$/.test(status)
    : typeof status === "number";
  const hint = isNumeric ? "" : "; the status comes first, then the body";
  return new RangeError(
    `Cannot respond with status ${shown(status)}: must be an integer from 200 to 599${hint}`,
  );
}

/**
 * Checks the length of a body against its `Content-Length`: found out here, a mismatch can still become a
 * 500.
 */
export function checkLength(response: h11.Response, length: number): void {
  const given = response.headers.get("content-length");
  if (given === null || Number(given) === length) return;
  throw new h11.LocalProtocolError(
    `Cannot send a body of ${length} bytes with Content-Length "${given}": they must be equal`,
  );
}

let tick = -1;
let second = 0;
let date = "";

/** The time in HTTP's format (RFC 9110 5.6.7), computed at most once for each clock time `now`. */
export function httpDate(now: number): string {
  if (now === tick) return date;
  tick = now;
  const seconds = Math.floor(Date.now() / 1000);
  if (seconds !== second) {
    second = seconds;
    date = new Date(seconds * 1000).toUTCString();
  }
  return date;
}
