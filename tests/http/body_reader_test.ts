// Bodies whose reads meet what else happens on their connection: what was read ahead, the end of the
// exchange, and the requests behind them.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Exchange } from "../../http/exchange.ts";
import { HTTPError } from "../../http_context.ts";
import { fuzzBodies } from "./body_fuzz.ts";
import { ByHand, settled } from "./by_hand.ts";

const SECOND = 1_000;
const CHUNKED = "Transfer-Encoding: chunked";
const EXPECTING = "Content-Length: 6\r\nExpect: 100-continue";
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/** The head of a POST. */
function post(framing: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;
}

/** The bodies of the answers, which all have the status 200. */
function bodies(received: string): string[] {
  const [before, ...answers] = received.split(/HTTP\/1\.1 200 OK\r\n.*?\r\n\r\n/s);
  assertEquals(before, "");
  return answers;
}

/** Whether an answer announces the end of the connection. */
function saysClose(received: string): boolean {
  return received.includes("\r\nConnection: close\r\n");
}

/**
 * A server whose first request, a GET, is answered when it has read the head of a POST behind that, and reads
 * on: the first part of the POST's body is read ahead, whatever its handler does.
 */
async function readingAhead(
  answerPost: (exchange: Exchange) => unknown,
  contentLength: number,
): Promise<ByHand> {
  const goOn = Promise.withResolvers<void>();
  const server = new ByHand(async (exchange) => {
    if (exchange.request.method === "POST") return await answerPost(exchange);
    if (exchange.request.target === "/first") await goOn.promise;
    exchange.respond(200, exchange.request.target, []);
  });
  await server.send(NEXT.replace("next", "first"));
  // Behind a head that fills the buffer there is room for some thousand bytes.
  const padding = `\r\nX-Padding: ${"p".repeat(2_000)}`;
  await server.send(post(`Content-Length: ${contentLength}${padding}`));
  goOn.resolve();
  assertEquals(bodies(await server.received()), ["/first"]);
  return server;
}

for (const when of ["before", "after"] as const) {
  Deno.test(`A BYOB reader gets no byte of the next request when its first part was read ahead (${when} it asks)`, async () => {
    const ask = Promise.withResolvers<void>();
    const beyond: number[] = [];
    await using server = await readingAhead(async (exchange) => {
      await ask.promise;
      const reader = exchange.body.stream().getReader({ mode: "byob" });
      let text = "";
      for (;;) {
        const { done, value } = await reader.read(new Uint8Array(20));
        if (done) break;
        text += new TextDecoder().decode(value);
        beyond.push(...new Uint8Array(value.buffer).subarray(value.length));
      }
      exchange.respond(200, text, []);
    }, 10);
    if (when === "after") ask.resolve();
    await server.send("abcde");
    ask.resolve();
    await settled();
    await server.send(`fghij${NEXT}`);
    assertEquals(bodies(await server.received()), ["abcdefghij", "/next"]);
    assertEquals(beyond, new Array(30).fill(0));
  });

  Deno.test(`bodyTimeout counts what was read ahead of a body (${when} it is read)`, async () => {
    const ask = Promise.withResolvers<void>();
    await using server = await readingAhead(async (exchange) => {
      await ask.promise;
      exchange.respond(200, `${(await exchange.body.bytes()).length} bytes`, []);
    }, 5_000);
    if (when === "after") ask.resolve();
    await server.pass(SECOND);
    await server.send("x".repeat(4_000));
    ask.resolve();
    await server.pass(6 * SECOND);
    await server.send("x".repeat(1_000));
    assertEquals(bodies(await server.received()), ["5000 bytes"]);
  });
}

for (const when of ["with their head", "before they are read"]) {
  Deno.test(`Chunks of one byte that arrive ${when} reach their reader as few parts`, async () => {
    const arrived = Promise.withResolvers<void>();
    const parts: number[] = [];
    await using server = new ByHand(async (exchange) => {
      await arrived.promise;
      for await (const part of exchange.body.stream()) parts.push(part.length);
      exchange.respond(200, "read", []);
    });
    const head = post("Transfer-Encoding: chunked");
    const chunks = `${"1\r\na\r\n".repeat(1_000)}0\r\n\r\n`;
    for (const piece of when === "with their head" ? [head + chunks] : [head, chunks]) {
      await server.send(piece);
    }
    arrived.resolve();
    assertEquals(bodies(await server.received()), ["read"]);
    assertEquals(parts.reduce((sum, length) => sum + length), 1_000);
    assert(parts.length <= 10, `${parts.length} parts`);
  });
}

