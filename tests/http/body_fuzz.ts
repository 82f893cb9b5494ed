// Requests with bodies, sent one behind the other in pieces of any size, to handlers that read them in any
// way: whole, in part, not at all, or without waiting for it. Each reader gets the bytes of its own body and
// no others, and each request is answered, unless the connection ends before it: it may do so only with the
// answer to a request whose body had not all come.
//
//   deno run -A tests/http/body_fuzz.ts --runs 100000 --seed 1

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import type { Exchange } from "../../http/exchange.ts";
import type { RequestBody } from "../../http/request_body.ts";
import { Random } from "../h11/random.ts";
import { ByHand, settled } from "./by_hand.ts";
import { latin1 } from "./raw_client.ts";

/** Turns of the event loop in which all is answered that was sent. */
const TURNS_MAX = 50_000;
const BUFFER_MAX = 100_000;
const ZEROS = new Uint8Array(BUFFER_MAX);

/** A request, and how it is answered. */
interface Sent {
  id: number;
  body: Uint8Array;
  /** What its trailer says; null where it has none. */
  sum: string | null;
  message: Uint8Array;
  way: Way;
  /** Whether it was answered before its body was read to the end, or without that. */
  isEarly: boolean;
  /** Whether a stream answered it, which may begin before it is known whether all of the body comes. */
  isStreamed: boolean;
}

/** Reads one body, and sees that what comes is what was sent. */
class Reading {
  readonly random: Random;
  readonly exchange: Exchange;
  readonly sent: Sent;
  /** What was wrong with it. */
  readonly problems: string[];
  /** Bytes that were read. */
  at = 0;

  constructor(random: Random, exchange: Exchange, sent: Sent, problems: string[]) {
    this.random = random;
    this.exchange = exchange;
    this.sent = sent;
    this.problems = problems;
  }

  /** The body as its handler has it. */
  get body(): RequestBody {
    return this.exchange.body;
  }

  /** Takes what comes next. */
  take(part: Uint8Array): void {
    const expected = this.sent.body.subarray(this.at, this.at + part.length);
    if (!areEqual(part, expected)) {
      this.#tell(`wrong bytes from ${this.at}, ${part.length} of them`);
    }
    this.at += part.length;
  }

  /** Reads a part in one way or the other. @returns Whether there was one. */
  async part(): Promise<boolean> {
    if (this.random.chance(0.6)) return await this.partInPlace();
    const reader = this.body.stream().getReader();
    const { done, value } = await reader.read().finally(() => reader.releaseLock());
    if (!done) this.take(value);
    return !done;
  }

  /** Reads a part into a buffer of its own. @returns Whether there was one. */
  async partInPlace(): Promise<boolean> {
    const buffer = this.#someBuffer();
    const view = buffer.subarray(this.random.below(buffer.length));
    const reader = this.body.stream().getReader({ mode: "byob" });
    const { done, value } = await reader.read(view).finally(() => reader.releaseLock());
    if (done) return false;
    this.#takeFrom(new Uint8Array(value.buffer), value.byteOffset, value.length);
    return true;
  }

  /** Reads a part without a stream. @returns Whether there was one. */
  async partWithout(): Promise<boolean> {
    const buffer = this.#someBuffer();
    const count = await this.body.readInto(buffer);
    if (count === null) return false;
    this.#takeFrom(buffer, 0, count);
    return true;
  }

  #someBuffer(): Uint8Array<ArrayBuffer> {
    const most = this.random.pick([4, 100, 5_000, BUFFER_MAX]);
    return new Uint8Array(1 + this.random.below(most));
  }

  /** Takes what was read to `start` in a buffer of zeros, and sees that nothing stands behind it. */
  #takeFrom(buffer: Uint8Array, start: number, count: number): void {
    this.take(buffer.subarray(start, start + count));
    const after = buffer.subarray(start + count);
    if (!areEqual(after, ZEROS.subarray(0, after.length))) this.#tell("bytes behind what was read");
  }

  /** Reads a few parts, or none. */
  async someParts(): Promise<void> {
    for (let i = this.random.below(4); i > 0; i--) await this.part();
  }

  /** Reads to the end. */
  async allParts(): Promise<void> {
    while (await this.part());
  }

  /** Sees that all was read. */
  atEnd(): void {
    const { body, sum } = this.sent;
    if (this.at !== body.length) this.#tell(`${this.at} of ${body.length} bytes`);
    const told = this.body.trailers?.get("x-sum");
    if ((told ?? null) !== sum) this.#tell(`the trailer "${told}" for "${sum}"`);
  }

  /** Leaves a read alone, which may fail when the exchange is over. */
  leave(read: Promise<unknown>): void {
    read.catch((error) => {
      const isMeant = this.exchange.isOver && `${error}`.includes("the exchange is over");
      if (!isMeant) this.#tell(`a read failed with ${error}`);
    });
  }

  #tell(problem: string): void {
    const { id, way } = this.sent;
    this.problems.push(`${problem}, by ${way.name}() of request ${id}`);
  }
}

type Way = (reading: Reading) => unknown;

