// Parses the heads of messages (RFC 9112 2 to 5) and trailer sections (RFC 9112 7.1.2).
//
// The parsers make one pass over the bytes, and return null if the section is not complete. They are called
// when the first bytes of a section arrive, which are nearly always the whole section, and otherwise once
// more when its end has arrived. The search for the end never looks at a byte twice.

import { LocalProtocolError } from "./errors.ts";
import {
  badTarget,
  EndOfMessage,
  type Event,
  InformationalResponse,
  missingHost,
  Request,
  Response,
  twoFramings,
} from "./events.ts";
import { endOfRun, FIELD_VALUE, isBlank, isTargetFor, TARGET, TOKEN } from "./grammar.ts";
import { methodName } from "./names.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";
import { type FieldRules, heads, leave, place, placedEnd, readFields } from "./received_fields.ts";
import type { RepeatedHead } from "./repeated_head.ts";
import type { Slab } from "./slab.ts";
import { decodeLatin1, quoteBytes } from "./text.ts";

const LF = 0x0a, CR = 0x0d, SP = 0x20;

/**
 * No server implements a method longer than this (RFC 9112 3). Methods in use have at most 17 characters
 * (UPDATEREDIRECTREF).
 */
const MAX_METHOD_SIZE = 64;

/** How a section is read. */
export interface SectionRules extends FieldRules {
  /** The maximum size of the section in bytes. */
  maxSize: number;
  /** The maximum size of a request target in bytes; 0 for no limit. */
  maxTargetSize: number;
}

/** How the head of a request is read. */
export interface RequestRules extends SectionRules {
  /** The head that the client repeats. */
  repeated: RepeatedHead;
}

/** Parses one kind of placed section, and takes its bytes; null if the section is not complete. */
type Parser<E, R> = (area: Slab<Uint8Array>, start: number, end: number, how: R) => E | null;

/**
 * How many bytes are placed at first. Nearly all sections are smaller, and placing what follows them is
 * wasted.
 */
const FIRST_SIZE = 4 * 1024;

/** Parses a section at the start of `bytes[start, end)`; null if it is not complete. */
function parseAll<E, R>(
  bytes: Uint8Array,
  start: number,
  end: number,
  parse: Parser<E, R>,
  how: R,
): E | null {
  place(bytes, start, end);
  return parse(heads, heads.used, heads.used + end - start, how);
}

/** Parses a section at the front of `buffer`, up to `end`, and consumes it; null if it is not complete. */
function parseFront<E, R>(
  buffer: ReceiveBuffer,
  end: number,
  parse: Parser<E, R>,
  how: R,
): E | null {
  const { bytes, start } = buffer;
  let stop = placedEnd(buffer);
  if (stop === 0 || stop > end) {
    stop = Math.min(end, start + FIRST_SIZE);
    place(bytes, start, stop);
  }
  for (;;) {
    const from = heads.used;
    const event = parse(heads, from, from + stop - start, how);
    if (event !== null) {
      buffer.skip(heads.used - from);
      leave(buffer, stop);
      return event;
    }
    if (stop === end) return null;
    place(bytes, start, stop = end);
  }
}

/**
 * Reads a section from the front of the buffer and consumes it; null if more bytes are needed.
 *
 * @throws {LocalProtocolError} The section is invalid, or larger than `how.maxSize`.
 */
export function readSection<E extends Event, R extends SectionRules>(
  buffer: ReceiveBuffer,
  parse: Parser<E, R>,
  how: R,
): E | null {
  const isOver = buffer.length > how.maxSize;
  const end = isOver ? buffer.start + how.maxSize : buffer.end;
  let section: E | null = null;
  if (how.rules === "strict") {
    // At the end of the stream, the partial section is parsed: an error in it is more helpful than its being
    // incomplete.
    if (buffer.isUnseen || hasSectionEnd(buffer) || isOver || buffer.isClosed) {
      section = parseFront(buffer, end, parse, how);
      if (section === null) buffer.markSeen();
    }
  } else {
    section = readLeniently(buffer, parse, end, how);
  }
  if (section === null && isOver) {
    throw new LocalProtocolError(
      `Cannot read a ${how.trailers ? "trailer" : "header"} section of more than ` +
        `${how.maxSize} bytes`,
      431,
    );
  }
  return section;
}

/**
 * Whether it is worth parsing the section: an empty line has arrived, or a line end that no strict section
 * has, or the end of the first line, so that an invalid start line is refused without waiting for more.
 */
function hasSectionEnd(buffer: ReceiveBuffer): boolean {
  const isFirst = !buffer.hasLineEnd;
  for (let at = buffer.nextLineEnd(); at >= 0; at = buffer.nextLineEnd()) {
    const { bytes, start } = buffer;
    if (isFirst || at === start || bytes[at - 1] !== CR) return true;
    if (at - 1 === start || bytes[at - 2] === LF) return true;
  }
  return false;
}

/**
 * Reads a section by the rules of a user agent: a bare LF ends a line, and folded lines are unfolded (RFC
 * 9112 2.2, 5.2).
 */
