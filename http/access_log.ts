// The access log: the line for an exchange, in each of the formats.
//
// What a client sends is escaped by the rules of the format, so that no request can forge a line or part of
// one: as Apache does in the formats for people (`\"`, `\\`, `\xhh`), and as JSON does in its own. A method
// is a token (RFC 9110 9.1) and an HTTP version consists of digits: they need no escaping.

import type * as h11 from "../h11.ts";
import type { HTTPContext } from "./context.ts";
import { formatAddr, type Log, oneLine } from "./log.ts";

/** What the access log knows about an exchange. Text from the client is not escaped. */
export interface AccessLogEntry {
  /** When the request arrived. */
  readonly time: Date;
  /** The client's address. */
  readonly remoteAddr: Deno.Addr;
  /** The request method. */
  readonly method: string;
  /** The request target, with its query. */
  readonly target: string;
  /** The HTTP version of the request: `"1.1"` or `"1.0"`. */
  readonly httpVersion: string;
  /** The response status; 499 if the handler stopped because the client had disconnected. */
  readonly status: number;
  /**
   * The number of bytes of the response body that were sent, without framing. A body that was available as a
   * whole counts when it is handed to the operating system, even if the client does not take all of it.
   */
  readonly bytes: number;
  /** Milliseconds from the request's head to the end of the response. */
  readonly duration: number;
  /** The header fields of the request. */
  readonly headers: h11.Headers;
  /**
   * The context of the finished request: its `cid`, `route` and `error`, and whatever handlers and hooks have
   * stored in its `scope` or in properties of your own class. Null if the context could not be created.
   */
  readonly ctx: HTTPContext | null;
}

/** The named formats. */
export type AccessLogFormat = "default" | "combined" | "json";

/**
 * Returns the line for an exchange; if it returns none, nothing is logged. Control characters in the line,
 * except HTAB, are escaped when it is written.
 */
export type AccessLogFormatter = (entry: AccessLogEntry) => string | void;

/** A choice of access log: a format, a function that returns the lines, or none. */
export type AccessLogChoice = AccessLogFormat | AccessLogFormatter | false;

/** How lines are made. */
export interface LineFormat {
  /** Adds the line for an exchange to `log`. */
  readonly add: (log: Log, logged: Logged) => void;
  /** Whether lines show when the request arrived, or how long it took. */
  readonly isTimed: boolean;
}

const FORMATS: Record<AccessLogFormat, LineFormat> = {
  default: { add: addDefaultLine, isTimed: false },
  combined: plain(combinedLine),
  json: plain(jsonLine),
};

/** The format of lines that `make` returns, which have no control characters. */
function plain(make: (entry: AccessLogEntry) => string): LineFormat {
  return { add: (log, logged) => log.plainLine(make(new LazyEntry(logged))), isTimed: true };
}

/**
 * The line format for `choice`; null for no log. It does not throw: if the user's function does, it writes
 * the default line, with the error.
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

/** A log must not stop the server: if its function throws, the line says so. */
function addLineOf(format: AccessLogFormatter, log: Log, logged: Logged): void {
  try {
    const line = format(new LazyEntry(logged));
    if (typeof line === "string" && line !== "") log.line(line);
  } catch (error) {
    addDefaultLine(log, logged, oneLine(` (accessLog failed: ${textOf(error)})`));
  }
}

/** A thrown value as text, whatever it is. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "the thrown value cannot be shown";
  }
}

/** `INFO: 127.0.0.1:52579 - "GET /user/bob HTTP/1.1" 200` */
function addDefaultLine(log: Log, { request, peer, status }: Logged, remark = ""): void {
  const { method, httpVersion } = request;
  const length = request.targetInto(units);
  // Only quotes and backslashes may need escaping in a target (RFC 9112 3.2), and they are rare.
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

/** The length of the default line without the values put into it. */
const AROUND = 'INFO:  - "  HTTP/" 200'.length;
const statusTexts: string[] = [];
/** The code units of the target that is being logged. */
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

/** One JSON object per line, with the keys of nginx where it has them. */
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
  // JSON allows these characters unescaped; a terminal may interpret them.
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

/** `text` for use between quotes, escaped as in Apache; a code unit is a byte. */
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

/** Converts `Sun, 22 Nov 2026 13:55:36 GMT` to `22/Nov/2026:13:55:36 +0000`. */
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
  /** The response status; 499 if the handler stopped because the client had disconnected. */
  readonly status: number;
  /** The number of bytes of the response body that were sent. */
  readonly bytes: number;
  /** The value of `performance.now()` when the request arrived. */
  readonly startedAt: number;
  /** The context of the request. */
  readonly context: HTTPContext | null;
}

/** The entry for an exchange that has just ended; its values are computed on access. */
export class LazyEntry implements AccessLogEntry {
  readonly #logged: Logged;
  #duration: number | null = null;
  #time: Date | null = null;

  constructor(logged: Logged) {
    this.#logged = logged;
  }

  get time(): Date {
    // By the current clock, which may have been set since the process started.
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

  get ctx(): HTTPContext | null {
    return this.#logged.context;
  }
}
