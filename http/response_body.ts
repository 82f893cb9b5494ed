// The body of a response: what can be one, as bytes, and whether the length of one that is a stream is known.

import { COPY_MAX, OWN_COPY_MAX } from "./socket.ts";

/**
 * What a response's body can be made from. For a `Blob`, an `ArrayBuffer`, `URLSearchParams` or a `FormData`
 * return a `Response`.
 */
export type ResponseBody =
  | string
  | Uint8Array
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | null;

const encoder = new TextEncoder();

/** Text is encoded here that is copied from here when it is queued to be written. */
const scratch = new Uint8Array(OWN_COPY_MAX);
/** Text up to this length is not encoded before: a loop is faster than the call into TextEncoder (measured: 64 to 96). */
export const SHORT_TEXT = 64;

/** Whether `body`, whose text is short, is copied to where it is sent from. */
export function isSmall(body: ResponseBody): body is string | Uint8Array {
  return typeof body === "string" || (body instanceof Uint8Array && body.length <= COPY_MAX);
}

/** The bytes of `text`, which stay until the next call where they are not more than the socket copies. */
export function encode(text: string): Uint8Array {
  const { length } = text;
  // `encode()` takes several times as long.
  const bytes = length <= scratch.length ? scratch : new Uint8Array(length);
  const { read, written } = encoder.encodeInto(text, bytes);
  return read === length ? bytes.subarray(0, written) : encoder.encode(text);
}

/** The `Content-Type` of a body whose fields have none; null where it cannot be told. */
export function typeOf(body: ResponseBody): string | null {
  if (typeof body === "string") return "text/plain; charset=utf-8";
  return body instanceof Uint8Array ? "application/octet-stream" : null;
}

/** What cannot be sent is found out while it can still become a 500. */
export function checkBody(body: unknown): void {
  if (body === null || typeof body === "string" || body instanceof Uint8Array) return;
  if (typeof body !== "object" || !(Symbol.asyncIterator in body)) {
    throw new TypeError(
      `Cannot send a body of type ${typeof body}: must be a string, a Uint8Array, a ReadableStream, an ` +
        "async iterable or null; return a Response for others, as Response.json() makes it",
    );
  }
  if (body instanceof ReadableStream && body.locked) {
    throw new TypeError("Cannot send a ReadableStream that is locked: something else reads it");
  }
}

/** Tells the source of a body that nobody reads it, where it has one: who writes to it gets that as an error. */
export function discard(body: ResponseBody): void {
  if (body === null || typeof body === "string" || body instanceof Uint8Array) return;
  const reason = new DOMException("The body of the response is not sent", "AbortError");
  if (body instanceof ReadableStream) void body.cancel(reason).catch(ignore);
  else void Promise.try(() => body[Symbol.asyncIterator]().return?.()).catch(ignore);
}

/** Tells the producer of a response that it is not sent. */
export function discardResponse({ body, bodyUsed }: Response): void {
  if (!bodyUsed) discard(body);
}

/**
 * All bytes of `body` where it has them at hand, as that of `new Response("text")` does; else the chunks
 * of `body`. Either way `body` is locked from here on.
 *
 * It waits for nobody: while a producer has nothing yet, the head can go out. Known is what a stream gives
 * as its only chunk and closes with, without waiting itself: then the first `read()` and `closed` settle
 * within two turns of the microtasks, one in which the stream starts and one in which it pulls (Streams
 * 4.5.4, SetUpReadableStreamDefaultController).
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
 * The chunks of a stream, one when one is asked for. Unlike those of its own iterator, they can be given up
 * while one is waited for.
 */
export class Chunks<T> implements AsyncIterator<T, unknown>, AsyncIterable<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;
  #first: Promise<ReadableStreamReadResult<T>> | null;

  /** @param first What `reader` reads first, where it was asked already. */
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

  /** Cancels the stream. @param reason What its source is told. */
  async return(reason?: unknown): Promise<IteratorReturnResult<unknown>> {
    await this.#reader.cancel(reason);
    return { done: true, value: undefined };
  }
}
