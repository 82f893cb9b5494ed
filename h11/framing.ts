// What the fields of a head say about the framing of the message and the persistence of the connection. Only
// this file interprets Host, Content-Length, Transfer-Encoding, Connection, Upgrade and Expect.

import { LocalProtocolError } from "./errors.ts";
import { isHost, listMembers, parseDecimal, textConsistsOf, TOKEN, trim } from "./grammar.ts";
import { KnownText } from "./known_names.ts";
import { encodeLatin1 } from "./output.ts";
import { quote, quoteBytes } from "./text.ts";

/**
 * How strictly a head is checked: strictly when we send it or read it as a server, leniently as a user agent.
 */
export type Rules = "strict" | "lenient";

const CHUNKED = 1,
  CLOSE = 2,
  KEEP_ALIVE = 4,
  UPGRADE_OPTION = 8,
  UPGRADE = 16,
  EXPECT_CONTINUE = 32,
  BROKEN = 64;

/** What the fields of one head say. */
export class Framing {
  /** The number of Host fields. */
  hosts = 0;
  /** The value of Content-Length, or -1 if there is none. */
  contentLength = -1;
  /** Flags as bits: every message has one of these objects, and most flags are 0. */
  flags = 0;

  /** `Transfer-Encoding: chunked`. */
  get chunked(): boolean {
    return (this.flags & CHUNKED) !== 0;
  }

  /** `Connection: close`. */
  get close(): boolean {
    return (this.flags & CLOSE) !== 0;
  }

  /** `Connection: keep-alive`. */
  get keepAlive(): boolean {
    return (this.flags & KEEP_ALIVE) !== 0;
  }

  /** `Connection: upgrade`. */
  get upgradeOption(): boolean {
    return (this.flags & UPGRADE_OPTION) !== 0;
  }

  /** An Upgrade field that names a protocol. */
  get upgrade(): boolean {
    return (this.flags & UPGRADE) !== 0;
  }

  /**
   * Whether a field is broken that matters in some messages only: a Content-Length or Transfer-Encoding that
   * a user agent received (see `checkBodyFields`), or a built Host or Expect (see `checkRequestFields`).
   */
  get isBroken(): boolean {
    return (this.flags & BROKEN) !== 0;
  }

  /** `Expect: 100-continue`. */
  get expectContinue(): boolean {
    return (this.flags & EXPECT_CONTINUE) !== 0;
  }
}

/** The names of the fields that have to be passed to `noteField`. */
export const FRAMING_NAMES: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "expect",
]);

/** The framing name of each length (no two have the same length), and its first letter. */
const BY_LENGTH: KnownText[] = [];
const INITIAL = new Uint8Array(18);
for (const name of FRAMING_NAMES) {
  BY_LENGTH[name.length] = new KnownText(name);
  INITIAL[name.length] = name.charCodeAt(0);
}

/** Whether a name with this length and first letter (lower case) may be one of FRAMING_NAMES. */
export function mayFrame(length: number, initial: number): boolean {
  return length < INITIAL.length && INITIAL[length] === initial;
}

/** The member of FRAMING_NAMES with this length. */
export function framingName(length: number): KnownText {
  return BY_LENGTH[length];
}

/**
 * Records a field whose name, in lower case, is one of FRAMING_NAMES.
 *
 * @returns Whether to keep the field: a lenient reader drops a repeated, equal Content-Length.
 * @throws {LocalProtocolError} The value is invalid, or conflicts with an earlier field.
 */
export function noteField(framing: Framing, name: string, value: string, rules: Rules): boolean {
  switch (name) {
    case "host": {
      const bytes = encodeLatin1(value);
      noteHost(framing, bytes, 0, bytes.length);
      break;
    }
    case "content-length":
      return noteContentLength(framing, value, rules);
    case "transfer-encoding":
      noteTransferEncoding(framing, value);
      break;
    case "connection":
      for (const option of listMembers(value)) {
        noteConnectionOption(framing, option);
      }
      break;
    case "upgrade":
      if (listMembers(value).length > 0) framing.flags |= UPGRADE;
      break;
    case "expect":
      // 100-continue is the only defined expectation, and a server may refuse any other (RFC 9110 10.1.1).
      if (value.toLowerCase() !== "100-continue") {
        throw new LocalProtocolError(
          `Cannot meet expectation ${quote(value)}: expected "100-continue" (RFC 9110 10.1.1)`,
          417,
        );
      }
      framing.flags |= EXPECT_CONTINUE;
  }
  return true;
}

/**
 * Like `noteField`, for a user agent. A broken field that frames the body is an error only if there is a
 * body: a response to HEAD and a 1xx, 204 or 304 end with their head in any case (RFC 9112 6.3 rule 1), and
 * these fields must be ignored in a 2xx to CONNECT (rule 2).
 */
