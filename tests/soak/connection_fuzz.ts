// The connection loop end to end, over a connection in memory that delivers fuzzed bytes in fuzzed pieces.
// Whatever comes, nothing escapes, the loop ends when the stream does, and what the server sends is what a
// client can read: as many answers as there were requests, or fewer.
//
//   deno run -A tests/soak/connection_fuzz.ts --runs 1000000 --seed 1

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import type { ServerOptions } from "../../http_context.ts";
import { ByHand, settled } from "../http/by_hand.ts";
import { type Input, readCorpus } from "../h11/fuzz.ts";
import { cut, mutated, request } from "../h11/generate.ts";
import { latin1, text } from "../h11/log.ts";
import { Random } from "../h11/random.ts";
import { argument } from "./process.ts";

type Handler = ConstructorParameters<typeof ByHand>[0];
type Exchange = Parameters<Handler>[0];

/** Small limits, so that short inputs reach them. */
const LIMITS: ServerOptions = {
  maxHeadSize: 300,
  maxTargetSize: 40,
  maxFields: 8,
  maxBodySize: 60,
};

/** What a handler may do with a request. */
const HANDLERS: ((exchange: Exchange) => unknown)[] = [
  (exchange) => exchange.respond(200, "a", []),
  async (exchange) => {
    await Promise.resolve();
    await exchange.respond(200, "", []);
  },
  async (exchange) => await exchange.respond(200, await exchange.body.bytes(), []),
  async (exchange) => {
    let size = 0;
    for await (const part of exchange.body.stream()) size += part.length;
    await exchange.respond(200, String(size), []);
  },
  // Answers, and reads after.
  async (exchange) => {
    exchange.respond(200, "first", []);
    await exchange.body.bytes();
  },
  // Reads a part, and leaves the rest.
  async (exchange) => {
    const reader = exchange.body.stream().getReader();
    await reader.read();
    reader.releaseLock();
    await exchange.respond(200, "part", []);
  },
  (exchange) => exchange.respond(200, ReadableStream.from(["a", "", "bc"]), []),
  (exchange) => exchange.respondWith(new Response("web", { status: 201 })),
  (exchange) => exchange.respond(204, null, []),
  (exchange) => {
    exchange.inform(103, { Link: "a" });
    exchange.respond(200, "late", { "Connection": "close" });
  },
  (exchange) => exchange.respond(200, failing(), []),
  upgrade,
  () => {
    throw new Error("thrown");
  },
  async () => await Promise.reject(new Error("rejected")),
];

/** What it may do with CONNECT. */
const TUNNEL_HANDLERS: typeof HANDLERS = [
  (exchange) => exchange.respond(501, "no tunnel", []),
  upgrade,
  () => {
    throw new Error("thrown");
  },
];

/** Takes the connection over, where the request asks for it, and says one word on it. */
async function upgrade(exchange: Exchange): Promise<void> {
  const { conn } = await exchange.upgrade([], false);
  await conn.write(latin1("raw"));
  conn.close();
}

async function* failing(): AsyncGenerator<string> {
  yield await Promise.resolve("a");
  throw new Error("the stream fails");
}

/** What a client must know of its request to read the answer. */
interface Asked {
  method: string;
  upgrade: string | null;
}

/** What one run came to. */
export interface Run {
  requests: number;
  answers: number;
}

/**
 * Has one connection served.
 *
 * @throws {Error} Something escaped, did not end, or was not well-formed.
 */
export async function serveOnce(message: string, random: Random): Promise<Run> {
  const asked: Asked[] = [];
  const server = new ByHand((exchange) => {
    const { method, headers } = exchange.request;
    // The first protocol of the list, as a client that asks for one would have it.
    const [upgrade = null] = headers.get("upgrade")?.match(/[^\s,]+/) ?? [];
    asked.push({ method, upgrade });
    return random.pick(method === "CONNECT" ? TUNNEL_HANDLERS : HANDLERS)(exchange);
  }, LIMITS);
  const received: Uint8Array[] = [];
  const reading = server.collect(received);
  try {
    for (const piece of cut(random, latin1(message))) {
      for (let at = 0; at < piece.length;) at += await server.client.write(piece.subarray(at));
      if (random.chance(0.3)) await settled();
    }
    const how = random.below(4);
    if (how === 0) server.client.reset();
    else await server.client.closeWrite();
  } catch {
    // The server has ended the connection.
  }
  await reading;
  for (let turn = 0; !server.hasEnded; turn++) {
    // What waits for the client gets all the time in the world; a linger takes a second at most.
    assert(turn < 100, "the loop does not end with its stream");
    await server.pass(60_000);
  }
  const answers = readAnswers(received, asked);
  const refused = Object.keys(server.counters.refused).length;
  const requests = asked.length + Math.min(1, refused);
  assert(answers <= requests, `${answers} answers to ${requests} requests`);
  server.client[Symbol.dispose]();
  return { requests, answers };
}

