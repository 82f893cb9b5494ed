import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { GATHERED_MAX } from "../../http/socket.ts";
import { ByHand, settled } from "./by_hand.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

type Producer = () => ReadableStream<string> | AsyncIterable<string>;

async function* letters(): AsyncGenerator<string> {
  yield* "abcd";
}

function pulled(): ReadableStream<string> {
  const left = [..."abcd"];
  return new ReadableStream({
    pull(controller): void {
      controller.enqueue(left.shift()!);
      if (left.length === 0) controller.close();
    },
  });
}

const AT_HAND: [what: string, make: Producer][] = [
  ["an async generator", letters],
  ["a generator", () => ReadableStream.from([..."abcd"])],
  ["a ReadableStream", pulled],
  ["a ReadableStream behind a transformer", () => pulled().pipeThrough(new TransformStream())],
];

for (const [what, make] of AT_HAND) {
  Deno.test(`Connection writes what ${what} has at hand in one write`, async () => {
    let writes = 0;
    // On a machine that does something else for long meanwhile, what there is goes out before.
    for (let attempt = 0; writes !== 1 && attempt < 10; attempt++) {
      await using server = new ByHand((exchange) => exchange.respond(200, make(), []));
      await server.send(GET);
      writes = server.conn.writes;
      if (writes !== 1) continue;
      const parts = [..."abcd"].map((letter) => `1\r\n${letter}\r\n`).join("");
      assert((await server.received()).endsWith(`\r\n\r\n${parts}0\r\n\r\n`));
    }
    assertEquals(writes, 1);
  });
}

Deno.test("Connection sends what there is of a stream while its producer waits", async () => {
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  await using server = new ByHand((exchange) => {
    async function* late(): AsyncGenerator<string> {
      for (const [i, gate] of gates.entries()) {
        await gate.promise;
        yield `${i}`;
      }
    }
    return exchange.respond(200, late(), []);
  });
  await server.send(GET);
  assertStringIncludes(await server.received(), "HTTP/1.1 200 OK\r\n");
  for (const [i, gate] of gates.entries()) {
    gate.resolve();
    const end = i === 2 ? "0\r\n\r\n" : "";
    assertEquals(await server.received(), `1\r\n${i}\r\n${end}`);
  }
});

Deno.test("Connection sends what there is of a stream before its producer has worked for long", async () => {
  const sent = Promise.withResolvers<void>();
  await using server = new ByHand(async (exchange) => {
    async function* busy(): AsyncGenerator<string> {
      for (const letter of "abc") {
        for (const end = performance.now() + 60; performance.now() < end;);
        yield letter;
      }
    }
    await exchange.respond(200, busy(), []);
    sent.resolve();
  });
  await server.send(GET);
  await sent.promise;
  assert(server.conn.writes >= 3, `${server.conn.writes} writes`);
});

Deno.test("Connection lets others go on while a producer has all at hand and the client takes it at once", async () => {
  let haveOthersGoneOn = false;
  let isInTime = false;
  async function* endless(): AsyncGenerator<string> {
    for (const end = performance.now() + 1_000; !isInTime && performance.now() < end;) {
      yield "a";
      isInTime = haveOthersGoneOn;
    }
  }
  await using server = new ByHand((exchange) => {
    setTimeout(() => haveOthersGoneOn = true);
    return exchange.respond(200, endless(), { Connection: "close" });
  });
  const taken = (async () => {
    for (const area = new Uint8Array(64 * 1024); await server.client.read(area) !== null;);
  })();
  await server.send(GET);
  await taken;
  assert(isInTime);
});

Deno.test("Connection asks no producer for parts whose client has reset the connection before", async () => {
  const left = Promise.withResolvers<void>();
  let asked = 0;
  const outcome = Promise.withResolvers<unknown>();
  await using server = new ByHand(async (exchange) => {
    exchange.inform(103, [["Link", "</style.css>"]]);
    await left.promise;
    async function* counting(): AsyncGenerator<string> {
      for (;;) yield `${asked++}`;
    }
    const sent = Promise.resolve(exchange.respond(200, counting(), []));
    outcome.resolve(await sent.catch((error: unknown) => error));
  });
  await server.send(GET);
  // A close with bytes that were not read is a reset.
  server.client[Symbol.dispose]();
  await settled();
  left.resolve();
  assertInstanceOf(await outcome.promise, Error);
  assertEquals(asked, 0);
});

Deno.test("Connection sends the parts that came before their producer failed", async () => {
  await using server = new ByHand(async (exchange) => {
    async function* failing(): AsyncGenerator<string> {
      yield* "ab";
      throw new Error("no more");
    }
    await exchange.respond(200, failing(), []);
  });
  await server.send(GET);
  assert((await server.received()).endsWith("1\r\na\r\n1\r\nb\r\n"));
});

for (const [part, type] of [[5, "number"], [null, "null"], [[97], "object"]]) {
  Deno.test(`Connection refuses the part ${JSON.stringify(part)} of a body, which stays without its end`, async () => {
    const outcome = Promise.withResolvers<unknown>();
    await using server = new ByHand((exchange) => {
      async function* wrong(): AsyncGenerator<string> {
        yield "a";
        yield part as string;
      }
      return Promise.resolve(exchange.respond(200, wrong(), [])).catch(outcome.resolve);
    });
    await server.send(GET);
    assertEquals(
      String(await outcome.promise),
      `TypeError: Cannot send a part of type ${type}: must be a string or a Uint8Array`,
    );
    assert((await server.received()).endsWith("\r\n\r\n1\r\na\r\n"));
  });
}

const SIZES: [size: number, what: string][] = [
  [16, "16 bytes"],
  [64 * 1024, "64 KiB"],
  [GATHERED_MAX, "as many bytes as are put together at most"],
  [GATHERED_MAX + 1, "more bytes than are put together"],
];

for (const [size, what] of SIZES) {
  Deno.test(`a producer may use its array of ${what} again when it is asked for more`, async () => {
    await using server = new ByHand((exchange) => {
      const array = new Uint8Array(size);
      async function* again(): AsyncGenerator<Uint8Array> {
        for (const letter of "abcdef") yield array.fill(letter.charCodeAt(0));
      }
      return exchange.respond(200, again(), []);
    });
    await server.send(GET);
    let received = "";
    while (!received.endsWith("0\r\n\r\n")) {
      received += await server.received();
      await settled();
    }
    const body = received.slice(received.indexOf("\r\n\r\n") + 4);
    const chunks = [..."abcdef"].map((letter) => {
      return `${size.toString(16)}\r\n${letter.repeat(size)}\r\n`;
    });
    assert(body === `${chunks.join("")}0\r\n\r\n`);
  });
}
