// Field names and methods that everybody sends. They are recognised in the bytes, so that reading them
// makes no new string.

import { textConsistsOf, TOKEN } from "./grammar.ts";
import { type Area, Piece, writePiece, writeText } from "./output.ts";
import { decodeLatin1 } from "./text.ts";

/** All of them have four letters or more. */
const KNOWN_NAMES = [
  ...[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
  ],
  ...["access-control-allow-origin", "access-control-request-headers"],
  ...[
    "access-control-request-method",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
  ],
  ...[
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
  ],
  ...[
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "date",
  ],
  ...[
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "if-match",
    "if-modified-since",
  ],
  ...[
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
  ],
  ...[
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "proxy-authenticate",
  ],
  ...[
    "proxy-authorization",
    "range",
    "referer",
    "referrer-policy",
    "retry-after",
    "sec-ch-ua",
  ],
  ...[
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
  ],
  ...[
    "sec-fetch-user",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
  ],
  ...[
    "sec-websocket-version",
    "server",
    "set-cookie",
    "strict-transport-security",
  ],
  ...["traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade"],
  ...[
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "warning",
    "www-authenticate",
  ],
  ...[
    "x-content-type-options",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
  ],
  ...["x-frame-options", "x-real-ip", "x-request-id", "x-requested-with"],
];

/** Lower case of an ASCII letter; every other byte is itself. */
export const LOWER: Uint8Array = Uint8Array.from(
  { length: 256 },
  (_, b) => b >= 0x41 && b <= 0x5a ? b | 0x20 : b,
);

/** A text of four bytes or more, in lower case, that is recognised in any case. */
export class KnownText {
  readonly text: string;
  /**
   * For each four bytes 0x20 where a letter stands, and what they are with that set. The last four
   * begin where they have to, so that nothing after them is read.
   */
  readonly #words: Int32Array;

  constructor(text: string) {
    this.text = text;
    const view = new DataView(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
    const letters = new DataView(
      Uint8Array.from(text, (c) => /[a-z]/.test(c) ? 0x20 : 0).buffer,
    );
    this.#words = Int32Array.from({ length: 2 * Math.ceil(text.length / 4) }, (_, i) => {
      const at = Math.min(2 * (i & ~1), text.length - 4);
      return (i % 2 === 0 ? letters : view).getInt32(at, true);
    });
  }

  /** Whether bytes `[start, end)` of the buffer that is viewed are this text. */
  isIn(view: DataView, start: number, end: number): boolean {
    if (end - start !== this.text.length) return false;
    const words = this.#words;
    for (let i = 0, at = start; i < words.length; i += 2) {
      if ((view.getInt32(at, true) | words[i]) !== words[i + 1]) return false;
      at = Math.min(at + 4, end - 4);
    }
    return true;
  }
}

const BUCKETS = 512;
function bucket(length: number, first: number, last: number): number {
  return (length * 37 ^ first << 3 ^ last) & BUCKETS - 1;
}
const byBucket: KnownText[][] = Array.from({ length: BUCKETS }, () => []);
for (const name of KNOWN_NAMES) {
  const { length } = name;
  byBucket[bucket(length, name.charCodeAt(0), name.charCodeAt(length - 1))].push(
    new KnownText(name),
  );
}

/** `bytes[start, end)` is `name`, which is in lower case, in any case. */
export function isName(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: string,
): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (LOWER[bytes[start + i]] !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** The name in `bytes[start, end)` in lower case; `view` is one of the array's buffer. */
export function knownName(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): string {
  const candidates = byBucket[bucket(end - start, LOWER[bytes[start]], LOWER[bytes[end - 1]])];
  const offset = bytes.byteOffset;
  for (let i = 0; i < candidates.length; i++) {
    if (candidates[i].isIn(view, offset + start, offset + end)) return candidates[i].text;
  }
  return decodeLatin1(bytes, start, end).toLowerCase();
}

/** A field name that was checked, and the line it was last sent in. */
export class FieldName {
  /** As it was given. */
  readonly raw: string;
  /** In lower case. */
  readonly lower: string;
  readonly #start: Piece;
  #value: string | null = null;
  #line: Piece | null = null;

  constructor(raw: string) {
    this.raw = raw;
    this.lower = raw.toLowerCase();
    this.#start = new Piece(`\r\n${raw}: `);
  }

  /** Whether `value` was the last that `remember` was called with. */
  remembers(value: string): boolean {
    return value === this.#value;
  }

  /** Remembers a value that was found valid. */
  remember(value: string): void {
    if (value.length > REMEMBERED_MAX) return;
    this.#value = value;
    this.#line = null;
  }

  /** How many bytes `write` writes. */
  lineLength(value: string): number {
    return this.#start.length + value.length;
  }

  /** Writes the field's line with the CRLF before it. @returns Where it ends. */
  write(area: Area, value: string, at: number): number {
    // A program sends most of its fields with the value they had the last time: to keep that one line
    // saved a sixth of the time of a cycle.
    if (value === this.#value) {
      return writePiece(area, this.#line ??= new Piece(`\r\n${this.raw}: ${value}`), at);
    }
    return writeText(area, value, writePiece(area, this.#start, at));
  }
}
const REMEMBERED_MAX = 128;

// Names that were checked before. A program sends few names and sends them often; the bound keeps
// one that takes its names from elsewhere from filling the memory.
const checked = new Map<string, FieldName>();
const CHECKED_MAX = 1024;

/** Checks a name; null where it is not a token. */
export function fieldName(raw: string): FieldName | null {
  const known = checked.get(raw);
  if (known !== undefined) return known;
  if (typeof raw !== "string" || raw === "" || !textConsistsOf(TOKEN, raw)) return null;
  const name = new FieldName(raw);
  if (checked.size < CHECKED_MAX && raw.length <= 64) checked.set(raw, name);
  return name;
}

const KNOWN_METHODS = [
  "GET",
  "POST",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "CONNECT",
  "TRACE",
];

/** The method in `bytes[start, end)`; methods are case-sensitive (RFC 9110 9.1). */
export function methodName(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  for (let i = 0; i < KNOWN_METHODS.length; i++) {
    const method = KNOWN_METHODS[i];
    if (method.length !== end - start) continue;
    let at = 0;
    while (at < method.length && bytes[start + at] === method.charCodeAt(at)) {
      at++;
    }
    if (at === method.length) return method;
  }
  return decodeLatin1(bytes, start, end);
}