/** Reads answers as a client does. @returns How many final ones there are. */
function readAnswers(received: Uint8Array[], asked: Asked[]): number {
  let answers = 0;
  const bytes = received.flatMap((part) => [...part]);
  let rest = Uint8Array.from(bytes);
  while (rest.length > 0) {
    const { method, upgrade } = asked[answers] ?? { method: "GET", upgrade: null };
    const client = new h11.Connection(h11.CLIENT);
    const target = method === "CONNECT" ? "a:443" : "/";
    const headers: [string, string][] = [["Host", "a"]];
    if (upgrade !== null) headers.push(["Upgrade", upgrade], ["Connection", "upgrade"]);
    client.send(new h11.Request({ method, target, headers }));
    client.send(new h11.EndOfMessage());
    client.receiveData(rest);
    for (;;) {
      const event = client.nextEvent();
      // The end of the connection may cut an answer, never what comes before it.
      if (event === h11.NEED_DATA) return answers + 1;
      if (event === h11.PAUSED) {
        // Another protocol begins here, as far as the client stayed to read it.
        const rest = text(client.trailingData[0]);
        assert("raw".startsWith(rest), `${JSON.stringify(rest)} after another protocol began`);
        return answers + 1;
      }
      if (event.type === "EndOfMessage") break;
    }
    answers++;
    rest = client.trailingData[0].slice();
  }
  return answers;
}

/** Bytes for a connection: requests in a row, of which some are changed, or some of the corpus. */
function someBytes(random: Random, corpus: Input[]): string {
  return random.some(1, 4, () => {
    const message = random.chance(0.3) ? random.pick(corpus)[1] : request(random);
    return random.chance(0.4) ? mutated(random, message) : message;
  }).join("");
}

/** What is printed and rejected in the scope that uses this: there must be none of it. */
class Escapes implements Disposable {
  readonly found: string[] = [];
  readonly #original = console.error;
  readonly #onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    this.found.push(`unhandled rejection: ${event.reason}`);
  };

  constructor() {
    console.error = (...args: unknown[]): void => void this.found.push(args.map(String).join(" "));
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
  }

  [Symbol.dispose](): void {
    console.error = this.#original;
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
  }
}

/** Fuzzes `runs` connections; what fails can be had again with the seed that the error tells. */
export async function fuzzConnections(
  runs: number,
  seed: number,
  tell: (runs: number) => void = () => {},
): Promise<Run> {
  using escapes = new Escapes();
  const corpus = readCorpus().filter(([to]) => to === "SERVER");
  const total = { requests: 0, answers: 0 };
  for (let run = 0; run < runs; run++) {
    const random = new Random(seed + run);
    const message = someBytes(random, corpus);
    try {
      const { requests, answers } = await serveOnce(message, random);
      total.requests += requests;
      total.answers += answers;
      assertEquals(escapes.found, []);
    } catch (error) {
      throw new Error(`seed ${seed + run}: ${JSON.stringify(message)}`, { cause: error });
    }
    if ((run + 1) % 100_000 === 0) tell(run + 1);
  }
  await settled();
  assertEquals(escapes.found, []);
  return total;
}

if (import.meta.main) {
  const runs = argument("runs", 1_000_000), seed = argument("seed", 1);
  const start = performance.now();
  const seconds = (): string => ((performance.now() - start) / 1000).toFixed();
  const { requests, answers } = await fuzzConnections(runs, seed, (done) => {
    console.log(`${done} runs after ${seconds()} s`);
  });
  console.log(
    `${runs} runs from seed ${seed}: ${requests} requests, ${answers} answers, ${seconds()} s`,
  );
}
