// The body of a web Response: which one can be sent, and whether its length is known.

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

// Where Deno keeps the body of a Response: of one made from text, the text, and of one made from what is
// at hand else, that. To look there saves the stream that `body` would make, a third of the time and most of
// the garbage of a small exchange of serve(). Where Deno changes it, responses are read as streams again.
interface Places {
  readonly text: symbol | undefined;
  readonly inner: symbol | undefined;
}
let places: Places | null = null;

/** Looked up for the first response: a server that sends none loads nothing of fetch for it. */
function findPlaces(): Places {
  const symbols = Object.getOwnPropertySymbols(new Response(""));
  const called = (name: string): symbol | undefined =>
    symbols.find(({ description }) => description === name);
  return { text: called("lazy static body"), inner: called("response") };
}

interface Kept {
  [symbol: symbol]: unknown;
}

/** Whether the body of `response` is at hand, so that to read it waits for nobody. */
function isAtHand(response: Response): boolean {
  const { text, inner: state } = places ??= findPlaces();
  const kept = response as unknown as Kept;
  if (text !== undefined && typeof kept[text] === "string") return true;
  if (state === undefined) return false;
  const inner = kept[state] as
    | { body?: { streamOrStatic?: { body?: unknown } } | null }
    | undefined;
  const body = inner?.body?.streamOrStatic?.body;
  return typeof body === "string" || body instanceof Uint8Array;
}

/** The bytes of a response's body where they are at hand, else a stream of it, as {@linkcode knownBody} gives it. */
export async function bodyOf(
  response: Response,
): Promise<Uint8Array | ReadableStream<Uint8Array> | null> {
  if (isAtHand(response)) return await response.bytes();
  return response.body === null ? null : await knownBody(response.body);
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

/**
 * Returns `value` if it is a `Response` that can be sent.
 *
 * @throws {TypeError} It is something else, or `Response.error()`, or its body was read or is being read.
 */
export function checkResponse(value: unknown): Response {
  const problem = problemOf(value);
  if (problem !== null) throw new TypeError(`Cannot send what the handler returned: ${problem}`);
  return value as Response;
}

function problemOf(value: unknown): string | null {
  if (!(value instanceof Response)) {
    return `expected a Response, got ${value === null ? "null" : typeof value}`;
  }
  if (value.type === "error") return "it is an error response, as Response.error() makes";
  // No constructor makes a 101.
  if (value.status === 101) {
    return "it is one of Deno.upgradeWebSocket(), which works with Deno.serve only: use ctx.upgrade()";
  }
  if (value.bodyUsed) return "the body of the Response was read before";
  if (!isAtHand(value) && value.body?.locked) {
    return "the body of the Response is locked to another reader";
  }
  return null;
}
