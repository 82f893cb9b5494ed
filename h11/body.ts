// Reads and writes message bodies, with the three ways to tell where one ends (RFC 9112 6 and 7).

import { LocalProtocolError, RemoteProtocolError } from "./errors.ts";
import { Data, EndOfMessage } from "./events.ts";
import { FIELD_VALUE, HEX_VALUE, isBlank, TOKEN } from "./grammar.ts";
import { type Headers, writeSection } from "./headers.ts";
import { parseTrailers, readSection, type SectionRules } from "./heads.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";
import { encodeLatin1, Piece } from "./output.ts";
import { quoteBytes } from "./text.ts";

const LF = 0x0a,
  CR = 0x0d,
  DQUOTE = 0x22,
  SEMICOLON = 0x3b,
  EQUALS = 0x3d,
  BACKSLASH = 0x5c;

/** The end of a message without trailers. */
const END = new EndOfMessage();

/** How the end of a body is determined (RFC 9112 6.3). */
export type BodyFraming = "content-length" | "chunked" | "close-delimited";

/** The maximum size in bytes of a chunk's size line, including its extensions. */
const MAX_CHUNK_LINE_SIZE = 4 * 1024;

/** The maximum size in bytes of all chunk extensions in a message. Nothing reads them. */
const MAX_CHUNK_EXTENSIONS_SIZE = 16 * 1024;

/** Reads one body after the other. */
export class BodyReader {
  #framing: BodyFraming = "content-length";
  /**
   * The bytes of the body or chunk still to come. -1 and -2 count the bytes read of the CRLF after a chunk.
   */
  #remaining = 0;
  #length = 0;
  #part: "size" | "data" | "data end" | "trailers" = "size";
  /** Whether the size line of this chunk has been read, but none of its data. */
  #chunkStarts = false;
  #extensions = 0;
  readonly #how: SectionRules;

  constructor(how: SectionRules) {
    this.#how = how;
  }

  /** Begins a body. `length` is the Content-Length of a body that has one. */
  begin(framing: BodyFraming, length: number): void {
    this.#framing = framing;
    this.#remaining = this.#length = length;
    this.#part = "size";
    this.#extensions = 0;
  }

