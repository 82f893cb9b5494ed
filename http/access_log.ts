// The access log: what one line says of an exchange, in the formats there are.
//
// What a client sent is escaped by the rule of each format, so that no request can forge a line, or a part
// of one: as Apache does in the lines for people (`\"`, `\\`, `\xhh`), as JSON does in JSON. A method is a
// token (RFC 9110 9.1) and an HTTP version is digits: there is nothing to escape in them.

import type * as h11 from "../h11.ts";
import { formatAddr, type Log, oneLine } from "./log.ts";

/** What the access log knows of an exchange. Text of the client's is as it came, not escaped. */
export interface AccessLogEntry {
  /** When the request came. */
  readonly time: Date;
  /** The client's address. */
  readonly remoteAddr: Deno.Addr;
  /** The request's method. */
  readonly method: string;
  /** The request's target, with its query. */
  readonly target: string;
  /** The request's HTTP version: `"1.1"` or `"1.0"`. */
  readonly httpVersion: string;
  /** The response's status. */
  readonly status: number;
  /**
   * How many bytes of the response's body were sent, without framing. A body that was there whole counts when it is
   * handed to the system, also where its client does not take all of it.
   */
  readonly bytes: number;
  /** Milliseconds from the request's head to the end of the response. */
  readonly duration: number;
  /** The request's fields. */
  readonly headers: h11.Headers;
}

/** The formats that have a name. */
export type AccessLogFormat = "default" | "combined" | "json";

/**
 * Makes the line of an exchange; without a line nothing is logged. Control characters in the line are
 * escaped when it is written, but HTAB.
 */
export type AccessLogFormatter = (entry: AccessLogEntry) => string | void;

/** What can be asked for as access log: a format, a function that makes the lines, or none. */
export type AccessLogChoice = AccessLogFormat | AccessLogFormatter | false;

/** How lines are made. */
export interface LineFormat {
  /** Adds the line of an exchange to `log`. */
  readonly add: (log: Log, logged: Logged) => void;
  /** Whether lines tell when the request came, or how long it took. */
  readonly isTimed: boolean;
}

const FORMATS: Record<AccessLogFormat, LineFormat> = {
  default: { add: addDefaultLine, isTimed: false },
  combined: plain(combinedLine),
  json: plain(jsonLine),
};

/** Lines that `make` makes, without control characters. */
function plain(make: (entry: AccessLogEntry) => string): LineFormat {
  return { add: (log, logged) => log.plainLine(make(new LazyEntry(logged))), isTimed: true };
}

/**
 * How the lines of the access log are made; null for no log. It does not throw: where the user's own function
 * does, the line is the default one, and says so.
 *
 * @throws {RangeError} There is no such format.
 */
export function lineFormat(choice: AccessLogChoice): LineFormat | null {
  if (choice === false) return null;
  if (typeof choice === "function") {
    return { add: (log, logged) => addLineOf(choice, log, logged), isTimed: true };
  }
  if (Object.hasOwn(FORMATS, choice)) return FORMATS[choice];
  const names = Object.keys(FORMATS).map((name) => `"${name}"`).join(", ");
  throw new RangeError(
    `Cannot set accessLog to ${JSON.stringify(choice)}: must be ${names}, a function or false`,
  );
}

/** A log must not stop the server: what its function throws is told in the line. */
function addLineOf(format: AccessLogFormatter, log: Log, logged: Logged): void {
  try {
    const line = format(new LazyEntry(logged));
    if (typeof line === "string" && line !== "") log.line(line);
  } catch (error) {
    addDefaultLine(log, logged, oneLine(` (accessLog failed: ${textOf(error)})`));
  }
}

/** What was thrown as text, whatever it is. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "what it threw cannot be shown as text";
  }
}

/** `INFO: 127.0.0.1:52579 - "GET /user/bob HTTP/1.1" 200` */
function addDefaultLine(log: Log, { request, peer, status }: Logged, remark = ""): void {
  const { method, httpVersion } = request;
  const length = request.targetInto(units);
  // There is nothing else to escape in a target (RFC 9112 3.2), and seldom that.
  const text = length < 0 || hasQuotes(length) ? escape(request.target) : null;
  const known = peer.length + method.length + (text?.length ?? length) + httpVersion.length;
  if (!log.begin(AROUND + known + remark.length)) return;
  log.put("INFO: ");
  log.put(peer);
  log.put(' - "');
  log.put(method);
  log.put(" ");
  if (text === null) log.putUnits(units, length);
  else log.put(text);
  log.put(" HTTP/");
  log.put(httpVersion);
  log.put('" ');
  log.put(statusTexts[status] ??= `${status}`);
  if (remark !== "") log.put(remark);
  log.end();
}

