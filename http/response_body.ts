// The body of a web Response or Request that is a stream: its chunks, and whether its length is known.

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