  /** The next event, or null if more bytes are needed. */
  read(buffer: ReceiveBuffer): Data | EndOfMessage | null {
    switch (this.#framing) {
      case "content-length": {
        if (this.#remaining === 0) return END;
        if (buffer.length === 0) return null;
        const data = buffer.take(this.#remaining);
        this.#remaining -= data.length;
        return new Data({ data });
      }
      case "chunked":
        return this.#readChunked(buffer);
      case "close-delimited":
        return buffer.length === 0 ? null : new Data({ data: buffer.take(buffer.length) });
    }
  }

  /**
   * Ends the body when the peer closes.
   *
   * @throws {RemoteProtocolError} The body is not complete (RFC 9112 8).
   */
  readEnd(): EndOfMessage {
    if (this.#framing === "close-delimited") return END;
    const when = this.#framing === "content-length"
      ? `after ${this.#length - this.#remaining} of ${this.#length} bytes`
      : this.#part === "trailers"
      ? "before the end of the trailer section"
      : "before the last chunk";
    throw new RemoteProtocolError(
      `Cannot complete the body: the peer closed the connection ${when} (RFC 9112 8)`,
    );
  }

  #readChunked(buffer: ReceiveBuffer): Data | EndOfMessage | null {
    if (this.#part === "data end" && !this.#readDataEnd(buffer)) return null;
    if (this.#part === "size") {
      const size = this.#readSize(buffer);
      if (size < 0) return null;
      this.#remaining = size;
      this.#part = size === 0 ? "trailers" : "data";
      this.#chunkStarts = true;
    }
    if (this.#part === "trailers") return readSection(buffer, parseTrailers, this.#how);
    if (buffer.length === 0) return null;
    const chunkStart = this.#chunkStarts;
    this.#chunkStarts = false;
    const data = buffer.take(this.#remaining);
    this.#remaining -= data.length;
    if (this.#remaining === 0) this.#part = "data end";
    return new Data({ data, chunkStart, chunkEnd: this.#remaining === 0 });
  }

  /** Reads the CRLF after a chunk's data; false if more bytes are needed (RFC 9112 7.1). */
  #readDataEnd(buffer: ReceiveBuffer): boolean {
    for (; this.#remaining > -2 && buffer.length > 0; this.#remaining--) {
      const { bytes, start } = buffer;
      if (bytes[start] !== (this.#remaining === 0 ? CR : LF)) {
        throw new LocalProtocolError(
          `Cannot read ${quoteBytes(bytes, start, start + 1)} after a chunk: expected CRLF ` +
            "(RFC 9112 7.1)",
        );
      }
      buffer.skip(1);
    }
    if (this.#remaining > -2) return false;
    this.#part = "size";
    return true;
  }

  /** Reads a chunk's size line; -1 if more bytes are needed. */
  #readSize(buffer: ReceiveBuffer): number {
    const maxSize = Math.min(MAX_CHUNK_LINE_SIZE, this.#how.maxSize);
    const lf = buffer.nextLineEnd();
    const { bytes, start } = buffer;
    if ((lf < 0 ? buffer.length : lf + 1 - start) > maxSize) {
      throw new LocalProtocolError(`Cannot read a chunk size line of more than ${maxSize} bytes`);
    }
    if (lf < 0) return -1;
    const isLenient = this.#how.rules === "lenient";
    let end = lf - 1;
    if (end < start || bytes[end] !== CR) {
      throw badSize(bytes, start, lf, "a bare LF");
    }
    if (isLenient) { while (end > start && isBlank(bytes[end - 1])) end--; }

    let p = start, size = 0;
    for (; p < end && HEX_VALUE[bytes[p]] >= 0; p++) {
      size = size * 16 + HEX_VALUE[bytes[p]];
      if (size > Number.MAX_SAFE_INTEGER || p - start >= 16) {
        throw badSize(bytes, start, lf, "the size exceeds 2^53-1 or has more than 16 digits");
      }
    }
    if (p === start) throw badSize(bytes, start, lf, "no hexadecimal size");
    this.#extensions += end - p;
    if (this.#extensions > MAX_CHUNK_EXTENSIONS_SIZE) {
      throw new LocalProtocolError(
        `Cannot read chunk extensions of more than ${MAX_CHUNK_EXTENSIONS_SIZE} bytes in one message`,
      );
    }
    const areValid = isLenient ? areText : areExtensions;
    if (p < end && !areValid(bytes, p, end)) {
      throw badSize(bytes, start, lf, 'expected ";name=value"');
    }
    buffer.skip(lf + 1 - start);
    return size;
  }
}

/** The lenient rule of a user agent: a semicolon, then anything except control characters. */
function areText(bytes: Uint8Array, p: number, end: number): boolean {
  if (bytes[p] !== SEMICOLON) return false;
  while (p < end && FIELD_VALUE[bytes[p]] !== 0) p++;
  return p === end;
}

/**
 * `*( BWS ";" BWS name [ "=" value ] )` with a value that is a token or a quoted string (RFC 9112 7.1.1). The
 * grammar allows bad white space (BWS) around "=" as well, which is refused.
 */
function areExtensions(bytes: Uint8Array, p: number, end: number): boolean {
  while (p < end) {
    while (isBlank(bytes[p])) p++;
    if (bytes[p] !== SEMICOLON) return false;
    p++;
    while (isBlank(bytes[p])) p++;
    const name = p;
    while (TOKEN[bytes[p]] === 1) p++;
    if (p === name) return false;
    if (bytes[p] !== EQUALS) continue;
    const value = ++p;
    if (bytes[p] === DQUOTE) {
      for (p++; bytes[p] !== DQUOTE; p++) {
        if (bytes[p] === BACKSLASH) p++;
        if (p >= end || FIELD_VALUE[bytes[p]] === 0) return false;
      }
      p++;
    } else {
      while (TOKEN[bytes[p]] === 1) p++;
    }
    if (p === value) return false;
  }
  return true;
}

function badSize(bytes: Uint8Array, start: number, lf: number, why: string): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot read chunk size line ${quoteBytes(bytes, start, lf)}: ${why} (RFC 9112 7.1)`,
  );
}

const LINE_END = "\r\n";
const LAST_CHUNK = new Piece("0");
const NO_BYTES = new Uint8Array(0);

/** The bytes to send: one array, or several, one of which is the caller's. */
export type Output = Uint8Array | Uint8Array[];

/** Writes one body after the other. */
export class BodyWriter {
  #framing: BodyFraming | "none" = "content-length";
  #remaining = 0;
  #length = 0;

  /**
   * Begins a body. `length` is the Content-Length of a body that has one, otherwise 0. "none" is for a
   * response that cannot have a body.
   */
  begin(framing: BodyFraming | "none", length: number): void {
    this.#framing = framing;
    this.#remaining = this.#length = length;
  }

  /** The bytes to send for a part of the body. @throws {LocalProtocolError} The part exceeds the length. */
  data(data: Uint8Array): Output {
    if (this.#framing === "chunked") {
      // An empty chunk would be the last one.
      if (data.length === 0) return NO_BYTES;
      return [encodeLatin1(data.length.toString(16) + LINE_END), data, encodeLatin1(LINE_END)];
    }
    if (this.#framing !== "close-delimited") {
      if (data.length > this.#remaining) {
        throw new LocalProtocolError(
          this.#length === 0
            ? `Cannot send ${data.length} bytes of data: this message has no body (RFC 9112 6.3)`
            : `Cannot send ${data.length} more bytes: Content-Length allows only ` +
              `${this.#remaining} (RFC 9110 8.6)`,
        );
      }
      this.#remaining -= data.length;
    }
    return data;
  }

  /**
   * The bytes to send at the end of the body.
   *
   * @throws {LocalProtocolError} It ends too early, or cannot have `trailers`.
   */
  end(trailers: Headers): Output {
    if (this.#framing === "chunked") {
      return writeSection(LAST_CHUNK, trailers);
    }
    if (this.#framing === "content-length" && this.#remaining > 0) {
      throw new LocalProtocolError(
        `Cannot end the message: its body is ${this.#remaining} bytes short of Content-Length ` +
          "(RFC 9110 8.6)",
      );
    }
    // A response that would have been chunked, but cannot be, drops its trailers (RFC 9112 7.1.2).
    if (trailers.length > 0 && this.#framing === "content-length") {
      throw new LocalProtocolError(
        "Cannot send trailers: they require Transfer-Encoding: chunked (RFC 9112 7.1.2)",
      );
    }
    return NO_BYTES;
  }
}
