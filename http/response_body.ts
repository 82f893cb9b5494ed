// The body of a response: which values can be one, their bytes, and whether the length of a stream is known.

import { COPY_MAX, OWN_COPY_MAX } from "./socket.ts";

/**
 * What a response's body can be made from. For a `Blob`, an `ArrayBuffer`, `URLSearchParams` or a `FormData`,
 * return a `Response`.
 */
export type ResponseBody =
  | string
  | Uint8Array
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | null;

const encoder = new TextEncoder();

/** Text is encoded here if it is copied when it is queued for writing. */
const scratch = new Uint8Array(OWN_COPY_MAX);
/**
 * Text up to this length is not encoded in advance: a loop beats TextEncoder (measured break-even: 64 to 96).
 */
export const SHORT_TEXT = 64;

/** Whether `body`, whose text is short, is copied to the memory that it is sent from. */
export function isSmall(body: ResponseBody): body is string | Uint8Array {
  return typeof body === "string" || (body instanceof Uint8Array && body.length <= COPY_MAX);
}

/** The bytes of `text`; if they are no more than the socket copies, they are valid until the next call. */
export function encode(text: string): Uint8Array {
  const { length } = text;
  // `encode()` takes several times as long.
  const bytes = length <= scratch.length ? scratch : new Uint8Array(length);
  const { read, written } = encoder.encodeInto(text, bytes);
  return read === length ? bytes.subarray(0, written) : encoder.encode(text);
}

/** The `Content-Type` of a body for which the fields give none; null if it is unknown. */
export function typeOf(body: ResponseBody): string | null {
  if (typeof body === "string") return "text/plain; charset=utf-8";
  return body instanceof Uint8Array ? "application/octet-stream" : null;
}

/** Checks that `body` can be sent, while a failure can still become a 500. */
export function checkBody(body: unknown): void {
  if (body === null || typeof body === "string" || body instanceof Uint8Array) return;
  if (typeof body !== "object" || !(Symbol.asyncIterator in body)) {
    throw new TypeError(
      `Cannot send a body of type ${typeof body}: must be a string, a Uint8Array, a ReadableStream, an ` +
        "async iterable or null; for other types, return a Response such as Response.json(data)",
    );
  }
  if (body instanceof ReadableStream && body.locked) {
    throw new TypeError(
      "Cannot send a ReadableStream that is locked: something else is reading it",
    );
  }
}

/** Tells the source of a body, if any, that nobody reads it; whoever writes to it gets that as an error. */
export function discard(body: ResponseBody): void {
  if (body === null || typeof body === "string" || body instanceof Uint8Array) return;
  const reason = new DOMException("The response body is not sent", "AbortError");
  if (body instanceof ReadableStream) void body.cancel(reason).catch(ignore);
  else void Promise.try(() => body[Symbol.asyncIterator]().return?.()).catch(ignore);
}

/** Tells the producer of a response that the response is not sent. */
export function discardResponse({ body, bodyUsed }: Response): void {
  if (!bodyUsed) discard(body);
}

/**
 * All bytes of `body` if it has them at hand, like that of `new Response("text")`; otherwise the chunks of
 * `body`. Either way, `body` is locked from now on.
 *
 * This does not wait for a producer: while that has nothing yet, the head can go out. The bytes are known if
 * a stream provides them as its only chunk and then closes, without waiting itself: then the first `read()`
 * and `closed` settle within two microtask turns, one in which the stream starts and one in which it pulls
 * (Streams 4.5.4, SetUpReadableStreamDefaultController).
 */
export async function knownBody(
  body: ReadableStream<Uint8Array>,
): Promise<Uint8Array | Chunks<Uint8Array>> {
  const reader = body.getReader();
  const reading = reader.read();
  let first: ReadableStreamReadResult<Uint8Array> | null = null;
  let isClosed = false;
  reading.then((result) => first = result, ignore);
  reader.closed.then(() => isClosed = true, ignore);
  await null;
  await null;
  return isClosed && first !== null ? bytesOf(first) : new Chunks(reader, reading);
}

const NO_BYTES = new Uint8Array(0);

function ignore(): void {}

function bytesOf({ value }: ReadableStreamReadResult<Uint8Array>): Uint8Array {
  return value ?? NO_BYTES;
}

/**
 * The chunks of a stream, read on demand. Unlike the stream's own iterator, this one can be ended while a
 * chunk is being waited for.
 */
export class Chunks<T> implements AsyncIterator<T, unknown>, AsyncIterable<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;
  #first: Promise<ReadableStreamReadResult<T>> | null;

  /** @param first The first read of `reader`, if it has already begun. */
  constructor(
    reader: ReadableStreamDefaultReader<T>,
    first: Promise<ReadableStreamReadResult<T>> | null = null,
  ) {
    this.#reader = reader;
    this.#first = first;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, unknown>> {
    const next = this.#first ?? this.#reader.read();
    this.#first = null;
    return next as Promise<IteratorResult<T, unknown>>;
  }

  /** Cancels the stream. @param reason Given to its source. */
  async return(reason?: unknown): Promise<IteratorReturnResult<unknown>> {
    await this.#reader.cancel(reason);
    return { done: true, value: undefined };
  }
}
