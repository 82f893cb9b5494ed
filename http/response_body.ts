// The body of a web Response or Request that is a stream: whether its length is known.

/**
 * All bytes of `body` where it has them at hand, as that of `new Response("text")` does; else a stream of
 * what `body` has. Either way `body` is locked from here on.
 *
 * It waits for nobody: while a producer has nothing yet, the head can go out. Known is what a stream gives
 * as its only chunk and closes with, without waiting itself: then the first `read()` and `closed` settle
 * within two turns of the microtasks, one in which the stream starts and one in which it pulls (Streams
 * 4.5.4, SetUpReadableStreamDefaultController).
 */
export async function knownBody(
  body: ReadableStream<Uint8Array>,
): Promise<Uint8Array | ReadableStream<Uint8Array>> {
  const reader = body.getReader();
  const reading = reader.read();
  let first: ReadableStreamReadResult<Uint8Array> | null = null;
  let isClosed = false;
  reading.then((result) => first = result, ignore);
  reader.closed.then(() => isClosed = true, ignore);
  await null;
  await null;
  return isClosed && first !== null ? bytesOf(first) : rest(reader, reading);
}

const NO_BYTES = new Uint8Array(0);

function ignore(): void {}

function bytesOf({ value }: ReadableStreamReadResult<Uint8Array>): Uint8Array {
  return value ?? NO_BYTES;
}

/** The result of `reading`, and what `reader` reads after it; one chunk when one is asked for. */
function rest(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  reading: Promise<ReadableStreamReadResult<Uint8Array>>,
): ReadableStream<Uint8Array> {
  let next: Promise<ReadableStreamReadResult<Uint8Array>> | null = reading;
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const { value, done } = await (next ?? reader.read());
      next = null;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
