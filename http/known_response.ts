// Responses whose head is that of one before: most applications give all of theirs the same few fields. What is sent
// again was checked before, and has its head encoded.

import * as h11 from "../h11.ts";
import { reasonPhrase } from "./http_error.ts";
import { httpDate } from "./response_head.ts";

/**
 * The response of such a status and fields, as long as its date is right; null where none is kept.
 *
 * @param type The type where `headers` have none.
 * @param now The clock's time.
 */
export function knownResponse(
  status: number,
  headers: h11.HeadersInit,
  type: string | null,
  now: number,
): h11.Response | null {
  const onlyType = typeAlone(headers, type);
  if (onlyType !== undefined) return plainResponse(status, onlyType, now);
  if (!gather(headers)) return null;
  const kept = responses[place(status)];
  const isKept = kept !== undefined && kept.response.statusCode === status && kept.type === type &&
    kept.date === httpDate(now) && areGiven(kept.fields);
  return isKept ? kept.response : null;
}

/** Keeps a response that `knownResponse` was asked for just before, and did not know. */
export function keepResponse(response: h11.Response, type: string | null, now: number): void {
  if (!isGathered) return;
  const kept = { response, fields: given.slice(), type, date: httpDate(now) };
  responses[place(response.statusCode)] = kept;
}

interface KeptResponse {
  readonly response: h11.Response;
  /** Names and values, in turn. */
  readonly fields: readonly string[];
  readonly type: string | null;
  readonly date: string;
}

/** Names and values of the fields that were asked for last, in turn. */
const given: string[] = [];
let isGathered = false;

/** More fields than these are not compared. */
const FIELDS_MAX = 16;
/** So many responses are kept, each in the place that its status and the lengths of its fields tell. */
const PLACES = 64;
const responses: (KeptResponse | undefined)[] = new Array(PLACES).fill(undefined);

function areGiven(fields: readonly string[]): boolean {
  if (fields.length !== given.length) return false;
  for (let i = 0; i < fields.length; i++) if (fields[i] !== given[i]) return false;
  return true;
}

/** Puts fields into `given`. @returns Whether they are of a form, and as few, as can be compared. */
function gather(headers: h11.HeadersInit): boolean {
  given.length = 0;
  return isGathered = Array.isArray(headers) ? gatherPairs(headers) : gatherRecord(headers);
}

function gatherPairs(pairs: readonly (readonly [string, string])[]): boolean {
  if (pairs.length > FIELDS_MAX) return false;
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i];
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[1] !== "string") return false;
    given.push(pair[0], pair[1]);
  }
  return true;
}

function gatherRecord(headers: Exclude<h11.HeadersInit, unknown[]>): boolean {
  if (Symbol.iterator in headers) return false;
  for (const name in headers) {
    const value = (headers as Record<string, string>)[name];
    const isOne = Object.hasOwn(headers, name) && typeof value === "string";
    if (!isOne || given.length === 2 * FIELDS_MAX) return false;
    given.push(name, value);
  }
  return true;
}

function place(status: number): number {
  let sum = status;
  for (let i = 0; i < given.length; i++) sum = (31 * sum + given[i].length) | 0;
  return sum & (PLACES - 1);
}

/** The type of a response where `headers` say nothing else; undefined where they do. */
function typeAlone(
  headers: h11.HeadersInit,
  type: string | null,
): string | null | undefined {
  if (Array.isArray(headers)) {
    if (headers.length === 0) return type;
    return headers.length === 1 && headers[0][0] === "Content-Type" ? headers[0][1] : undefined;
  }
  let only: string | null | undefined = type;
  for (const name in headers) {
    if (name !== "Content-Type" || !Object.hasOwn(headers, name)) return undefined;
    only = (headers as Record<string, string>)[name];
  }
  return Symbol.iterator in headers ? undefined : only;
}

// The responses that say nothing but their type, by status and type, as long as their date is right: what is
// sent again has its head encoded already.
const plainResponses = new Map<string | null, h11.Response[]>();
/** So many types are kept: they may have a part that is made up anew each time. */
const PLAIN_TYPES_MAX = 100;
let plainDate = "";
/** The last one, and its type. */
let lastPlain: h11.Response | null = null;
let lastType: string | null = null;

/** A response that says no more than a type, if that, and its date; `now` is the clock's time. */
function plainResponse(statusCode: number, type: string | null, now: number): h11.Response {
  const Date = httpDate(now);
  if (lastPlain?.statusCode === statusCode && type === lastType && Date === plainDate) {
    return lastPlain;
  }
  if (Date !== plainDate || plainResponses.size > PLAIN_TYPES_MAX) {
    plainDate = Date;
    plainResponses.clear();
  }
  let byStatus = plainResponses.get(type);
  if (byStatus === undefined) plainResponses.set(type, byStatus = []);
  lastPlain = byStatus[statusCode] ??= new h11.Response({
    statusCode,
    reason: reasonPhrase(statusCode),
    headers: type === null ? { Date } : { "Content-Type": type, Date },
  });
  lastType = type;
  return lastPlain;
}