function readLeniently<E extends Event, R extends SectionRules>(
  buffer: ReceiveBuffer,
  parse: Parser<E, R>,
  end: number,
  how: R,
): E | null {
  if (buffer.isUnseen) {
    try {
      const section = parseFront(buffer, end, parse, how);
      if (section !== null) return section;
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
    }
  }
  // Data that is not HTTP may never contain the end of a section, so the status line is checked as soon as
  // possible.
  let isJudged = how.trailers || buffer.hasLineEnd;
  if (!isJudged) scanUnusualVersion("status", buffer.bytes, buffer.start, buffer.start, end);
  for (
    let at = buffer.nextLineEnd();
    at >= 0 && at < end;
    at = buffer.nextLineEnd()
  ) {
    const { bytes, start } = buffer;
    if (!isJudged) {
      const line = unfold(bytes, start, at + 1, 1);
      parseAll(line, 0, line.length, parse, how);
      isJudged = true;
    }
    const before = at > start && bytes[at - 1] === CR ? at - 2 : at - 1;
    if (before >= start && bytes[before] !== LF) continue;
    const section = unfold(bytes, start, at + 1, how.trailers ? 1 : 2);
    const result = parseAll(section, 0, section.length, parse, how);
    buffer.skip(at + 1 - start);
    return result;
  }
  const isAll = end < buffer.end || buffer.isClosed;
  if (!isJudged && isAll) parseAll(buffer.bytes, buffer.start, end, parse, how);
  return null;
}

/**
 * The lines of a section, each ended by CRLF, and unfolded.
 *
 * @param first The number of the first line that may be folded: the one after the first field line.
 */
function unfold(bytes: Uint8Array, start: number, end: number, first: number): Uint8Array {
  // A line grows by at most one byte: the CR that it lacks.
  const out = new Uint8Array(2 * (end - start));
  let length = 0;
  for (let line = start, count = 0; line < end; count++) {
    const lf = bytes.indexOf(LF, line);
    const lineEnd = lf > line && bytes[lf - 1] === CR ? lf - 1 : lf;
    if (isBlank(bytes[line])) {
      if (count < first) {
        throw new LocalProtocolError(
          `Cannot read field line ${quoteBytes(bytes, line, lineEnd)}: it continues a field, but ` +
            "none precedes it (RFC 9112 5.2)",
        );
      }
      while (line < lineEnd && isBlank(bytes[line])) line++;
      length -= 2;
      out[length++] = SP;
    }
    out.set(bytes.subarray(line, lineEnd), length);
    length += lineEnd - line;
    out[length++] = CR;
    out[length++] = LF;
    line = lf + 1;
  }
  return out.subarray(0, length);
}

/** Parses a request line and the fields after it. */
export function parseRequest(
  area: Slab<Uint8Array>,
  start: number,
  end: number,
  how: RequestRules,
): Request | null {
  const { array: bytes, view } = area;
  const { repeated } = how;
  const again = repeated.request(area, start);
  if (again !== null) return again;

  const isGet = view.getInt32(start) === GET;
  let p = isGet ? start + 3 : scanMethod(bytes, start, end);
  if (p >= end) return null;
  const method = isGet ? "GET" : methodName(bytes, start, p);

  const targetStart = p + 1;
  const targetEnd = p = endOfRun(TARGET, bytes, targetStart);
  if (how.maxTargetSize !== 0 && targetEnd - targetStart > how.maxTargetSize) {
    throw targetTooLong(how.maxTargetSize);
  }
  if (p >= end) return null;
  if (bytes[p] !== SP || targetEnd === targetStart) {
    throw badStartLine("request", bytes, start, p, "a target of visible ASCII and a space");
  }
  p = scanVersion("request", bytes, view, start, p + 1, end);
  if (p < 0) return null;
  // The version is checked before this: another version may have other targets (RFC 9110 15.6.6).
  if (!isTargetFor(method, bytes, targetStart, targetEnd)) {
    throw badTarget({
      method,
      target: decodeLatin1(bytes, targetStart, targetEnd),
    });
  }
  const minor = bytes[p - 1];
  const httpVersion = minor === 0x31
    ? "1.1"
    : minor === 0x30
    ? "1.0"
    : decodeLatin1(bytes, p - 3, p);
  p = scanLineEnd("request", bytes, start, p, end);
  if (p < 0) return null;

  const known = repeated.fields(area, start, p);
  const fields = known ?? readFields(area, start, p, end, how);
  if (fields === null) return null;
  const { framing } = fields;
  if (httpVersion === "1.0") {
    if (framing.chunked) {
      throw new LocalProtocolError(
        "Cannot use Transfer-Encoding in HTTP/1.0: it requires HTTP/1.1 (RFC 9112 6.1)",
      );
    }
  } else if (framing.hosts === 0) {
    throw missingHost();
  }
  if (framing.chunked && framing.contentLength >= 0) throw twoFramings();

  const request = new Request(fields, method, targetStart - p, targetEnd - p, httpVersion);
  if (known === null) repeated.note(request, fields, p - start);
  return request;
}

/** "GET ", with which most requests begin. */
const GET = 0x47455420;

