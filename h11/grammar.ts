// The grammar of RFC 9110, 9112 and 3986 as byte tables, and the rules that do not fit in a table. Most work
// on bytes: text from a caller is encoded first.

import { decodeLatin1 } from "./text.ts";

/** The characters from `first` to `last`. */
function range(first: string, last: string): string {
  let text = "";
  for (let c = first.charCodeAt(0); c <= last.charCodeAt(0); c++) text += String.fromCharCode(c);
  return text;
}

/** A 256-entry table that is 1 for each byte whose character is in `characters`. */
function table(characters: string): Uint8Array {
  const members = new Uint8Array(256);
  for (let i = 0; i < characters.length; i++) members[characters.charCodeAt(i)] = 1;
  return members;
}

const DIGITS = range("0", "9");
const LETTERS = range("A", "Z") + range("a", "z");
const VCHAR = range("!", "~");

/** `tchar` (RFC 9110 5.6.2). */
export const TOKEN: Uint8Array = table("!#$%&'*+-.^_`|~" + DIGITS + LETTERS);

/**
 * The bytes allowed in a request target: VCHAR except "#", as a target has no fragment (RFC 9112 3.2). RFC
 * 3986 also excludes `"<>\^{|}` and the backquote, but browsers send some of them unescaped in queries.
 */
export const TARGET: Uint8Array = table(VCHAR.replace("#", ""));

/** In a field value: 1 for HTAB, SP and VCHAR, 2 for obs-text, 0 for controls (RFC 9110 5.5). */
export const FIELD_VALUE: Uint8Array = table("\t " + VCHAR).fill(2, 0x80);

/** `DIGIT`. */
const DIGIT = table(DIGITS);

/** The value of a `HEXDIG`, -1 for anything else. */
export const HEX_VALUE: Int8Array = new Int8Array(256).fill(-1);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  HEX_VALUE[digit.charCodeAt(0)] = HEX_VALUE[digit.toUpperCase().charCodeAt(0)] = value;
}

/** `reg-name` without `pct-encoded` (RFC 3986 3.2.2). */
const REG_NAME = table("-._~!$&'()*+,;=" + DIGITS + LETTERS);
const SCHEME = table("+-." + DIGITS + LETTERS);

const PERCENT = 0x25, STAR = 0x2a, SLASH = 0x2f, COLON = 0x3a, QUESTION = 0x3f;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;

/** Whether all code units of `text` are in `members`; a code unit over 0xFF never is. */
export function textConsistsOf(members: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 0xff || members[c] === 0) return false;
  }
  return true;
}

/** The position of the first byte from `p` on that is not in `members`, or the length of the array. */
export function endOfRun(members: Uint8Array, bytes: Uint8Array, p: number): number {
  for (;; p += 4) {
    if (members[bytes[p]] !== 1) return p;
    if (members[bytes[p + 1]] !== 1) return p + 1;
    if (members[bytes[p + 2]] !== 1) return p + 2;
    if (members[bytes[p + 3]] !== 1) return p + 3;
  }
}

/** `uri-host [ ":" port ]` with a non-empty host (RFC 9110 7.2, RFC 3986 3.2.2). */
export function isHost(bytes: Uint8Array, start: number, end: number): boolean {
  const hostEnd = endOfHost(bytes, start, end);
  if (hostEnd <= start) return false;
  return hostEnd === end ||
    (bytes[hostEnd] === COLON && isPort(bytes, hostEnd + 1, end));
}

/** `uri-host ":" port`, the target of a CONNECT (RFC 9112 3.2.3). */
function isAuthorityForm(bytes: Uint8Array, start: number, end: number): boolean {
  const hostEnd = endOfHost(bytes, start, end);
  return hostEnd > start && bytes[hostEnd] === COLON && hostEnd + 1 < end &&
    isPort(bytes, hostEnd + 1, end);
}