Deno.test("bodyTimeout counts what has come of a trailer that is not complete", async () => {
  await using server = new ByHand(async (exchange) => {
    exchange.respond(200, `${(await exchange.body.bytes()).length} bytes`, []);
  });
  await server.send(post("Transfer-Encoding: chunked") + "0\r\nX-Sum: ");
  for (let second = 0; second < 20; second++) {
    await server.send("7".repeat(300));
    await server.pass(SECOND);
  }
  await server.send("\r\n\r\n");
  assertEquals(bodies(await server.received()), ["0 bytes"]);
});

const BESIDE = "Cannot read the request body: another read is in progress; await it first";

Deno.test("RequestBody.readInto() beside another is refused, and the first gets what comes", async () => {
  const buffers = [new Uint8Array(20), new Uint8Array(20)];
  await using server = new ByHand(async (exchange) => {
    const [first, second] = buffers.map((buffer) => exchange.body.readInto(buffer));
    const why = await second.catch((error) => error.message);
    exchange.respond(200, `${await first} ${why}`, []);
  });
  await server.send(post("Content-Length: 5"));
  await server.send("abcde");
  assertEquals(bodies(await server.received()), [`5 ${BESIDE}`]);
  assertEquals(buffers.map((buffer) => buffer[0]), [0x61, 0]);
});

for (const [how, read] of [["bytes()", whole], ["a stream", streamed]] as const) {
  Deno.test(`RequestBody.readInto() keeps ${how} from reading beside it, not behind it`, async () => {
    await using server = new ByHand(async (exchange) => {
      const first = exchange.body.readInto(new Uint8Array(3));
      const why = await read(exchange).catch((error) => error.message);
      await first;
      exchange.respond(200, `${await read(exchange)} ${why}`, []);
    });
    await server.send(post("Content-Length: 5"));
    await server.send("abcde");
    assertEquals(bodies(await server.received()), [`de ${BESIDE}`]);
  });
}

async function whole({ body }: Exchange): Promise<string> {
  return new TextDecoder().decode(await body.bytes());
}

async function streamed({ body }: Exchange): Promise<string> {
  return await new Response(body.stream()).text();
}

Deno.test("RequestBody.readInto() that nobody awaits fails when its exchange is over", async () => {
  const failures: unknown[] = [];
  await using server = new ByHand((exchange) => {
    exchange.body.readInto(new Uint8Array(20)).catch((error) => failures.push(`${error}`));
    exchange.respond(200, "over", []);
  });
  await server.send(post("Content-Length: 5"));
  assertEquals(bodies(await server.received()), ["over"]);
  assertEquals(failures, [
    "TypeError: Cannot read the request body: the exchange is over; read it before the response ends",
  ]);
});

Deno.test("RequestBody.readInto() tells that its exchange is over while another one reads", async () => {
  const exchanges: Exchange[] = [];
  await using server = new ByHand(async (exchange) => {
    exchanges.push(exchange);
    const part = exchange.body.readInto(new Uint8Array(20));
    exchange.respond(200, `${await part}`, []);
  });
  await server.send(`${post("Content-Length: 1")}a${post("Content-Length: 1")}`);
  await assertRejects(
    () => exchanges[0].body.readInto(new Uint8Array(20)),
    TypeError,
    "the exchange is over",
  );
  await server.send("b");
  assertEquals(bodies(await server.received()), ["1", "1"]);
});

Deno.test("RequestBody.readInto() fails again when the body was too late before", async () => {
  const buffer = new Uint8Array(20);
  await using server = new ByHand(async (exchange) => {
    const reads = [];
    for (const view of [buffer, buffer.subarray(10)]) {
      reads.push(await exchange.body.readInto(view).catch((error) => error.status));
    }
    exchange.respond(200, reads.join(), []);
  });
  await server.send(post("Content-Length: 6"));
  await server.pass(31 * SECOND);
  assertEquals(bodies(await server.received()), ["408,408"]);
});

Deno.test("bodyTimeout does not count for a body whose stream was cancelled while it was waited for", async () => {
  await using server = new ByHand(async (exchange) => {
    const reader = exchange.body.stream().getReader();
    reader.read().catch(() => {});
    await settled();
    await reader.cancel();
    await new Promise<void>((resolve) => goOn = resolve);
    exchange.respond(200, "cancelled", []);
  });
  let goOn = (): void => {};
  await server.send(post("Content-Length: 5"));
  await server.pass(31 * SECOND);
  goOn();
  await settled();
  assertEquals(bodies(await server.received()), ["cancelled"]);
  assertEquals(server.counters.bodyTimeouts, 0);
});