/** The end of the method, at a space, or `end` if that comes first. */
function scanMethod(bytes: Uint8Array, start: number, end: number): number {
  const p = endOfRun(TOKEN, bytes, start);
  if (p - start > MAX_METHOD_SIZE) {
    throw new LocalProtocolError(
      `Cannot serve method ${quoteBytes(bytes, start, p)}: it is longer than ` +
        `${MAX_METHOD_SIZE} bytes (RFC 9112 3)`,
      501,
    );
  }
  if (p < end && (bytes[p] !== SP || p === start)) {
    throw badStartLine("request", bytes, start, p, "a method and a space");
  }
  return p;
}

function targetTooLong(max: number): LocalProtocolError {
  return new LocalProtocolError(`Cannot read a target of more than ${max} bytes (RFC 9112 3)`, 414);
}

/** Parses a status line and the fields after it. */
export function parseResponse(
  area: Slab<Uint8Array>,
  start: number,
  end: number,
  how: SectionRules,
): Response | InformationalResponse | null {
  const { array: bytes, view } = area;
  let p = scanVersion("status", bytes, view, start, start, end);
  if (p < 0) return null;
  const httpVersion = `1.${String.fromCharCode(bytes[p - 1])}`;
  // SP, three digits, then SP and a reason phrase, or nothing: RFC 9112 4 requires the second space, but many
  // servers omit it.
  for (let i = 0; i < 4; i++, p++) {
    if (p >= end) return null;
    if (i === 0 ? bytes[p] !== SP : bytes[p] < 0x30 || bytes[p] > 0x39) {
      throw badStartLine("status", bytes, start, p, "a space and three digits");
    }
  }
  const statusCode = (bytes[p - 3] - 0x30) * 100 + (bytes[p - 2] - 0x30) * 10 +
    bytes[p - 1] - 0x30;
  if (statusCode < 100) {
    throw badStartLine("status", bytes, start, p - 3, "a status of 100 or more");
  }
  let reasonStart = p;
  if (bytes[p] === SP) {
    reasonStart = ++p;
    while (FIELD_VALUE[bytes[p]] !== 0) p++;
  }
  const reasonEnd = p;
  p = scanLineEnd("status", bytes, start, p, end);
  if (p < 0) return null;

  const fields = readFields(area, start, p, end, how);
  if (fields === null) return null;
  const reason = decodeLatin1(bytes, reasonStart, reasonEnd);
  return statusCode < 200
    ? new InformationalResponse(fields, statusCode, reason, httpVersion)
    : new Response(fields, statusCode, reason, httpVersion);
}

/** Parses the fields of a trailer section. */
export function parseTrailers(
  area: Slab<Uint8Array>,
  start: number,
  end: number,
  how: SectionRules,
): EndOfMessage | null {
  const fields = readFields(area, start, start, end, how);
  return fields && new EndOfMessage(fields);
}

type Line = "request" | "status";

/** Scans `HTTP/1.` and a digit; -1 if `end` comes first. */
function scanVersion(
  line: Line,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  p: number,
  end: number,
): number {
  if (view.getInt32(p) === HTTP && view.getInt32(p + 4) === SLASH_1_1) return p + 8;
  return scanUnusualVersion(line, bytes, start, p, end);
}
const HTTP = 0x48545450, SLASH_1_1 = 0x2f312e31;

function scanUnusualVersion(
  line: Line,
  bytes: Uint8Array,
  start: number,
  p: number,
  end: number,
): number {
  for (let i = 0; i < 8; i++) {
    if (p + i >= end) return -1;
    const b = bytes[p + i];
    const isDigit = b >= 0x30 && b <= 0x39;
    if (i === 5 || i === 7 ? !isDigit : b !== VERSION[i]) {
      throw badStartLine(line, bytes, start, p + i, 'a version as in "HTTP/1.1" (RFC 9112 2.3)');
    }
  }
  if (bytes[p + 5] !== 0x31) {
    throw new LocalProtocolError(
      `Cannot speak ${decodeLatin1(bytes, p, p + 8)}: expected HTTP/1.1 or HTTP/1.0 ` +
        "(RFC 9110 15.6.6)",
      505,
    );
  }
  return p + 8;
}
const VERSION = Uint8Array.from("HTTP/1.1", (c) => c.charCodeAt(0));

/** Scans the CRLF after a start line; -1 if `end` comes first. */
function scanLineEnd(line: Line, bytes: Uint8Array, start: number, p: number, end: number): number {
  if (p >= end) return -1;
  if (bytes[p] !== CR) {
    throw badStartLine(line, bytes, start, p, "CRLF (RFC 9112 2.2)");
  }
  if (p + 1 >= end) return -1;
  if (bytes[p + 1] !== LF) {
    throw badStartLine(line, bytes, start, p + 1, "CRLF (RFC 9112 2.2)");
  }
  return p + 2;
}

function badStartLine(
  line: Line,
  bytes: Uint8Array,
  start: number,
  p: number,
  expected: string,
): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot read ${line} line ${quoteBytes(bytes, start, p + 1)}: expected ${expected}, got ` +
      quoteBytes(bytes, p, p + 1),
  );
}