function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > 5) return false;
  let port = 0;
  for (let i = start; i < end; i++) {
    if (DIGIT[bytes[i]] === 0) return false;
    port = port * 10 + bytes[i] - 0x30;
  }
  return port <= 0xffff;
}

/** The maximum size of an IP literal with its brackets. An IPv6 address has at most 45 characters. */
const MAX_IP_LITERAL_SIZE = 256;

/** The end of the host that begins at `start`, or -1 if none does. */
function endOfHost(bytes: Uint8Array, start: number, end: number): number {
  let p = start;
  if (bytes[p] === OPEN_BRACKET) {
    const close = bytes.subarray(p, Math.min(end, p + MAX_IP_LITERAL_SIZE)).indexOf(CLOSE_BRACKET);
    return close > 0 && isIpLiteral(decodeLatin1(bytes, p + 1, p + close)) ? p + close + 1 : -1;
  }
  for (;;) {
    p = endOfRun(REG_NAME, bytes, p);
    if (p >= end || bytes[p] !== PERCENT) return Math.min(p, end);
    if (p + 2 >= end || HEX_VALUE[bytes[p + 1]] < 0 || HEX_VALUE[bytes[p + 2]] < 0) return -1;
    p += 3;
  }
}

/** The text between the brackets: an IPv6 address or an IPvFuture (RFC 3986 3.2.2). */
function isIpLiteral(text: string): boolean {
  if (/^[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+$/.test(text)) {
    return true;
  }
  const ipv4 = /^(.*:)(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text);
  if (ipv4 !== null) {
    if (ipv4[2].split(".").some((octet) => Number(octet) > 255)) return false;
    text = ipv4[1] + "0:0";
  }
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => half === "" ? [] : half.split(":"));
  return groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group)) &&
    (halves.length === 2 ? groups.length < 8 : groups.length === 8);
}

/**
 * Whether a target, whose bytes are all in `TARGET`, has a form that the method allows (RFC 9112 3.2).
 * CONNECT requires authority-form; other methods allow origin-form and absolute-form, and OPTIONS also
 * asterisk-form.
 */
export function isTargetFor(
  method: string,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (method === "CONNECT") return isAuthorityForm(bytes, start, end);
  if (bytes[start] === SLASH) return true;
  if (end - start === 1 && bytes[start] === STAR) return method === "OPTIONS";
  return isAbsoluteForm(bytes, start, end);
}

/** `scheme "://" host [ ":" port ] ...`, without the userinfo that RFC 9110 4.2.4 forbids. */
function isAbsoluteForm(bytes: Uint8Array, start: number, end: number): boolean {
  let p = endOfRun(SCHEME, bytes, start);
  const first = bytes[start] | 0x20;
  if (p === start || first < 0x61 || first > 0x7a) return false;
  if (bytes[p] !== COLON || bytes[p + 1] !== SLASH || bytes[p + 2] !== SLASH) {
    return false;
  }
  const authority = p + 3;
  p = authority;
  while (p < end && bytes[p] !== SLASH && bytes[p] !== QUESTION) p++;
  return isHost(bytes, authority, p);
}

const LAST_SAFE_TENTH = Math.floor(Number.MAX_SAFE_INTEGER / 10);

/** The value of `1*DIGIT` up to 2^53-1, or -1 for anything else (RFC 9110 8.6). */
export function parseDecimal(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9 || value > LAST_SAFE_TENTH) return -1;
    value = value * 10 + digit;
    if (value > Number.MAX_SAFE_INTEGER) return -1;
  }
  return text.length === 0 ? -1 : value;
}

/** The non-empty members of a comma-separated list, in lower case (RFC 9110 5.6.1). */
export function listMembers(value: string): string[] {
  return value.toLowerCase().split(",").map(trim).filter((member) => member !== "");
}

/** `text` without the SP and HTAB around it. */
export function trim(text: string): string {
  let start = 0, end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** SP or HTAB. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
