// Responses whose head is that of one before: most applications give all of theirs the same few fields. What is sent
// again was checked before, and has its head encoded.

import * as h11 from "../h11.ts";
import { reasonPhrase } from "./http_error.ts";
import { type Fields, httpDate } from "./response_head.ts";

/** More fields than these are not compared. */
const FIELDS_MAX = 16;
/** So many responses are kept, each in the place that its status and the lengths of its fields tell. */
const PLACES = 64;
const responses: (KeptResponse | undefined)[] = new Array(PLACES).fill(undefined);

interface KeptResponse {
  readonly response: h11.Response;
  /** Names and values, in turn. */
  readonly fields: readonly string[];
  /** The type that it has where the fields have none. */
  readonly type: string | null;
  readonly date: string;
}

/**
 * The response with such a status and fields that was kept, as long as its date is right; null for none.
 *
 * @param type The type where `fields` have none.
 * @param now The clock's time.
 */
export function knownResponse(
  status: number,
  fields: Fields,
  type: string | null,
  now: number,
): h11.Response | null {
  const kept = responses[placeOf(status, fields)];
  const isKept = kept !== undefined && kept.response.statusCode === status && kept.type === type &&
    kept.date === httpDate(now) && areSame(kept.fields, fields);
  return isKept ? kept.response : null;
}

/** Keeps a response that was made with `fields`, and has the `type` where these have none. */
export function keepResponse(
  response: h11.Response,
  fields: Fields,
  type: string | null,
  now: number,
): void {
  if (fields.length > FIELDS_MAX) return;
  const place = placeOf(response.statusCode, fields);
  // As they are read everywhere: more than a pair has no effect, and whatever can be iterated may be one.
  const inTurn = fields.flatMap(([name, value]) => [name, value]);
  responses[place] = { response, fields: inTurn, type, date: httpDate(now) };
}

function areSame(kept: readonly string[], fields: Fields): boolean {
  if (kept.length !== 2 * fields.length) return false;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (kept[2 * i] !== field[0] || kept[2 * i + 1] !== field[1]) return false;
  }
  return true;
}

function placeOf(status: number, fields: Fields): number {
  let sum = status;
  // Who does without types may give what is no text, which is refused or made text later.
  for (const [name, value] of fields) sum = (31 * sum + name?.length + 31 * value?.length) | 0;
  return sum & (PLACES - 1);
}

/** The type of a response where `headers` say nothing else; undefined where they do. */
export function typeAlone(
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
export function plainResponse(statusCode: number, type: string | null, now: number): h11.Response {
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
