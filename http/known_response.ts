// Responses whose head equals an earlier one: most applications give all of their responses the same few
// fields. A response that is sent again has already been checked, and its head is already encoded.

import * as h11 from "../h11.ts";
import { reasonPhrase } from "./http_error.ts";
import { type Fields, httpDate } from "./response_head.ts";

/** Responses with more fields than this are not compared. */
const FIELDS_MAX = 16;
/**
 * The number of responses that are kept, each at a place derived from its status and the lengths of its
 * fields.
 */
const PLACES = 64;
const responses: (KeptResponse | undefined)[] = new Array(PLACES).fill(undefined);

interface KeptResponse {
  readonly response: h11.Response;
  /** Names and values, alternating. */
  readonly fields: readonly string[];
  /** The type that was used if the fields have none. */
  readonly type: string | null;
  readonly date: string;
}

/**
 * The kept response with this status and these fields, as long as its date is current; null for none.
 *
 * @param type The type to use if `fields` have none.
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

/** Keeps a response that was made with `fields`, and with `type` if these have none. */
export function keepResponse(
  response: h11.Response,
  fields: Fields,
  type: string | null,
  now: number,
): void {
  if (fields.length > FIELDS_MAX) return;
  const place = placeOf(response.statusCode, fields);
  // Read as everywhere else: any iterable may be a pair, and its elements after the second have no effect.
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
  // Untyped programs may give values that are not strings, which are refused or converted later.
  for (const [name, value] of fields) sum = (31 * sum + name?.length + 31 * value?.length) | 0;
  return sum & (PLACES - 1);
}

/** The type of a response if `headers` give nothing else; undefined if they do. */
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

// Responses that have no field but their type, by type and status, as long as their date is current. One that
// is sent again has its head already encoded.
const plainResponses = new Map<string | null, h11.Response[]>();
/** Types that are kept: a program may use types with a part that differs each time. */
const PLAIN_TYPES_MAX = 100;
let plainDate = "";
/** The last response, and its type. */
let lastPlain: h11.Response | null = null;
let lastType: string | null = null;

/** A response with no field but a type, if any, and its date; `now` is the clock's time. */
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
