// Clients of every kind that keep account of each request: whether it was answered whole, byte for byte, and
// where it was not, whether the server has told so as HTTP has it. Each request has a number, which the
// server's log has too.

import { assert, assertEquals } from "@std/assert";
import { RawClient, type RawResponse } from "../http/raw_client.ts";

/** One request and the body that answers it. */
interface Numbered {
  sent: string;
  body: string | RegExp;
}

/** How a kind of client uses its connections. */
interface Kind {
  what: string;
  /** Requests that it sends at a time. */
  pipelined: number;
  /** Milliseconds that it is idle at most between two exchanges. */
  idle: number;
  make(number: number): Numbered;
}

const HOST = "Host: a\r\n";

function get(path: string, number: number, more = ""): string {
  return `GET ${path}?${number}- HTTP/1.1\r\n${HOST}${more}\r\n`;
}

function post(number: number, fields: string, body: string): string {
  return `POST /echo?${number}- HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
}

const hello = (number: number, more = ""): Numbered => ({
  sent: get(`/user/${number}`, number, more),
  body: `Hello, ${number}!`,
});

/** Text that no other request has, of some 50 KB. */
const long = (number: number): string => `${number},`.repeat(50_000 / (`${number},`.length));

const KINDS: readonly Kind[] = [
  { what: "keeps its connection", pipelined: 1, idle: 0, make: hello },
  { what: "pauses", pipelined: 1, idle: 20, make: hello },
  {
    what: "connects for each request",
    pipelined: 1,
    idle: 0,
    make: (number) => hello(number, "Connection: close\r\n"),
  },
  { what: "pipelines", pipelined: 8, idle: 20, make: hello },
  {
    what: "waits for a handler",
    pipelined: 1,
    idle: 0,
    make: (number) => ({ sent: get("/wait/30", number), body: "waited" }),
  },
  {
    what: "uploads",
    pipelined: 1,
    idle: 20,
    make: (number) => {
      const body = long(number);
      return { sent: post(number, `Content-Length: ${body.length}\r\n`, body), body };
    },
  },
  {
    what: "uploads in chunks",
    pipelined: 1,
    idle: 20,
    make: (number) => {
      const body = long(number);
      const chunks = body.match(/.{1,10000}/g)!.map((it) =>
        `${it.length.toString(16)}\r\n${it}\r\n`
      );
      const sent = post(number, "Transfer-Encoding: chunked\r\n", `${chunks.join("")}0\r\n\r\n`);
      return { sent, body };
    },
  },
  {
    what: "downloads",
    pipelined: 1,
    idle: 20,
    make: (number) => ({ sent: get("/large/100000", number), body: "a".repeat(100_000) }),
  },
  {
    what: "downloads chunks",
    pipelined: 1,
    idle: 20,
    make: (number) => ({ sent: get("/chunks/100000", number), body: "a".repeat(100_000) }),
  },
];

/** Its answers end when the server is stopped. */
const FOLLOWER: Kind = {
  what: "follows events",
  pipelined: 1,
  idle: 0,
  make: (number) => ({ sent: get("/events", number), body: /^(data: \d+\n\n)*data: bye\n\n$/ }),
};

/** What became of all requests. */
export interface Account {
  /** The numbers of those that were answered whole. */
  readonly answered: Set<number>;
  /** Of those that the server's close crossed on a connection that had been used. */
  readonly crossed: Set<number>;
  /** Of those whose connection ended before anything came over it. */
  readonly unheard: Set<number>;
  /** Of those behind an answer that said that it was the connection's last. */
  readonly behind: Set<number>;
  /** Connections that nobody accepted. */
  refused: number;
}

/** Clients at work until they are told to end. */
export class ExactLoad implements Account {
  readonly answered: Set<number> = new Set();
  readonly crossed: Set<number> = new Set();
  readonly unheard: Set<number> = new Set();
  readonly behind: Set<number> = new Set();
  refused = 0;
  readonly #port: number;
  readonly #followers: Promise<unknown>;
  readonly #others: Promise<unknown>;
  #number = 0;
  #isEnding = false;

  /** Starts `each` clients of each kind. */
  constructor(port: number, each: number) {
    this.#port = port;
    const start = (kinds: readonly Kind[]): Promise<unknown> => {
      const clients = kinds.flatMap((kind) => Array.from({ length: each }, () => this.#live(kind)));
      const done = Promise.all(clients);
      // Who waits for something else now is told later.
      done.catch(() => {});
      return done;
    };
    this.#others = start(KINDS);
    this.#followers = start([FOLLOWER]);
  }

  /** Begins no more requests, and waits for the answers under way, but for those without an end. */
  async calm(): Promise<void> {
    this.#isEnding = true;
    await this.#others;
  }

  /** Waits for all answers. @throws {Error} One of them was not what it should be. */
  async end(): Promise<void> {
    await this.calm();
    await this.#followers;
  }

  async #live(kind: Kind): Promise<void> {
    while (!this.#isEnding) {
      const client = await this.#connect();
      if (client === null) await pause(5);
      else await this.#converse(client, kind);
    }
  }

  async #connect(): Promise<RawClient | null> {
    try {
      return await RawClient.connect({ hostname: "127.0.0.1", port: this.#port });
    } catch (error) {
      if (!isGone(error)) throw error;
      this.refused++;
      return null;
    }
  }

  /** Uses one connection as long as it lasts. */
  async #converse(connection: RawClient, kind: Kind): Promise<void> {
    using client = connection;
    for (let isUsed = false; !this.#isEnding; isUsed = true) {
      // As clients do that keep connections, it looks whether the server has closed before it sends.
      const answers = client.answers();
      const isOpen = pause(1 + Math.random() * kind.idle).then(() => true);
      if (await Promise.race([answers, isOpen]) === false || this.#isEnding) return;
      const first = this.#number;
      this.#number += kind.pipelined;
      const requests = Array.from({ length: kind.pipelined }, (_, i) => kind.make(first + i));
      // Where the server is gone, its answers tell.
      const sent = client.send(requests.map((it) => it.sent).join("")).catch(ignoreGone);
      for (const [i, { body }] of requests.entries()) {
        if (!await (i === 0 ? answers : client.answers())) {
          const lost = isUsed || i > 0 ? this.crossed : this.unheard;
          for (let at = i; at < requests.length; at++) lost.add(first + at);
          return;
        }
        const response = await client.response();
        assertAnswer(response, body, `${kind.what}: number ${first + i}`);
        this.answered.add(first + i);
        if (new Map(response.headers).get("connection") === "close") {
          for (let at = i + 1; at < requests.length; at++) this.behind.add(first + at);
          await sent;
          assertEquals(await client.rest(), "", `${kind.what}: behind the last answer`);
          return;
        }
      }
      await sent;
    }
  }
}

function assertAnswer(response: RawResponse, body: string | RegExp, what: string): void {
  assertEquals(response.status, 200, `${what}: ${response.head}`);
  const isRight = typeof body === "string" ? response.body === body : body.test(response.body);
  assert(isRight, `${what}: ${response.body.length} bytes, ${response.body.slice(-100)}`);
}

/** Whether nobody is at the other end, or not any more. */
function isGone(error: unknown): boolean {
  const { BrokenPipe, ConnectionRefused, ConnectionReset } = Deno.errors;
  return error instanceof BrokenPipe || error instanceof ConnectionRefused ||
    error instanceof ConnectionReset;
}

function ignoreGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
