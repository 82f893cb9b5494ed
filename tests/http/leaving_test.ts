import { assert, assertEquals, assertThrows } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import type { Exchange } from "../../http/exchange.ts";
import type { HTTPContext, HTTPListener, ServerOptions } from "../../http_context.ts";
import type { AnyEvent } from "../../listener.ts";
import { Clock, TICK } from "../../http/clock.ts";
import { MemoryConn } from "../../http/memory_conn.ts";
import { Socket } from "../../http/socket.ts";
import { test } from "../needs.ts";
import { ByHand, settled } from "./by_hand.ts";
import { latin1, RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/** An app whose handler works until its signal is aborted, or `finish()` is called. */
class Working implements AsyncDisposable {
  readonly asked: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly aborted: PromiseWithResolvers<unknown> = Promise.withResolvers();
  readonly #finished = Promise.withResolvers<void>();
  /** The signal of the handler that was called last. */
  signal: AbortSignal | null = null;
  #app: HTTPListener | null = null;

  async start(options: ServerOptions = {}): Promise<this> {
    this.#app = await serving((app) => {
      app.onEvent(async ({ ctx, signal }) => {
        this.signal = signal;
        signal.addEventListener("abort", () => {
          this.aborted.resolve(signal.reason);
          this.finish();
        });
        if (ctx.method === "POST" && ctx.path !== "/unread") await ctx.text();
        this.asked.resolve();
        await this.#finished.promise;
        ctx.response(200, "finished");
      });
    }, options);
    return this;
  }

  get app(): HTTPListener {
    return this.#app!;
  }

  /** Lets the handler answer. */
  finish(): void {
    this.#finished.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    await this.app.stop();
  }
}

