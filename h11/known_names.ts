// Common field names. They are recognized in the bytes, four at a time, so that reading them makes no new
// string.

import { decodeLatin1 } from "./text.ts";

/** In lower case. Each has at least four characters. */
const KNOWN_NAMES = `
  accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-origin
  access-control-request-headers access-control-request-method allow alt-svc authorization
  cache-control connection content-disposition content-encoding content-language content-length content-location content-range
  content-security-policy content-type cookie date etag expect expires forwarded from host if-match
  if-modified-since if-none-match if-range if-unmodified-since keep-alive last-modified link location
  max-forwards origin pragma priority proxy-authenticate proxy-authorization range referer
  referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
  sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-extensions sec-websocket-key
  sec-websocket-protocol sec-websocket-version server set-cookie strict-transport-security traceparent
  tracestate trailer transfer-encoding upgrade upgrade-insecure-requests user-agent vary warning www-authenticate
  x-content-type-options x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options x-real-ip
  x-request-id x-requested-with
`.trim().split(/\s+/);

/** A text of at least four lower-case letters, digits and hyphens, recognized case-insensitively. */
export class KnownText {
  /** The text. */
  readonly text: string;
  /**
   * Two words for each four bytes: a mask with 0x20 for each letter, and the bytes with those bits set. The
   * last four bytes may overlap the four before, so that nothing after them is read.
   */
  readonly #words: Int32Array;

  constructor(text: string) {
    this.text = text;
    const words = this.#words = new Int32Array(2 * Math.ceil(text.length / 4));
    for (let i = 0; i < words.length; i += 2) {
      const word = fourBytes(text, Math.min(2 * i, text.length - 4));
      // Of the allowed characters, only letters have the bit 0x40.
      words[i] = (word & 0x40404040) >> 1;
      words[i + 1] = word;
    }
  }

  /** Whether bytes `[start, end)` of the viewed buffer are this text. */
  isIn(view: DataView, start: number, end: number): boolean {
    if (end - start !== this.text.length) return false;
    const words = this.#words;
    const last = words.length - 2;
    for (let i = 0; i < last; i += 2, start += 4) {
      if ((view.getInt32(start, true) | words[i]) !== words[i + 1]) return false;
    }
    return (view.getInt32(end - 4, true) | words[last]) === words[last + 1];
  }
}

/** A hash table with linear probing. */
const slots = new Array<KnownText | null>(1024).fill(null);
for (const name of KNOWN_NAMES) {
  let slot = slotOf(name.length, fourBytes(name, name.length - 4));
  while (slots[slot] !== null) slot = (slot + 1) % slots.length;
  slots[slot] = new KnownText(name);
}

function fourBytes(text: string, at: number): number {
  return text.charCodeAt(at) | text.charCodeAt(at + 1) << 8 | text.charCodeAt(at + 2) << 16 |
    text.charCodeAt(at + 3) << 24;
}

function slotOf(length: number, lastFour: number): number {
  return Math.imul((lastFour | 0x20202020) + length, 0x9e3779b1) >>> 22;
}

/** The name in `bytes[start, end)`, in lower case; `view` covers the whole array. */
export function knownName(bytes: Uint8Array, view: DataView, start: number, end: number): string {
  if (end - start >= 4) {
    let slot = slotOf(end - start, view.getInt32(end - 4, true));
    for (let known = slots[slot]; known !== null; known = slots[slot]) {
      if (known.isIn(view, start, end)) return known.text;
      slot = (slot + 1) % slots.length;
    }
  }
  return decodeLatin1(bytes, start, end).toLowerCase();
}