/** Ways to read all of a body. */
const WHOLE: Record<string, Way> = {
  bytes: async (reading) => {
    reading.take(await reading.body.bytes());
    reading.atEnd();
  },
  takeWhole: async (reading) => {
    reading.take(reading.body.takeWhole() ?? await reading.body.bytes());
    reading.atEnd();
  },
  stream: async (reading) => {
    for await (const part of reading.body.stream()) {
      reading.take(part);
      await pause(reading.random);
    }
    reading.atEnd();
  },
  parts: async (reading) => {
    while (await reading.part()) await pause(reading.random);
    reading.atEnd();
  },
  withoutStream: async (reading) => {
    while (await reading.partWithout()) await pause(reading.random);
    reading.atEnd();
  },
  withoutStreamAndOtherwise: async (reading) => {
    for (let i = reading.random.below(4); i > 0; i--) await reading.partWithout();
    if (reading.random.chance(0.5)) await reading.allParts();
    else reading.take(await reading.body.bytes());
    reading.atEnd();
  },
  partsAndBytes: async (reading) => {
    await reading.someParts();
    await pause(reading.random);
    reading.take(await reading.body.bytes());
    reading.atEnd();
  },
  givenUp: async (reading) => {
    const reader = reading.body.stream().getReader({ mode: "byob" });
    const givenUp = reader.read(new Uint8Array(1 + reading.random.below(1_000))).then(
      ({ value }) => reading.take(value!),
      () => {},
    );
    await pause(reading.random);
    reader.releaseLock();
    await givenUp;
    // As streams are specified, a default reader may wait for ever behind a BYOB reader that gave up.
    while (await reading.partInPlace());
    reading.atEnd();
  },
};

/** Ways to leave some of a body, or all of it. */
const IN_PART: Record<string, Way> = {
  nothing: () => {},
  someParts: (reading) => reading.someParts(),
  cancelled: async (reading) => {
    await reading.someParts();
    const reader = reading.body.stream().getReader();
    if (reading.random.chance(0.5)) void reader.read();
    await reader.cancel();
  },
  leftPart: (reading) => reading.leave(reading.part()),
  leftWithoutStream: (reading) => reading.leave(reading.partWithout()),
  leftParts: (reading) => reading.leave(reading.allParts()),
  leftBytes: (reading) => {
    reading.leave(reading.body.bytes().then((bytes) => reading.take(bytes)));
  },
  partsAndLeftBytes: async (reading) => {
    await reading.someParts();
    reading.leave(reading.body.bytes().then((bytes) => reading.take(bytes)));
  },
};

/** Answers with what was sent. */
const echo: Way = ({ exchange, body }) => exchange.respond(200, body.stream(), []);

/** Answers with the request's number, before or after the body is read, or with the body. */
async function answer(reading: Reading): Promise<void> {
  const { random, exchange, sent } = reading;
  const text = String(sent.id);
  sent.isStreamed = random.chance(0.2);
  const respond = (): void | Promise<void> =>
    exchange.respond(200, sent.isStreamed ? ReadableStream.from([text]) : text, []);
  const isFirst = random.chance(0.3) && sent.way !== echo;
  sent.isEarly ||= isFirst;
  await pause(random);
  if (sent.way === echo) return await echo(reading) as void;
  if (isFirst) await respond();
  await pause(random);
  await sent.way(reading);
  await pause(random);
  if (!isFirst) await respond();
  await pause(random);
}

/** Lets others go on: for some microtasks, for some turns of the event loop, or not at all. */
async function pause(random: Random): Promise<void> {
  const how = random.below(3);
  if (how === 0) return;
  for (let i = random.below(how === 1 ? 40 : 4); i > 0; i--) await (how === 1 ? null : settled());
}

/** A request with a body, or none. */
function someRequest(random: Random, id: number): Sent {
  const isWhole = random.chance(0.5);
  const way = isWhole
    ? random.pick([...Object.values(WHOLE), echo])
    : random.pick(Object.values(IN_PART));
  const most = random.chance(0.05) ? 300_000 : random.pick([0, 10, 100, 1_000, 5_000]);
  const body = new Uint8Array(random.below(most + 1));
  for (let at = 0; at < body.length; at++) body[at] = at * 7 + (at >> 8) + id * 31;
  const isChunked = random.chance(0.5);
  const sum = isChunked && random.chance(0.3) ? `sum ${id}` : null;
  const head = ["POST / HTTP/1.1", "Host: a"];
  if (random.chance(0.1)) head.push(`X-Padding: ${"p".repeat(random.below(6_000))}`);
  if (isWhole && random.chance(0.1)) head.push("Expect: 100-continue");
  if (isChunked) head.push("Transfer-Encoding: chunked");
  else if (body.length > 0 || random.chance(0.5)) head.push(`Content-Length: ${body.length}`);
  const parts: Uint8Array[] = [latin1(`${head.join("\r\n")}\r\n\r\n`)];
  if (isChunked) parts.push(...chunks(random, body, sum));
  else parts.push(body);
  const message = joined(parts);
  return { id, body, sum, message, way, isEarly: !isWhole, isStreamed: false };
}

