import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Chunks, knownBody } from "../../http/response_body.ts";
import { checkResponse } from "../../http/web_response.ts";

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A stream of these chunks, made by `type` of controller; `when` it is asked, or from the start. */
function stream(
  when: "start" | "pull",
  chunks: string[],
  type?: "bytes",
): ReadableStream<Uint8Array> {
  const feed = (
    controller: ReadableStreamDefaultController | ReadableByteStreamController,
  ): void => {
    for (const chunk of chunks) controller.enqueue(encode(chunk));
    controller.close();
  };
  return new ReadableStream({ [when]: feed, type } as UnderlyingByteSource);
}

const bodyOf = (body: BodyInit): ReadableStream<Uint8Array> => new Response(body).body!;

// Bodies that have all they are at hand.
const KNOWN: [what: string, body: () => ReadableStream<Uint8Array>, text: string][] = [
  ["a text", () => bodyOf("Hello, Jürgen!"), "Hello, Jürgen!"],
  ["an empty text", () => bodyOf(""), ""],
  ["bytes", () => bodyOf(encode("abc")), "abc"],
  ["JSON", () => Response.json({ a: 1 }).body!, '{"a":1}'],
  ["an encoded form", () => bodyOf(new URLSearchParams({ a: "b c" })), "a=b+c"],
  ["a Response's body in another Response", () => bodyOf(bodyOf("abc")), "abc"],
  ["a stream that ends with its first chunk", () => stream("start", ["abc"]), "abc"],
  ["a stream that ends when it is pulled", () => stream("pull", ["abc"]), "abc"],
  ["a byte stream that ends with its first chunk", () => stream("start", ["abc"], "bytes"), "abc"],
  ["a stream of nothing", () => stream("start", []), ""],
];

for (const [what, body, text] of KNOWN) {
  Deno.test(`knownBody() has the bytes of ${what}`, async () => {
    const known = await knownBody(body());
    assertEquals(known instanceof Uint8Array && decode(known), text);
  });
}

/** The chunks of a body that is not known. */
async function chunksOf(body: ReadableStream<Uint8Array>): Promise<Chunks<Uint8Array>> {
  const known = await knownBody(body);
  assertInstanceOf(known, Chunks);
  return known;
}

async function textOf(chunks: Chunks<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) text += decode(chunk);
  return text;
}

// Bodies that come as they come.
const STREAMED: [what: string, body: () => ReadableStream<Uint8Array>, text: string][] = [
  ["two chunks that are there", () => stream("start", ["a", "b"]), "ab"],
  ["what an iterable yields", () => ReadableStream.from([encode("a"), encode("b")]), "ab"],
  ["a Blob", () => bodyOf(new Blob(["abc"])), "abc"],
  ["a transformed stream", () => bodyOf("abc").pipeThrough(new TransformStream()), "abc"],
];

for (const [what, body, text] of STREAMED) {
  Deno.test(`knownBody() has the chunks of ${what}`, async () => {
    assertEquals(await textOf(await chunksOf(body())), text);
  });
}

Deno.test("knownBody() waits for no producer, and loses nothing of what comes later", async () => {
  let later: ReadableStreamDefaultController<Uint8Array>;
  const chunks = await chunksOf(
    new ReadableStream({ start: (controller) => void (later = controller) }),
  );
  later!.enqueue(encode("a"));
  later!.enqueue(encode("b"));
  later!.close();
  assertEquals(await textOf(chunks), "ab");
});

Deno.test("knownBody() asks for one chunk when one is asked for", async () => {
  let asked = 0;
  const chunks = await chunksOf(
    new ReadableStream({
      pull(controller): void {
        asked++;
        controller.enqueue(encode("a"));
      },
    }, { highWaterMark: 0 }),
  );
  assertEquals(asked, 1);
  await chunks.next();
  assertEquals(asked, 1);
  await chunks.next();
  assertEquals(asked, 2);
});

Deno.test("knownBody() hands a cancellation on while a chunk is waited for", async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const chunks = await chunksOf(new ReadableStream({ cancel: cancelled.resolve }));
  const reading = chunks.next();
  const reason = new Error("the client has left");
  await chunks.return(reason);
  assertStrictEquals(await cancelled.promise, reason);
  assertEquals((await reading).done, true);
});

Deno.test("knownBody() hands a failure on", async () => {
  const chunks = await chunksOf(
    new ReadableStream({
      start(controller): void {
        controller.error(new RangeError("no more"));
      },
    }),
  );
  await assertRejects(() => chunks.next(), RangeError, "no more");
});

const used = new Response("a");
await used.text();
const locked = new Response("a");
locked.body!.getReader();

const REFUSED: [what: string, value: unknown, message: string][] = [
  ["nothing", undefined, "expected a Response, got undefined"],
  ["null", null, "expected a Response, got null"],
  ["an object that looks like one", { status: 200, body: null }, "expected a Response, got object"],
  ["Response.error()", Response.error(), "it is an error response, such as Response.error()"],
  [
    "the Response of Deno.upgradeWebSocket()",
    Deno.upgradeWebSocket(
      new Request("http://a/", {
        headers: {
          Connection: "Upgrade",
          Upgrade: "websocket",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
          "Sec-WebSocket-Version": "13",
        },
      }),
    ).response,
    "it comes from Deno.upgradeWebSocket(), which only works with Deno.serve; " +
    "use upgradeWebSocket() of @tiny/listener/websocket in a handler of an HTTPListener",
  ],
  ["a Response that was read", used, "the body of the Response was already read"],
  [
    "a Response that is being read",
    locked,
    "the body of the Response is locked to another reader",
  ],
];

for (const [what, value, message] of REFUSED) {
  Deno.test(`checkResponse() refuses ${what}`, () => {
    assertEquals(
      assertThrows(() => checkResponse(value), TypeError).message,
      `Cannot send what the handler returned: ${message}`,
    );
  });
}

Deno.test("checkResponse() returns a Response that can be sent", () => {
  const response = new Response("a");
  assertStrictEquals(checkResponse(response), response);
});
