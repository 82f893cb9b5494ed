// The body of a request, which is only read from the socket when the handler asks for it.

import type { Headers } from "../h11.ts";
import type { BodyReader, View } from "./body_reader.ts";
import type { Exchange } from "./exchange.ts";
import { HTTPError } from "./http_error.ts";
import { maxBodySizeOf } from "./options.ts";

/** Initial size in bytes of the array for a body: a client may announce more than it sends. */
const COLLECTED = 64 * 1024;

/** The body of one request. */
export class RequestBody {
  readonly #exchange: Exchange;
  #stream: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #isTaken = false;
  /** Some of the stream was read. */
  #isDisturbed = false;
  #isCancelled = false;
  /** The trailer fields, once the body was read to its end. */
  trailers: Headers | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get #reader(): BodyReader {
    return this.#exchange.connection.bodyReader;
  }

  /** Whether something has locked the stream of the body, and may still read it. */
  get isAwaited(): boolean {
    return this.#stream?.locked === true && !this.#isCancelled;
  }

  /** The body as a stream, which is the same one for each call. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    if (this.#stream === null) {
      this.#take();
      // A part is only read when one is asked for, so a slow handler exerts backpressure on the client.
      this.#stream = new ReadableStream({
        type: "bytes",
        pull: (controller): void | Promise<void> => {
          this.#isDisturbed = true;
          const request = controller.byobRequest;
          const give = (part: View): void => {
            if (part === null) {
              controller.close();
              request?.respond(0);
            } else if (request !== null) {
              request.respond(part.length);
            } else {
              controller.enqueue(part);
            }
          };
          const part = this.#read(request?.view as View ?? null);
          return part instanceof Promise ? part.then(give) : give(part);
        },
        cancel: (): void => {
          this.#isCancelled = true;
          this.#reader.cancel(this.#exchange);
        },
      }, { highWaterMark: 0 });
    }
    return this.#stream;
  }

  /**
   * Reads the next part to the beginning of `buffer`.
   *
   * @returns The number of bytes read; null at the end of the body.
   */
  async readInto(buffer: Uint8Array): Promise<number | null> {
    this.#checkFree();
    if (!(buffer instanceof Uint8Array)) {
      throw new TypeError("Cannot read the request body: the buffer must be a Uint8Array");
    }
    if (buffer.length === 0) {
      throw new TypeError(
        "Cannot read the request body into an empty buffer: pass one with room; a transferred buffer has none",
      );
    }
    const isDirect = this.#exchange.connection.socket.canKeepTarget && isTransferable(buffer);
    const part = await this.#read(buffer as Uint8Array<ArrayBuffer>, isDirect);
    return part === null ? null : part.length;
  }

  /**
   * The whole body if it has already arrived, as most small ones have; the bytes are valid until the caller
   * returns. Null if it has to be waited for.
   *
   * @throws {TypeError} It was already read.
   */
  takeWhole(): Uint8Array<ArrayBuffer> | null {
    if (this.#stream !== null) return null;
    if (this.#isTaken) throw readTwice();
    const whole = this.#reader.takeWhole(this.#exchange);
    if (whole === null) return null;
    this.#isTaken = true;
    return whole;
  }

  /** The whole body. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const there = this.takeWhole();
    if (there !== null) {
      this.checkSize(there.length);
      return there.slice();
    }
    // A web Request made earlier reads from the stream; what it has not read is read here.
    if (this.#stream !== null) return await this.#collectFrom(this.#stream);
    this.#take();
    return await this.#collect((view) => this.#read(view));
  }

  /**
   * Reads the body as a web Request does: not the rest of a body that something else has begun to read.
   *
   * @param stream The Request's stream, which is the body's or a copy of it; null if it has not created one.
   * @throws {TypeError} The body is locked or was already read.
   */
  readAll(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array<ArrayBuffer>> {
    if (stream === null && this.#isDisturbed) throw readTwice();
    stream ??= this.#stream;
    return stream === null ? this.bytes() : this.#collectFrom(stream);
  }

  #collectFrom(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
    if (stream.locked) throw readTwice();
    // It stays locked, as that of a web Request does.
    const reader = stream.getReader();
    return this.#collect(async () => (await reader.read()).value as View ?? null);
  }

  #read(view: View, isDirect = true): View | Promise<View> {
    return this.#reader.read(this.#exchange, view, isDirect);
  }

  #take(): void {
    this.#checkFree();
    this.#isTaken = true;
  }

  #checkFree(): void {
    if (this.#isTaken) throw readTwice();
    if (this.#reader.isWaitingFor(this.#exchange)) throw otherRead();
  }

  /** @throws {HTTPError} 413: `length` exceeds the limit of the methods that read the body whole. */
  checkSize(length: number): void {
    const { route, connection: { host: { counters, settings } } } = this.#exchange;
    const maxBodySize = maxBodySizeOf(route, settings);
    if (maxBodySize === 0 || length <= maxBodySize) return;
    counters.bodiesTooLarge++;
    throw new HTTPError(413);
  }

  async #collect(read: (view: View) => View | Promise<View>): Promise<Uint8Array<ArrayBuffer>> {
    const { contentLength } = this.#exchange.request;
    if (contentLength !== null) this.checkSize(contentLength);
    // Parts are merged as they arrive: with a view kept for each, chunks of one byte would take a hundred
    // times their size in memory.
    let whole = new Uint8Array(Math.min(contentLength ?? 0, COLLECTED));
    let length = 0;
    for (;;) {
      const part = await read(length < whole.length ? whole.subarray(length) : null);
      if (part === null) break;
      const needed = length + part.length;
      this.checkSize(needed);
      if (part.buffer !== whole.buffer) {
        if (length === 0 && whole.length === 0) {
          whole = part;
        } else if (needed > whole.length) {
          const grown = new Uint8Array(Math.min(2 * needed, contentLength ?? Infinity));
          grown.set(whole.subarray(0, length));
          whole = grown;
        }
        whole.set(part, length);
      }
      length = needed;
    }
    return length === whole.length ? whole : whole.slice(0, length);
  }
}

/**
 * Whether the array spans its whole buffer, which can then be transferred without taking anything else along.
 */
function isTransferable({ buffer, byteLength }: Uint8Array): boolean {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.resizable;
}

function otherRead(): TypeError {
  return new TypeError(
    "Cannot read the request body: another read is in progress; await it first",
  );
}

/** The error for a body that was already read. */
export function readTwice(): TypeError {
  return new TypeError(
    "Cannot read the request body: it was already read; keep the result of the first read",
  );
}