// What a client has sent when it leaves.
const REQUESTS: [what: string, sent: string][] = [
  ["a request", GET],
  ["a request with a body", POST],
  ["a request whose body nobody reads", POST.replace("/", "/unread")],
  ["a request of whose body nobody reads what came", POST.replace("/", "/unread").slice(0, -1)],
  [
    "a request to upgrade whose body nobody reads",
    POST.replace("/", "/unread").replace(
      "\r\n\r\n",
      "\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ),
  ],
  [
    "a request whose body nobody reads, in chunks",
    "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n",
  ],
  [
    "a request whose body it was not asked for",
    POST.replace("/", "/unread").replace("abc", "").replace(
      "\r\n\r\n",
      "\r\nExpect: 100-continue\r\n\r\n",
    ),
  ],
  ["a request with Connection: close", GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")],
  ["a request of HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"],
  ["a request and the next one", GET + GET],
  ["a request and a part of the next one", GET + GET.slice(0, 9)],
];

for (const [what, sent] of REQUESTS) {
  test(`event.signal aborts when a client leaves after ${what}`, NET, async () => {
    using errors = new ErrorLog();
    await using working = await new Working().start();
    using client = await RawClient.connect(working.app.addr);
    await client.send(sent);
    await working.asked.promise;
    assertEquals(working.signal!.aborted, false);
    client[Symbol.dispose]();
    assertEquals(String(await working.aborted.promise), "AbortError: The client has disconnected");
    assertEquals(errors.entries, []);
  });
}

test("event.signal aborts when a client resets the connection", NET, async () => {
  await using working = await new Working().start();
  const { hostname, port } = working.app.addr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(
    latin1("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"),
  );
  // A close with bytes that were not read, those of the 100 (Continue), is a reset.
  await conn.read(new Uint8Array(1));
  await conn.write(latin1("abc"));
  await working.asked.promise;
  conn.close();
  assertEquals(String(await working.aborted.promise), "AbortError: The client has disconnected");
});

test(
  "event.signal aborts when a client half-closes, and it still gets its answers",
  NET,
  async () => {
    await using working = await new Working().start();
    using client = await RawClient.connect(working.app.addr);
    await client.send(GET);
    await working.asked.promise;
    await client.closeWrite();
    assertEquals(String(await working.aborted.promise), "AbortError: The client has disconnected");
    assertEquals((await client.response()).body, "finished");
    assertEquals(await client.rest(), "");
  },
);

// What a handler fails with that hands its signal on.
const ENDED: [what: string, work: (signal: AbortSignal) => Promise<unknown>][] = [
  ["the reason of its signal", (signal) => {
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }],
  ["an AbortError of what it waits for", (signal) => delay(60_000, null, { signal })],
  ["no answer", (signal) => {
    return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }],
];

for (const [what, work] of ENDED) {
  test(`a handler that ends with ${what} when its client has left is not logged`, NET, async () => {
    using errors = new ErrorLog();
    const asked = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.aroundRequest((_, next) => Promise.resolve(next()).finally(over.resolve));
      app.onEvent(({ signal }) => {
        asked.resolve();
        return work(signal);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await asked.promise;
    client[Symbol.dispose]();
    await over.promise;
    assertEquals(errors.entries, []);
  });
}

test(
  "a client that leaves is noticed where its body was cancelled while it came",
  NET,
  async () => {
    const cancelled = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<unknown>();
    await using app = await serving((app) => {
      app.onEvent(async ({ ctx, signal }) => {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        const reader = ctx.body.getReader();
        const parts = [reader.read(), reader.read()];
        // By then the socket is read for it.
        await settled();
        await reader.cancel();
        await Promise.all(parts);
        cancelled.resolve();
        await aborted.promise;
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(POST.slice(0, -1));
    await cancelled.promise;
    client[Symbol.dispose]();
    assertEquals(String(await aborted.promise), "AbortError: The client has disconnected");
  },
);

// How a handler ends as its client leaves.
const STOPPED: [what: string, end: (signal: AbortSignal) => Promise<unknown>][] = [
  ["ends by its signal", (signal) => delay(60_000, null, { signal })],
  ["ends without a response", (signal) => new Promise((end) => signal.onabort = end)],
];
for (const [what, end] of STOPPED) {
  test(
    `a handler that ${what}, as its client left, is answered and logged with 499`,
    NET,
    async () => {
      using errors = new ErrorLog();
      const logged = Promise.withResolvers<number>();
      await using app = await serving((app) => {
        app.onEvent(({ signal }) => end(signal).then(() => {}));
      }, { accessLog: ({ status }) => logged.resolve(status) });
      using client = await RawClient.connect(app.addr);
      await client.send(GET);
      await client.closeWrite();
      assertEquals((await client.response()).status, 499);
      assertEquals(await logged.promise, 499);
      assertEquals(errors.entries, []);
    },
  );
}

test("a stream that fails is logged where its handler ends by its signal", NET, async () => {
  using errors = new ErrorLog();
  const app = await serving((app) => {
    app.onEvent(async ({ ctx, signal }) => {
      const sending = ctx.response(200, new ReadableStream({ start: (it) => it.error("broken") }));
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      await sending;
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.rest();
  await app.stop();
  assertEquals(errors.entries, ['Cannot answer "GET /": broken']);
});

test(
  "a handler that ends with an AbortError while its client is there is logged",
  NET,
  async () => {
    using errors = new ErrorLog();
    await using app = await serving((app) => {
      app.onEvent(() => delay(60_000, null, { signal: AbortSignal.abort() }));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    assertEquals((await client.response()).status, 500);
    assertEquals(errors.entries.length, 1);
  },
);

/** A stream that gives one part, and no more. */
function quiet(cancel: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (it) => it.enqueue(latin1("a")), cancel });
}

// Ways to answer with such a stream.
const EVENTS = { "Content-Type": "text/event-stream" };
const QUIET: [what: string, answer: (ctx: HTTPContext, body: ReadableStream) => unknown][] = [
  ["ctx.response()", (ctx, body) => ctx.response(200, body, EVENTS)],
  ["a Response", (_, body) => new Response(body, { headers: EVENTS })],
  [
    "a Response that comes later",
    async (_, body) => new Response(await Promise.resolve(body), { headers: EVENTS }),
  ],
];

for (const [what, answer] of QUIET) {
  test(`a stream of ${what} is told that its client has left`, NET, async () => {
    const aborted = Promise.withResolvers<unknown>();
    const cancelled = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx, signal }) => {
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        return answer(ctx, quiet(cancelled.resolve));
      });
    }, { idleTimeout: 1 });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await client.until("a\r\n");
    client[Symbol.dispose]();
    assertEquals(String(await aborted.promise), "AbortError: The client has disconnected");
    await cancelled.promise;
  });

  test(`a stream of events of ${what} is told that the server stops`, NET, async () => {
    const aborted = Promise.withResolvers<unknown>();
    const app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx, signal }) => {
        const body = quiet(() => {});
        signal.addEventListener("abort", () => aborted.resolve(signal.reason));
        return answer(ctx, body);
      });
    }, { shutdownGrace: 0 });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await client.until("a\r\n");
    await app.stop();
    assertEquals(String(await aborted.promise), "AbortError: The server is stopping");
  });
}

// How the upload of a client comes to an early end, and whether the client has left by then.
const EARLY_ENDS: [what: string, end: (client: RawClient) => unknown, hasLeft: boolean][] = [
  ["closes", async (client) => {
    await client.until("\r\n\r\n");
    client[Symbol.dispose]();
  }, true],
  // What it has not read makes it a reset.
  ["resets", (client) => client[Symbol.dispose](), true],
  ["sends no more", (client) => client.closeWrite(), true],
  ["sends what is no chunk", (client) => client.send("nonsense\r\n"), false],
];
const READS: [method: string, read: (ctx: HTTPContext) => Promise<unknown>][] = [
  ["read()", (ctx) => ctx.read(new Uint8Array(10))],
  ["bytes()", (ctx) => ctx.bytes()],
  ["body", (ctx) => ctx.body.getReader({ mode: "byob" }).read(new Uint8Array(10))],
  ["request.text()", (ctx) => ctx.request.text()],
];

for (const [method, read] of READS) {
  for (const [what, end, hasLeft] of EARLY_ENDS) {
    test(
      `event.signal tells whether a client has left that ${what} while ${method} waits`,
      NET,
      async () => {
        const asked = Promise.withResolvers<void>();
        const failed = Promise.withResolvers<string>();
        await using app = await serving((app) => {
          app.onEvent("POST:/", async ({ ctx, signal }) => {
            ctx.informational(103, { Link: "</a>" });
            try {
              const reading = read(ctx);
              asked.resolve();
              await reading;
            } catch (error) {
              failed.resolve(signal.aborted ? String(signal.reason) : String(error));
              throw error;
            }
          });
        });
        using client = await RawClient.connect(app.addr);
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        await asked.promise;
        await end(client);
        assertEquals(
          await failed.promise,
          hasLeft ? "AbortError: The client has disconnected" : "HTTPError: Bad Request",
        );
      },
    );
  }
}

test("who writes to the stream of a client that has left gets that as the error", NET, async () => {
  const failed = Promise.withResolvers<unknown>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writable.getWriter();
      const write = (): Promise<unknown> => writer.write(latin1("a")).then(write, failed.resolve);
      void write();
      return ctx.response(200, readable);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.until("a\r\n");
  client[Symbol.dispose]();
  // What is found out first depends on when: that a write fails, or that the connection has ended.
  assertEquals((await failed.promise as Error).name, "ConnectionLost");
});

test(
  "a quiet stream is cancelled when its client has left, also where there is no idleTimeout",
  NET,
  async () => {
    const cancelled = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, quiet(cancelled.resolve)));
    }, { idleTimeout: 0 });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await client.until("a\r\n");
    client[Symbol.dispose]();
    await cancelled.promise;
  },
);

