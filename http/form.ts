// Parses forms that have arrived as a whole.
//
// Deno's parser takes microseconds and some hundred bytes of memory for each field. A body within maxBodySize
// that consists of the shortest possible fields would stop the server for many seconds, so their number is
// limited.

import { HTTPError } from "./http_error.ts";

/** The maximum number of fields of a form, files included. No page has as many. */
const MAX_FIELDS = 10_000;

/**
 * Parses a form.
 *
 * @param type Its `Content-Type`.
 * @throws {HTTPError} 413: it has more than 10,000 fields.
 */
export function parseForm(type: string | null, bytes: Uint8Array<ArrayBuffer>): Promise<FormData> {
  const essence = ESSENCE.exec(type ?? "")?.[1].toLowerCase();
  // Without a type, the promise rejects.
  if (essence === undefined) return new Response(bytes).formData();
  const boundary = boundaryOf(type!);
  const isMultipart = essence.startsWith("multipart");
  const fields = isMultipart ? count(`\n--${boundary}`, bytes) : count("&", bytes) + 1;
  if (fields > MAX_FIELDS) {
    throw new HTTPError(413, `The form has more than ${MAX_FIELDS} fields`);
  }
  // Deno gets the boundary that was counted: it would read a malformed type, or a list of types, otherwise.
  const param = boundary && `; boundary="${boundary.replaceAll(/["\\]/g, "\\$&")}"`;
  const headers = { "Content-Type": isMultipart && param ? essence + param : essence };
  return new Response(bytes, { headers }).formData();
}
const ESSENCE = /^\s*(multipart\/form-data|application\/x-www-form-urlencoded)\s*(?:;|$)/i;

/**
 * Whether a multipart body has its closing delimiter (RFC 2046 5.1.1). Deno's parser accepts a body without
 * one, and drops its last part.
 */
export function isWholeForm(type: string, bytes: Uint8Array): boolean {
  const boundary = boundaryOf(type);
  if (boundary === null) return true;
  const text = String.fromCharCode(...bytes.subarray(-END_SIZE));
  return `\r\n${text}`.includes(`\r\n--${boundary}--`);
}
/** How many last bytes are searched for the delimiter: a boundary has at most 70 characters. */
const END_SIZE = 1024;

/** The boundary in the type of a multipart form; null if it has none, or one that is not ASCII (RFC 2046 5.1.1). */
function boundaryOf(type: string): string | null {
  for (const [, name, quoted, token] of type.matchAll(PARAM)) {
    if (!/^boundary$/i.test(name)) continue;
    const boundary = quoted?.replaceAll(/\\(.)/g, "$1") ?? token.trim();
    // Deno would look for its characters in UTF-8: it would find other delimiters than those that are counted.
    return /[\x80-\xff]/.test(boundary) ? null : boundary;
  }
  return null;
}
const PARAM = /;\s*([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g;

/**
 * How often `text`, whose first character does not occur in it again, is in `bytes`; at most as often as it
 * matters.
 */
function count(text: string, bytes: Uint8Array): number {
  const codes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  let count = 0;
  for (let i = 0; i < bytes.length && count <= MAX_FIELDS; i++) {
    if (bytes[i] !== codes[0]) continue;
    let at = 1;
    while (at < codes.length && bytes[i + at] === codes[at]) at++;
    if (at === codes.length) count++;
  }
  return count;
}