/** A body in chunks, with its trailer. */
function* chunks(random: Random, body: Uint8Array, sum: string | null): Generator<Uint8Array> {
  const most = Math.max(random.pick([10, 1_000, 50_000]), body.length / 1_000);
  for (let at = 0; at < body.length;) {
    const data = body.subarray(at, at += 1 + random.below(most));
    yield latin1(`${data.length.toString(16)}\r\n`);
    yield data;
    yield latin1("\r\n");
  }
  yield latin1(`0\r\n${sum === null ? "" : `X-Sum: ${sum}\r\n`}\r\n`);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) {
    if (a[at] !== b[at]) return false;
  }
  return true;
}

/** Sends all, in pieces. */
async function send(server: ByHand, random: Random, messages: Uint8Array[]): Promise<void> {
  const bytes = joined(messages);
  const [least, most] = random.pick([[1, 20], [1, 1_000], [1, 70_000], [500, 5_000]]);
  const waits = random.pick([0, 0.2, 0.9]);
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(least, bytes.length / 2_000) + random.below(most);
    const piece = bytes.subarray(at, at += size);
    for (let sent = 0; sent < piece.length;) {
      sent += await server.client.write(piece.subarray(sent));
    }
    if (random.chance(waits)) await pause(random);
  }
}

/** Sees that `received` answers `requests`, up to one with which the connection may end. */
function checkAnswers(received: Uint8Array, requests: Sent[]): void {
  let isLast = false, mayEnd = false;
  for (const { id, body, way, isEarly, isStreamed } of requests) {
    if (isLast || (mayEnd && received.length === 0)) break;
    const client = new h11.Connection(h11.CLIENT);
    client.send(new h11.Request({ method: "POST", target: "/", headers: { Host: "a" } }));
    client.send(new h11.EndOfMessage());
    assert(received.length > 0, `no answer to request ${id}, by ${way.name}()`);
    client.receiveData(received);
    const parts: Uint8Array[] = [];
    for (let isComplete = false; !isComplete;) {
      const event = client.nextEvent();
      assert(typeof event !== "string", `no answer to request ${id}, by ${way.name}()`);
      if (event.type === "Response") {
        assertEquals(event.statusCode, 200, `request ${id}`);
        isLast = event.headers.get("connection") === "close";
        assert(isEarly || !isLast, `request ${id}, by ${way.name}(), ends the connection`);
      }
      if (event.type === "Data") parts.push(event.data);
      isComplete = event.type === "EndOfMessage";
    }
    const expected = way === echo ? body : latin1(String(id));
    assert(areEqual(joined(parts), expected), `another answer to request ${id}, by ${way.name}()`);
    received = client.trailingData[0];
    mayEnd = isEarly && isStreamed;
  }
  assertEquals(received.length, 0, "more than the answers");
}

/**
 * Has the requests of one connection answered.
 *
 * @throws {Error} A reader got what it should not, or a request was not answered.
 */
export async function converse(random: Random): Promise<void> {
  const requests = Array.from({ length: 2 + random.below(7) }, (_, id) => someRequest(random, id));
  const problems: string[] = [];
  let handled = 0;
  const server = new ByHand((exchange) =>
    answer(new Reading(random, exchange, requests[handled++], problems))
  );
  const received: Uint8Array[] = [];
  const receiving = server.collect(received).finally(() => server.client[Symbol.dispose]());
  const endsAtOnce = random.chance(0.5);
  let hasSent = false;
  send(server, random, requests.map(({ message }) => message)).then(() => hasSent = true, () => {});
  const until = async (isOver: () => boolean): Promise<void> => {
    for (let turn = 0; !isOver() && !server.hasEnded; turn++) {
      const { counters: { requests: answered } } = server;
      assert(turn < TURNS_MAX, `${answered} of ${requests.length} requests were answered`);
      await settled();
    }
  };
  await until(() => hasSent && (endsAtOnce || server.counters.requests === requests.length));
  if (!server.hasEnded) await server.client.closeWrite();
  await until(() => false);
  await receiving;
  assertEquals(problems, []);
  checkAnswers(joined(received), requests);
}

/** Has `runs` connections served; what fails can be had again with the seed that the error tells. */
export async function fuzzBodies(
  runs: number,
  seed: number,
  tell: (runs: number) => void = () => {},
): Promise<void> {
  for (let run = 0; run < runs; run++) {
    try {
      await converse(new Random(seed + run));
    } catch (error) {
      throw new Error(`seed ${seed + run}`, { cause: error });
    }
    if ((run + 1) % 1_000 === 0) tell(run + 1);
  }
}

if (import.meta.main) {
  const argument = (name: string, standard: number): number =>
    Number(Deno.args[Deno.args.indexOf(`--${name}`) + 1 || Deno.args.length] ?? standard);
  const start = performance.now();
  await fuzzBodies(argument("runs", 10_000), argument("seed", 1), (runs) => {
    console.log(`${runs} runs after ${((performance.now() - start) / 1000).toFixed()} s`);
  });
}