Deno.test("RequestBody.readInto() that fails writes nothing into its buffer later", async () => {
  const buffer = new Uint8Array(20);
  await using server = new ByHand((exchange) => {
    exchange.body.readInto(buffer).catch(() => {});
    exchange.respond(200, "over", []);
  });
  await server.send(post("Content-Length: 5"));
  await server.send("abcde");
  assertEquals(bodies(await server.received()), ["over"]);
  assertEquals(buffer, new Uint8Array(20));
});

const ENDS: [why: string, headers: Record<string, string>, wait: number][] = [
  ["its handler has answered", { Connection: "close" }, 0],
  ["it came too late", {}, 31 * SECOND],
];

for (const [why, headers, wait] of ENDS) {
  Deno.test(`What comes of a body when ${why} does no harm, while the answer waits to be taken`, async () => {
    const answer = "a".repeat(200_000);
    await using server = new ByHand(async (exchange) => {
      const read = exchange.body.readInto(new Uint8Array(20)).catch(() => {});
      if (wait > 0) await read;
      exchange.respond(200, answer, headers);
    });
    await server.send(post("Content-Length: 5"));
    if (wait > 0) await server.pass(wait);
    for (const letter of "abc") await server.send(letter);
    const received = await server.received();
    assertEquals(bodies(received), [answer]);
  });
}

/** Ways to read a body that nobody awaits. */
const READS: [how: string, read: (exchange: Exchange) => Promise<unknown>][] = [
  ["bytes()", (exchange) => exchange.body.bytes()],
  ["a stream", (exchange) => exchange.body.stream().getReader().read()],
  [
    "a BYOB reader",
    (exchange) => exchange.body.stream().getReader({ mode: "byob" }).read(new Uint8Array(20)),
  ],
  ["readInto()", (exchange) => exchange.body.readInto(new Uint8Array(20))],
];

const FRAMINGS: [framing: string, parts: string[]][] = [
  ["Content-Length: 10", ["abcdefghij"]],
  ["Content-Length: 10", ["abcde", "fghij"]],
  [CHUNKED, ["a\r\nabcdefghij\r\n0\r\n\r\n"]],
  [CHUNKED, ["a\r\nabcde", "fghij\r\n0\r\n\r\n"]],
];

/** So many microtasks at most go by from when bytes come until one who reads a body has them. */
const TURNS = 40;

for (const [how, read] of READS) {
  for (const [framing, parts] of FRAMINGS) {
    Deno.test(
      `The next request is found behind ${
        JSON.stringify(parts)
      }, or not read, when its handler ends as ${how} gets it`,
      async () => {
        const outcomes = new Set<string>();
        for (let turns = 0; turns < TURNS; turns++) {
          const end = Promise.withResolvers<void>();
          await using server = new ByHand(async (exchange) => {
            if (exchange.request.method === "POST") {
              read(exchange).catch(() => {});
              await end.promise;
            }
            exchange.respond(200, exchange.request.target, []);
          });
          await server.send(post(framing));
          for (const part of parts.slice(0, -1)) await server.send(part);
          const sending = server.send(parts.at(-1) + NEXT);
          for (let turn = 0; turn < turns; turn++) await undefined;
          end.resolve();
          await sending;
          const received = await server.received();
          const closes = saysClose(received);
          assertEquals(bodies(received), closes ? ["/"] : ["/", "/next"], `after ${turns} turns`);
          outcomes.add(closes ? "ends" : "goes on");
        }
        assertEquals([...outcomes], ["ends", "goes on"]);
      },
    );
  }
}

/** Ways to answer, with or without reading the body. */
const ANSWERS: [how: string, isRead: boolean, answer: (exchange: Exchange) => unknown][] = [
  ["is answered whole", false, (exchange) => exchange.respond(200, "answer", [])],
  ["is answered by a stream", false, (exchange) => exchange.respond(200, parts(exchange, 0), [])],
  ["fails", false, () => {
    throw new HTTPError(401);
  }],
  ["is read in part", false, async (exchange) => {
    await exchange.body.readInto(new Uint8Array(1));
    exchange.respond(200, "answer", []);
  }],
  [
    "is read in part by the stream that answers it",
    false,
    (exchange) => exchange.respond(200, parts(exchange, 1), []),
  ],
  ["is read to its end", true, async (exchange) => {
    await exchange.body.bytes();
    exchange.respond(200, "answer", []);
  }],
  [
    "is read to its end by the stream that answers it",
    true,
    (exchange) => exchange.respond(200, parts(exchange, Infinity), []),
  ],
  ["is sent back", true, (exchange) => exchange.respond(200, exchange.body.stream(), [])],
];