test("a stream that begins late is sent whole to a client that only half-closed", NET, async () => {
  const go = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      await go.promise;
      return ctx.response(200, ReadableStream.from(["a", "b"]));
    });
  }, { idleTimeout: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.closeWrite();
  // Longer than a look at the clock, and the idle time.
  await new Promise((resolve) => setTimeout(resolve, 2 * TICK + 10));
  go.resolve();
  assertEquals((await client.response()).body, "ab");
});

// What a client that sends no more is given, and whether it takes that at once.
const SLOW: [what: string, part: string, isTaken: boolean][] = [
  ["gives something now and then", "a", true],
  ["waits until its client takes what it gave", "a".repeat(512 * 1024), false],
];
for (const [what, part, isTaken] of SLOW) {
  Deno.test(`a stream that ${what} goes on for a client that only half-closed`, async () => {
    let controller: ReadableStreamDefaultController<string>;
    const body = new ReadableStream<string>({ start: (it) => void (controller = it) });
    await using server = new ByHand((exchange) => exchange.respond(200, body, []));
    await server.send(GET);
    await server.client.closeWrite();
    let received = "";
    // Each time shorter than a stream may be quiet, all together longer.
    for (let i = 0; i < 4; i++) {
      if (isTaken || i === 0) controller!.enqueue(part);
      await server.pass(4_000);
      if (isTaken) received += await server.received();
    }
    controller!.close();
    received += await server.received();
    assert(received.endsWith("0\r\n\r\n"));
  });
}

