// What the fields of a head say about the message's framing and the connection's future. The only
// place where these fields are read: Host, Content-Length, Transfer-Encoding, Connection, Upgrade
// and Expect.

import { LocalProtocolError } from "./errors.ts";
import { isHost, listMembers, parseDecimal, textConsistsOf, TOKEN, trim } from "./grammar.ts";
import { KnownText } from "./known_names.ts";
import { encodeLatin1 } from "./output.ts";
import { quote, quoteBytes } from "./text.ts";

/** How strictly a head is judged: ours and a server's are strict, a user agent takes more. */
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
  /** How many Host fields there are. */
  hosts = 0;
  /** -1 where there is no Content-Length. */
  contentLength = -1;
  /** Bits: there is one of these with each message, and most of them are 0. */
  said = 0;

  /** `Transfer-Encoding: chunked`. */
  get chunked(): boolean {
    return (this.said & CHUNKED) !== 0;
  }

  /** `Connection: close`. */
  get close(): boolean {
    return (this.said & CLOSE) !== 0;
  }

  /** `Connection: keep-alive`. */
  get keepAlive(): boolean {
    return (this.said & KEEP_ALIVE) !== 0;
  }

  /** `Connection: upgrade`. */
  get upgradeOption(): boolean {
    return (this.said & UPGRADE_OPTION) !== 0;
  }

  /** An Upgrade field that names a protocol. */
  get upgrade(): boolean {
    return (this.said & UPGRADE) !== 0;
  }

  /**
   * Fields are broken that count in some messages only. A user agent received Content-Length or Transfer-Encoding that
   * frame no body: see `checkBodyFields`. Or Host or Expect were built: see `checkRequestFields`.
   */
  get isBroken(): boolean {
    return (this.said & BROKEN) !== 0;
  }

  /** `Expect: 100-continue`. */
  get expectContinue(): boolean {
    return (this.said & EXPECT_CONTINUE) !== 0;
  }
}

/** The names that `noteField` has to be told of. */
export const FRAMING_NAMES: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "expect",
]);

/** The framing name of each length, no two of which are equally long; and its first letter. */
const BY_LENGTH: KnownText[] = [];
const INITIAL = new Uint8Array(18);
for (const name of FRAMING_NAMES) {
  BY_LENGTH[name.length] = new KnownText(name);
  INITIAL[name.length] = name.charCodeAt(0);
}

/** Whether a name of that length and first letter, in lower case, may be one of FRAMING_NAMES. */
export function mayFrame(length: number, initial: number): boolean {
  return length < INITIAL.length && INITIAL[length] === initial;
}

/** The one of FRAMING_NAMES that `mayFrame` meant. */
export function framingName(length: number): KnownText {
  return BY_LENGTH[length];
}

/**
 * Takes note of a field whose name, in lower case, is one of FRAMING_NAMES.
 *
 * @returns Whether the field says something new: a lenient reader drops an equal Content-Length.
 * @throws {LocalProtocolError} The value is not valid, or not with what came before.
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
      if (listMembers(value).length > 0) framing.said |= UPGRADE;
      break;
    case "expect":
      // 100-continue is the only expectation there is, and one that is not understood may be refused
      // (RFC 9110 10.1.1).
      if (value.toLowerCase() !== "100-continue") {
        throw new LocalProtocolError(
          `Cannot meet expectation ${quote(value)}: expected "100-continue" (RFC 9110 10.1.1)`,
          417,
        );
      }
      framing.said |= EXPECT_CONTINUE;
  }
  return true;
}

/**
 * As `noteField`, for a user agent. What is wrong with a field that frames the body is no error before there is a
 * body: a response to HEAD, 1xx, 204 and 304 end with their head whatever it says (RFC 9112 6.3 rule 1), and in 2xx
 * to CONNECT these fields must be ignored (rule 2).
 */
export function noteReceivedField(framing: Framing, name: string, value: string): boolean {
  try {
    return noteField(framing, name, value, "lenient");
  } catch (error) {
    if (!(error instanceof LocalProtocolError)) throw error;
    framing.said |= BROKEN;
    return true;
  }
}

type Fields = Iterable<readonly [name: string, value: string]>;

/** Judges the fields of a body that is there. @throws {LocalProtocolError} They are broken. */
export function checkBodyFields(fields: Fields): void {
  const framing = new Framing();
  for (const [name, value] of fields) {
    if (name === "content-length" || name === "transfer-encoding") {
      noteField(framing, name, value, "lenient");
    }
  }
}

/**
 * As `noteField`, for a field that is built: Host and Expect mean something in a request only, and a proxy sends on
 * what a response has of them (RFC 9112 3.2, RFC 9110 10.1.1).
 */
export function noteBuiltField(framing: Framing, name: string, value: string): void {
  try {
    noteField(framing, name, value, "strict");
  } catch (error) {
    if (name !== "host" && name !== "expect") throw error;
    framing.said |= BROKEN;
  }
}

/** Judges Host and Expect of a request. @throws {LocalProtocolError} They are broken. */
export function checkRequestFields(fields: Fields): void {
  const framing = new Framing();
  for (const [name, value] of fields) {
    if (name === "host" || name === "expect") noteField(framing, name, value, "strict");
  }
}

/** Takes note of a Host field whose value is `bytes[start, end)`. */
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

/** Takes note of one connection option, in lower case (RFC 9110 7.6.1). */
export function noteConnectionOption(framing: Framing, option: string): void {
  if (option === "close") framing.said |= CLOSE;
  else if (option === "keep-alive") framing.said |= KEEP_ALIVE;
  else if (option === "upgrade") framing.said |= UPGRADE_OPTION;
}

function noteContentLength(framing: Framing, value: string, rules: Rules): boolean {
  // RFC 9110 8.6 lets a recipient take a list of equal values, or refuse it.
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

/** The first member of a list whose members are all the same; null where they are not. */
export function firstOfEqual(value: string): string | null {
  const members = value.split(",").map(trim);
  return members.every((member) => member === members[0]) ? members[0] : null;
}

function noteTransferEncoding(framing: Framing, value: string): void {
  const codings = value.toLowerCase().split(",").map(trim);
  if (framing.chunked) codings.unshift("chunked");
  // RFC 9112 6.1: chunked comes once and last, and a coding that is not understood gets 501.
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
      }: "chunked" must come once and last ` +
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
  framing.said |= CHUNKED;
}