/** A stream that reads up to `count` parts of the body. */
async function* parts(exchange: Exchange, count: number): AsyncGenerator<string> {
  for (let i = 0; i < count; i++) {
    if (await exchange.body.readInto(new Uint8Array(1)) === null) break;
  }
  yield "answer";
}

/** What has come of a body when its request is answered: in one read with the head, and in others. */
const ARRIVALS: [what: string, framing: string, parts: string[], rest: string][] = [
  ["no byte", "Content-Length: 6", [], "abcdef"],
  ["a part", "Content-Length: 6", ["abc"], "def"],
  ["a part (in a read of its own)", "Content-Length: 6", ["", "abc"], "def"],
  ["all but a byte (in two reads)", "Content-Length: 6", ["abc", "de"], "f"],
  ["all", "Content-Length: 6", ["abcdef"], ""],
  ["all (in a read of its own)", "Content-Length: 6", ["", "abcdef"], ""],
  ["all (in two reads)", "Content-Length: 6", ["abc", "def"], ""],
  ["all (without waiting for 100)", EXPECTING, ["abcdef"], ""],
  ["no chunk", CHUNKED, [], "3\r\nabc\r\n0\r\n\r\n"],
  ["a chunk", CHUNKED, ["3\r\nabc\r\n"], "0\r\n\r\n"],
  ["a chunk (in a read of its own)", CHUNKED, ["", "3\r\nabc\r\n"], "0\r\n\r\n"],
  ["every chunk but not the end", CHUNKED, ["3\r\nabc\r\n", "0\r\n"], "\r\n"],
  ["every chunk but not the trailers", CHUNKED, ["3\r\nabc\r\n0\r\nX-Sum: "], "7\r\n\r\n"],
  ["every chunk", CHUNKED, ["3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"], ""],
  ["every chunk (in a read of its own)", CHUNKED, ["", "3\r\nabc\r\n0\r\n\r\n"], ""],
  ["every chunk (the end in a read of its own)", CHUNKED, ["3\r\nabc\r\n", "0\r\n\r\n"], ""],
  [
    "every chunk (trailers in a read of their own)",
    CHUNKED,
    ["3\r\nabc\r\n0\r\n", "A: b\r\n\r\n"],
    "",
  ],
];

for (const [how, isRead, answer] of ANSWERS) {
  for (const [what, framing, [first = "", ...others], rest] of ARRIVALS) {
    // A reader waits for the first part.
    if (how.includes("in part") && first === "" && others.length === 0) continue;
    const goesOn = isRead || rest === "";
    const outcome = goesOn ? "goes on" : "ends";
    Deno.test(`The connection ${outcome} after a body of which ${what} has come, and that ${how}`, async () => {
      const goOn = Promise.withResolvers<void>();
      await using server = new ByHand(async (exchange) => {
        if (exchange.request.method === "GET") return exchange.respond(200, "next", []);
        await goOn.promise;
        await answer(exchange);
      });
      await server.send(post(framing) + first);
      for (const part of others) await server.send(part);
      goOn.resolve();
      await settled();
      if (isRead) await server.send(rest);
      await server.send((isRead ? "" : rest) + NEXT);
      const received = await server.received();
      assertEquals(received.split("HTTP/1.1 ").length - 1, goesOn ? 2 : 1);
      assertEquals(received.endsWith("next"), goesOn);
      const isAnnounced = !goesOn && !how.includes("by the stream that");
      assertEquals(saysClose(received), isAnnounced);
    });
  }
}

Deno.test("The connection goes on after each request of 3 KiB that comes at once, and whose body nobody reads", async () => {
  await using server = new ByHand((exchange) => exchange.respond(200, exchange.request.target, []));
  for (let i = 0; i < 3; i++) {
    await server.send(post("Content-Length: 3000") + "x".repeat(3_000));
    const received = await server.received();
    assertEquals([bodies(received), saysClose(received)], [["/"], false]);
  }
});