Deno.test("Connection that its client has reset is over, though its handler goes on", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(() => goOn.promise);
  await server.send(GET);
  server.client.reset();
  await settled();
  assert(server.hasEnded);
  // It is closed already.
  assertThrows(() => server.conn.close(), Deno.errors.BadResource);
  goOn.resolve();
});

Deno.test("event.signal aborts when a write notices before a read that the client has left", async () => {
  const aborted = Promise.withResolvers<unknown>();
  await using server = new ByHand((exchange) => {
    exchange.event = { abort: aborted.resolve } as unknown as AnyEvent;
    return exchange.respond(200, quiet(() => {}), []);
  });
  server.conn.write = () => Promise.reject(new Deno.errors.BrokenPipe());
  await server.send(GET);
  assertEquals(String(await aborted.promise), "AbortError: The client has disconnected");
});

test("a stream is cancelled when the server ends its connection", NET, async () => {
  using _errors = new ErrorLog();
  const cancelled = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, quiet(cancelled.resolve)));
  }, { handlerTimeout: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await cancelled.promise;
});

test("a stream is cancelled when the reader of app.fetch() leaves", NET, async () => {
  const cancelled = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, quiet(cancelled.resolve)));
  });
  const { body } = await app.fetch("/");
  const reader = body!.getReader();
  await reader.read();
  await reader.cancel();
  await cancelled.promise;
  await settled();
  assertEquals(app.ctxs.size, 0);
});

// How a handler comes to its end.
const ENDS: [what: string, handler: (ctx: HTTPContext) => unknown][] = [
  ["has answered", (ctx) => ctx.response(200, "a")],
  ["has answered after a while", async (ctx) => ctx.response(200, await Promise.resolve("a"))],
  ["has sent a stream", (ctx) => ctx.response(200, ReadableStream.from(["a"]))],
  ["has returned a Response", () => new Response("a")],
  ["has thrown", (ctx) => ctx.throw404()],
];

for (const [what, handler] of ENDS) {
  test(`event.signal stays as it is once a handler ${what}`, NET, async () => {
    const signals: AbortSignal[] = [];
    const app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx, signal }) => {
        signals.push(signal);
        return handler(ctx);
      });
    });
    using staying = await RawClient.connect(app.addr);
    using leaving = await RawClient.connect(app.addr);
    for (const client of [staying, leaving]) {
      await client.send(GET);
      await client.response();
    }
    leaving[Symbol.dispose]();
    await app.stop();
    assertEquals(signals.map((signal) => signal.aborted), [false, false]);
  });
}