export function noteReceivedField(framing: Framing, name: string, value: string): boolean {
  try {
    return noteField(framing, name, value, "lenient");
  } catch (error) {
    if (!(error instanceof LocalProtocolError)) throw error;
    framing.flags |= BROKEN;
    return true;
  }
}

type Fields = Iterable<readonly [name: string, value: string]>;

/** Checks the framing fields of a message with a body. @throws {LocalProtocolError} They are broken. */
export function checkBodyFields(fields: Fields): void {
  const framing = new Framing();
  for (const [name, value] of fields) {
    if (name === "content-length" || name === "transfer-encoding") {
      noteField(framing, name, value, "lenient");
    }
  }
}

/**
 * Like `noteField`, for a built field. Host and Expect have a meaning in requests only, and a proxy forwards
 * them as they are in a response (RFC 9112 3.2, RFC 9110 10.1.1).
 */
export function noteBuiltField(framing: Framing, name: string, value: string): void {
  try {
    noteField(framing, name, value, "strict");
  } catch (error) {
    if (name !== "host" && name !== "expect") throw error;
    framing.flags |= BROKEN;
  }
}

/** Checks Host and Expect of a request. @throws {LocalProtocolError} They are broken. */
export function checkRequestFields(fields: Fields): void {
  const framing = new Framing();
  for (const [name, value] of fields) {
    if (name === "host" || name === "expect") noteField(framing, name, value, "strict");
  }
}

/** Records a Host field whose value is `bytes[start, end)`. */
export function noteHost(framing: Framing, bytes: Uint8Array, start: number, end: number): void {
  if (!isHost(bytes, start, end)) {
    throw new LocalProtocolError(
      `Cannot use Host ${quoteBytes(bytes, start, end)}: expected a host with an optional port ` +
        "(RFC 9112 3.2)",
    );
  }
  if (++framing.hosts > 1) {
    throw new LocalProtocolError("Cannot use two Host fields: expected one (RFC 9112 3.2)");
  }
}

/** Records one connection option, in lower case (RFC 9110 7.6.1). */
export function noteConnectionOption(framing: Framing, option: string): void {
  if (option === "close") framing.flags |= CLOSE;
  else if (option === "keep-alive") framing.flags |= KEEP_ALIVE;
  else if (option === "upgrade") framing.flags |= UPGRADE_OPTION;
}

function noteContentLength(framing: Framing, value: string, rules: Rules): boolean {
  // RFC 9110 8.6 allows a recipient to accept or refuse a list of equal values.
  const first = rules === "lenient" ? firstOfEqual(value) : value;
  const length = first === null ? -1 : parseDecimal(first);
  if (length < 0) {
    throw new LocalProtocolError(
      `Cannot use Content-Length ${quote(value)}: expected one decimal number up to 2^53-1 ` +
        "(RFC 9110 8.6)",
    );
  }
  if (framing.contentLength < 0) {
    framing.contentLength = length;
    return true;
  }
  if (rules === "lenient" && framing.contentLength === length) return false;
  throw new LocalProtocolError(
    `Cannot use a second Content-Length ${quote(value)}: expected one field (RFC 9112 6.3)`,
  );
}

/** The first member of a list whose members are all equal; null if they are not. */
export function firstOfEqual(value: string): string | null {
  const members = value.split(",").map(trim);
  return members.every((member) => member === members[0]) ? members[0] : null;
}

function noteTransferEncoding(framing: Framing, value: string): void {
  const codings = value.toLowerCase().split(",").map(trim);
  if (framing.chunked) codings.unshift("chunked");
  // RFC 9112 6.1: chunked must come once and last; an unknown coding is answered with 501.
  if (
    codings.some((coding) => coding === "" || !textConsistsOf(TOKEN, coding))
  ) {
    throw new LocalProtocolError(
      `Cannot use Transfer-Encoding ${quote(value)}: expected "chunked" (RFC 9112 6.1)`,
    );
  }
  if (codings.slice(0, -1).includes("chunked")) {
    throw new LocalProtocolError(
      `Cannot use Transfer-Encoding ${
        quote(codings.join(", "))
      }: "chunked" must occur once, as the last coding ` +
        "(RFC 9112 6.1)",
    );
  }
  const unknown = codings.find((coding) => coding !== "chunked");
  if (unknown !== undefined) {
    throw new LocalProtocolError(
      `Cannot decode transfer coding ${quote(unknown)}: expected "chunked" (RFC 9112 6.1)`,
      501,
    );
  }
  framing.flags |= CHUNKED;
}