// What a stream reads of the body once all bytes of its declared length are sent may be the next request.
for (
  const [length, rest, goesOn] of [[6, "def", true], [7, "def", false], [100, NEXT, false]] as const
) {
  Deno.test(`The connection ${goesOn ? "goes on" : "ends"} after a body of ${length} bytes that a stream of declared length reads at its end`, async () => {
    await using server = new ByHand((exchange) => {
      if (exchange.request.method === "GET") return exchange.respond(200, "/next", []);
      async function* answer(): AsyncGenerator<string> {
        await exchange.body.readInto(new Uint8Array(3));
        if (goesOn) await exchange.body.readInto(new Uint8Array(3));
        yield "answer";
        while (await exchange.body.readInto(new Uint8Array(50)) !== null);
      }
      return exchange.respond(200, answer(), [["Content-Length", "6"]]);
    });
    await server.send(post(`Content-Length: ${length}`) + "abc");
    await server.send(rest);
    await server.send((goesOn ? "" : "g".repeat(length)) + NEXT);
    assertEquals(bodies(await server.received()), goesOn ? ["answer", "/next"] : ["answer"]);
  });
}

Deno.test("The connection ends after a body that a handler reads on after its stream has ended", async () => {
  await using server = new ByHand(async (exchange) => {
    await exchange.body.readInto(new Uint8Array(3));
    await exchange.respond(200, ReadableStream.from(["answer"]), []);
    await exchange.body.bytes();
  });
  await server.send(post("Content-Length: 100") + "abc");
  assertMatch(await server.received(), /answer\r\n0\r\n\r\n$/);
  await server.send(NEXT.repeat(9));
  assertEquals(await server.received(), "");
});

Deno.test("A body that has arrived can be read after its request is answered", async () => {
  for (const framing of ["Content-Length: 6", CHUNKED]) {
    const read: string[] = [];
    const goOn = Promise.withResolvers<void>();
    await using server = new ByHand(async (exchange) => {
      await goOn.promise;
      exchange.respond(200, exchange.request.target, []);
      await settled();
      if (exchange.request.method === "POST") read.push(await whole(exchange));
    });
    await server.send(post(framing));
    const body = framing === CHUNKED ? "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" : "abcdef";
    await server.send(body + NEXT);
    goOn.resolve();
    assertEquals(bodies(await server.received()), ["/", "/next"]);
    assertEquals(read, ["abcdef"]);
  }
});

// When a stream that answers a request reads the body of that: it can read all of it, but where it has not asked for it
// before its head, the connection ends.
const STREAMS: [when: string, reads: boolean[], closes: boolean][] = [
  ["never", [false, false], true],
  ["before its head", [true, false], false],
  ["after its head", [false, true], true],
];

for (const [when, [before, after], closes] of STREAMS) {
  Deno.test(`A stream that reads a large body ${when} ${closes ? "ends" : "keeps"} its connection`, async () => {
    const size = 200_000;
    await using server = new ByHand((exchange) => {
      if (exchange.request.method === "GET") return exchange.respond(200, "next", []);
      async function* answer(): AsyncGenerator<string> {
        if (before) yield String((await exchange.body.bytes()).length);
        yield ";";
        if (after) yield String((await exchange.body.bytes()).length);
      }
      return exchange.respond(200, answer(), []);
    });
    await server.send(post(`Content-Length: ${size}`) + "x".repeat(size) + (closes ? "" : NEXT));
    const answer = await server.received();
    assertEquals(saysClose(answer), closes);
    assertEquals(answer.includes(String(size)), before || after);
    assertEquals(answer.endsWith(closes ? "\r\n0\r\n\r\n" : "\r\nnext"), true);
  });
}

Deno.test("200 connections of pipelined bodies that are read in any way have each request answered", async () => {
  await fuzzBodies(200, 1);
});

// When the answer comes of a request whose body nobody reads.
for (const when of ["at once", "later"]) {
  Deno.test(`RequestBody has nothing of a body before it that was answered ${when} and not read`, async () => {
    const answered = Promise.withResolvers<void>();
    await using server = new ByHand(async (exchange) => {
      if (exchange.request.method === "GET") {
        return exchange.respond(200, `${(await exchange.body.bytes()).length} bytes`, []);
      }
      // What has come behind the body is read meanwhile.
      if (when === "later") { for (let turn = 0; turn < 3; turn++) await settled(); }
      exchange.respond(200, "unread", []);
      answered.resolve();
    });
    await server.send(`${post("Content-Length: 3")}abc`);
    await answered.promise;
    assertMatch(await server.received(), /unread$/);
    await server.send(NEXT);
    assertMatch(await server.received(), /0 bytes$/);
  });
}