test("stop() resolves after the grace though a handler never ends", NET, async () => {
  const asked = Promise.withResolvers<void>();
  const app = await serving((app) => {
    app.onEvent("GET:/", () => {
      asked.resolve();
      return new Promise(() => {});
    });
  }, { shutdownGrace: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await asked.promise;
  await app.stop();
  assertEquals(await client.gone(), "");
});

/** Answers with the target: at once, or for "/slow" when `goOn` resolves. */
function targets(goOn: Promise<void> = Promise.resolve()): (exchange: Exchange) => unknown {
  return (exchange) => {
    const answer = (): unknown => exchange.respond(200, exchange.request.target, []);
    return exchange.request.target === "/slow" ? goOn.then(answer) : answer();
  };
}

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** The bodies in what was received, in their order. */
function bodies(received: string): string[] {
  return Array.from(received.matchAll(/\r\n\r\n(\/[a-z0-9]+)/g), ([, body]) => body);
}

Deno.test("Connection answers requests that came during a slow handler, in order", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(targets(goOn.promise));
  for (const target of ["/slow", "/2", "/3", "/slow", "/5"]) await server.send(get(target));
  assertEquals(await server.received(), "");
  goOn.resolve();
  assertEquals(bodies(await server.received()), ["/slow", "/2", "/3", "/slow", "/5"]);
});

Deno.test("Connection writes answers that are ready together in one write", async () => {
  await using server = new ByHand(targets());
  // As many as one read of an idle connection brings.
  await server.send(get("/a").repeat(30));
  assertEquals(server.conn.writes, 1);
  assertEquals(bodies(await server.received()).length, 30);
});

/** How many writes an answer takes that is sent with its head where it can be. */
async function writesOfLarge(): Promise<number> {
  await using server = new ByHand((exchange) => {
    return exchange.respond(200, new Uint8Array(32 * 1024), []);
  });
  await server.send(get("/large"));
  return server.conn.writes;
}

Deno.test("Connection writes no head alone: the beginning of a large body goes with it", async () => {
  assertEquals(await writesOfLarge(), 1);
});

Deno.test("Connection copies beginnings of bodies for so many clients that take nothing, and no more", async () => {
  await using servers = new AsyncDisposableStack();
  const answer = new Uint8Array(64 * 1024);
  for (let i = 0; i < 70; i++) {
    const server = servers.use(new ByHand((exchange) => exchange.respond(200, answer, [])));
    await server.send(get("/large"));
  }
  assertEquals(await writesOfLarge(), 2);
  await servers.disposeAsync();
  assertEquals(await writesOfLarge(), 1);
});

for (const size of [32 * 1024, 64 * 1024, 64 * 1024 + 1, 1024 * 1024]) {
  Deno.test(`Connection sends two bodies of ${size} bytes whole, one behind the other`, async () => {
    const body = new Uint8Array(size).map((_, i) => i * 7 + (i >> 8));
    await using server = new ByHand((exchange) => exchange.respond(200, body, []));
    await server.send(get("/large").repeat(2));
    const text = Array.from(body, (byte) => String.fromCharCode(byte)).join("");
    const received = await server.received();
    const [, first, second] = received.split(/HTTP\/1\.1 200 OK\r\n.*?\r\n\r\n/s);
    assert(first === text && second === text);
  });
}

Deno.test("Connection writes what is ready before it waits for a slow handler", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(targets(goOn.promise));
  await server.send(get("/1") + get("/2") + get("/slow") + get("/4"));
  assertEquals(bodies(await server.received()), ["/1", "/2"]);
  assertEquals(server.conn.writes, 1);
  goOn.resolve();
  assertEquals(bodies(await server.received()), ["/slow", "/4"]);
});

Deno.test("Connection takes no more requests from a client that reads no answers", async () => {
  const count = 100_000;
  await using server = new ByHand(targets());
  const sending = server.send(get("/a").repeat(count));
  await settled();
  const { requests } = server.counters;
  assert(requests > 0 && requests < 5_000, `${requests} requests were answered`);
  let answers = 0;
  while (answers < count) answers += bodies(await server.received()).length;
  await sending;
  assertEquals([answers, server.counters.requests], [count, count]);
});

Deno.test("writeTimeout cuts a client that sends requests and reads no answers", async () => {
  await using server = new ByHand(targets());
  const sending = server.send(get("/a").repeat(100_000)).catch((error) => error);
  await server.pass(31_000);
  assert(await sending instanceof Error);
  assertEquals([server.hasEnded, server.counters.writeTimeouts], [true, 1]);
});

Deno.test("Socket.linger() ends in time with a client that sends without a pause", async () => {
  const [conn, client] = MemoryConn.pair();
  conn.read = async () => {
    await settled();
    return 1;
  };
  await new Socket(conn, new Clock(), { writeTimeout: 0, accessLog: false }).linger(50, 100);
  client[Symbol.dispose]();
});
