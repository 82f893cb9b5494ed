// The parts of a request's target (RFC 9112 3.2).

import type { Request } from "../h11.ts";
import { formatAddr } from "./log.ts";

/** Where the path begins: after the authority in absolute-form, otherwise at the start. */
function pathStart(target: string): number {
  if (target.charCodeAt(0) === 0x2f) return 0;
  const authority = target.indexOf("://");
  if (authority < 0) return 0;
  const end = target.slice(authority + 3).search(/[/?]/);
  return end < 0 ? target.length : authority + 3 + end;
}

/** The path, without the query and without dot segments. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  const start = pathStart(target);
  const path = query < 0 && start === 0
    ? target
    : target.slice(start, query < 0 ? undefined : query) || "/";
  return /\/(?:\.|%2e)/i.test(path) ? withoutDotSegments(path) : path;
}

/**
 * Removes dot segments, as in the request's URL (RFC 3986 5.2.4; "%2e" is a dot: 6.2.2.2), from an absolute
 * path.
 */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/");
  segments.forEach((segment, i) => {
    const dots = segment.replaceAll(/%2e/gi, ".");
    if (dots !== "." && dots !== "..") return kept.push(segment);
    if (dots === ".." && kept.length > 1) kept.pop();
    // A dot segment at the end leaves its slash.
    if (i === segments.length - 1) kept.push("");
  });
  return kept.join("/");
}

/** The query, without its question mark. */
export function queryOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? "" : target.slice(query + 1);
}

/** The scheme of a request: that of HTTP, or of HTTP over TLS. */
export type Scheme = "http" | "https";

/** The scheme of the requests on a connection. */
export function schemeOf(conn: Deno.Conn): Scheme {
  return "handshake" in conn ? "https" : "http";
}

/** What a request provides for its URL. */
export type Target = Pick<Request, "target" | "targetInto">;

/**
 * The URL of a request (RFC 9110 7.1), normalized; null if target and Host do not form a valid one. A scheme
 * other than those of HTTP is not ours to serve, nor is that of `https` over a connection that is not secure
 * (RFC 9110 7.4): an application that passes the URL on to `fetch()` must not be made to read a file, nor take
 * the client for one that uses TLS.
 */
export function urlOf(
  request: Target,
  host: string | null,
  scheme: Scheme,
  localAddr: Deno.Addr,
): string | null {
  const length = request.targetInto(units);
  if (host !== null && isNormal(length)) {
    const origin = originOf(scheme, host);
    if (origin !== null) return joined(origin, request, length);
  }
  // The URL parser would take a backslash for a slash, which it is not (RFC 3986 3.3).
  const target = request.target.replaceAll("\\", "%5C");
  const start = pathStart(target);
  if (start > 0 && !(scheme === "https" ? /^https?:/i : /^http:/i).test(target)) return null;
  const local = "hostname" in localAddr ? formatAddr(localAddr) : "localhost";
  const origin = start > 0 ? target.slice(0, start) : `${scheme}://${host ?? local}`;
  if (start === 0 && target[0] !== "/") return URL.parse(origin)?.href ?? null;
  // Dot segments are removed here, because Deno's parser keeps "/c:/.." as if "c:" were a drive.
  const query = target.indexOf("?");
  const after = query < 0 ? "" : target.slice(query);
  return URL.parse(`${origin}${pathOf(target)}${after}`)?.href ?? null;
}

/** The code units of the target being examined. */
const units = new Uint16Array(1024);
const SLASH = 0x2f, DOT = 0x2e, QUESTION_MARK = 0x3f;

/** Marks that the URL parser leaves as they are, in a path or a query (URL 1.3, percent-encode sets). */
const MARKS = "/$&()*+,;=:@%-.~!";
const IN_PATH = tableOf(MARKS);
const IN_QUERY = tableOf(`${MARKS}?`);

function tableOf(marks: string): Uint8Array {
  const table = new Uint8Array(0x100);
  for (let unit = 0x30; unit <= 0x7a; unit++) {
    table[unit] = /\w/.test(String.fromCharCode(unit)) ? 1 : 0;
  }
  for (let i = 0; i < marks.length; i++) table[marks.charCodeAt(i)] = 1;
  return table;
}

/**
 * Whether `units` begin with a path and query that the URL parser would leave as they are: parsing them takes
 * longer than everything else in a small request.
 */
function isNormal(length: number): boolean {
  if (length < 1 || units[0] !== SLASH) return false;
  let table = IN_PATH;
  for (let i = 0; i < length; i++) {
    const unit = units[i];
    if (unit === QUESTION_MARK) table = IN_QUERY;
    if (table[unit] !== 1) return false;
    // A segment that begins with a dot may be a dot segment (URL 4.1).
    if (unit === SLASH && table === IN_PATH && i + 1 < length && isDot(units, i + 1)) return false;
  }
  return true;
}

/** Whether there is a dot, plain or percent-encoded, at `at`, which may begin a dot segment. */
export function isDot(units: Uint16Array, at: number): boolean {
  return units[at] === DOT ||
    (units[at] === 0x25 && units[at + 1] === 0x32 && (units[at + 2] | 0x20) === 0x65);
}

/**
 * URLs up to this length are made from code units: a concatenated string has to be flattened when it is read.
 */
const SHORT_URL = 128;
/** For each such length, the array whose elements become the string. */
const codes: number[][] = [];

/** The URL of `request` at `origin`; `units` begin with its target. */
function joined(origin: Origin, request: Target, targetLength: number): string {
  const { length } = origin.units;
  const size = length + targetLength;
  if (size > SHORT_URL) return origin.text + request.target;
  const into = codes[size] ??= Array(size).fill(0);
  for (let i = 0; i < length; i++) into[i] = origin.units[i];
  for (let i = 0; i < targetLength; i++) into[length + i] = units[i];
  return String.fromCharCode.apply(null, into);
}

/** An origin, as text and in code units. */
interface Origin {
  readonly text: string;
  readonly units: readonly number[];
}

/** The origin for the Host that was asked for last, as most requests have the same one. */
let last = { scheme: "", host: "", origin: null as Origin | null };

function originOf(scheme: string, host: string): Origin | null {
  if (host !== last.host || scheme !== last.scheme) {
    const url = URL.parse(`${scheme}://${host}/`);
    // A Host has nothing else: no path, and no user name or password.
    const text = url === null || url.href !== `${url.origin}/` ? null : url.origin;
    const origin = text === null
      ? null
      : { text, units: Array.from(text, (character) => character.charCodeAt(0)) };
    last = { scheme, host, origin };
  }
  return last.origin;
}