/** Bytes of the default line around what is put into it. */
const AROUND = 'INFO:  - "  HTTP/" 200'.length;
const statusTexts: string[] = [];
/** The code units of the target that is logged. */
const units = new Uint16Array(1024);
const QUOTE = 0x22, BACKSLASH = 0x5c;

function hasQuotes(length: number): boolean {
  for (let i = 0; i < length; i++) {
    if (units[i] === QUOTE || units[i] === BACKSLASH) return true;
  }
  return false;
}

/**
 * Apache's combined format, times in UTC; the identity and the user are not known:
 * `127.0.0.1 - - [22/Nov/2026:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326 "http://b/" "curl/8.5.0"`
 */
export function combinedLine(entry: AccessLogEntry): string {
  const { method, target, httpVersion, status, bytes, headers } = entry;
  const request = `"${method} ${escape(target)} HTTP/${httpVersion}"`;
  const host = hostOf(entry.remoteAddr);
  return `${host} - - [${clfTime(entry.time)}] ${request} ${status} ${bytes || "-"} ` +
    `"${escape(headers.get("referer") ?? "-")}" "${escape(headers.get("user-agent") ?? "-")}"`;
}

/** One JSON object a line: the keys are those of nginx where it has them. */
export function jsonLine(entry: AccessLogEntry): string {
  const { headers } = entry;
  const line = JSON.stringify({
    time: entry.time.toISOString(),
    remote_addr: hostOf(entry.remoteAddr),
    method: entry.method,
    target: entry.target,
    http_version: entry.httpVersion,
    status: entry.status,
    bytes: entry.bytes,
    duration_ms: Math.round(entry.duration * 1000) / 1000,
    user_agent: headers.get("user-agent"),
    referer: headers.get("referer"),
  });
  // JSON takes these as they are; a terminal does not.
  return line.replace(/[\x7f-\x9f]/g, (c) => `\\u00${hex(c)}`);
}

// deno-lint-ignore no-control-regex
const NOT_PLAIN = /["\\\x00-\x1f\x7f-\uffff]/;
const EVERY_NOT_PLAIN = new RegExp(NOT_PLAIN, "g");
const ESCAPES: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** `text` between quotes as Apache writes it; a code unit is a byte. */
function escape(text: string): string {
  if (!NOT_PLAIN.test(text)) return text;
  return text.replace(EVERY_NOT_PLAIN, (c) => ESCAPES[c] ?? `\\x${hex(c)}`);
}

function hex(c: string): string {
  return c.charCodeAt(0).toString(16).padStart(2, "0");
}

function hostOf(addr: Deno.Addr): string {
  return "hostname" in addr ? addr.hostname : formatAddr(addr);
}

/** `22/Nov/2026:13:55:36 +0000` of `Sun, 22 Nov 2026 13:55:36 GMT`. */
function clfTime(time: Date): string {
  const [, day, month, year, clock] = time.toUTCString().split(" ");
  return `${day}/${month}/${year}:${clock} +0000`;
}

/** What an {@linkcode AccessLogEntry} is made from. */
export interface Logged {
  /** The request. */
  readonly request: h11.Request;
  /** The client's address. */
  readonly remoteAddr: Deno.Addr;
  /** The same as text. */
  readonly peer: string;
  /** The response's status. */
  readonly status: number;
  /** Bytes of the response's body that were sent. */
  readonly bytes: number;
  /** `performance.now()` when the request came. */
  readonly startedAt: number;
}

/** The entry of an exchange that has just ended: only what is asked for is worked out. */
export class LazyEntry implements AccessLogEntry {
  readonly #logged: Logged;
  #duration: number | null = null;
  #time: Date | null = null;

  constructor(logged: Logged) {
    this.#logged = logged;
  }

  get time(): Date {
    // By the clock as it is now: it may have been set since the process began.
    return this.#time ??= new Date(Date.now() - this.duration);
  }

  get duration(): number {
    return this.#duration ??= performance.now() - this.#logged.startedAt;
  }

  get remoteAddr(): Deno.Addr {
    return this.#logged.remoteAddr;
  }

  get method(): string {
    return this.#logged.request.method;
  }

  get target(): string {
    return this.#logged.request.target;
  }

  get httpVersion(): string {
    return this.#logged.request.httpVersion;
  }

  get status(): number {
    return this.#logged.status;
  }

  get bytes(): number {
    return this.#logged.bytes;
  }

  get headers(): h11.Headers {
    return this.#logged.request.headers;
  }
}
