import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TICK } from "../../http/clock.ts";
import type { Exchange } from "../../http/exchange.ts";
import { HTTPListener, type ServerOptions } from "../../http_context.ts";
import { depends } from "../../listener.ts";
import { test } from "../needs.ts";
import { ByHand } from "./by_hand.ts";
import { run } from "../program.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RUN = { permissions: ["run"] } as const;
const HEAD_PART = "GET / HTTP/1.1\r\nHo";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
const SECOND = 1_000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE;

function welcome(exchange: Exchange): void {
  exchange.respond(200, "Welcome!", []);
}

async function echoLength(exchange: Exchange): Promise<void> {
  exchange.respond(200, `${(await exchange.body.bytes()).length} bytes`, []);
}

/** Lets `timeout` milliseconds pass, and sees that `isOver` only from then on. */
async function passExactly(server: ByHand, timeout: number, isOver: () => boolean): Promise<void> {
  await server.pass(timeout);
  assert(!isOver(), `too early, after ${timeout} ms`);
  await server.pass(TICK);
  assert(isOver(), `too late, after ${timeout + TICK} ms`);
}

Deno.test("idleTimeout ends a connection without a request after 75 s, without an answer", async () => {
  await using server = new ByHand(welcome);
  await passExactly(server, 75 * SECOND, () => server.hasEnded);
  assertEquals(await server.received(), "");
  assertEquals(server.counters.idleTimeouts, 1);
  assertEquals(server.refusals, []);
});

Deno.test("idleTimeout ends a connection 75 s after its last request, without an answer", async () => {
  await using server = new ByHand(welcome);
  for (let i = 0; i < 3; i++) {
    await server.send(GET);
    assertStringIncludes(await server.received(), "Welcome!");
    if (i < 2) await server.pass(70 * SECOND);
  }
  await passExactly(server, 75 * SECOND, () => server.hasEnded);
  assertEquals(await server.received(), "");
  assertEquals(server.counters.idleTimeouts, 1);
});

Deno.test("headerTimeout answers 408 when a head is not there 10 s after its first byte", async () => {
  await using server = new ByHand(welcome);
  await server.pass(MINUTE);
  await server.send("G");
  await passExactly(server, 10 * SECOND, () => server.client.available > 0);
  const received = await server.received();
  assertMatch(received, /^HTTP\/1\.1 408 Request Timeout\r\n.*\r\nConnection: close\r\n/s);
  assertEquals(server.counters.headerTimeouts, 1);
  assertEquals(server.counters.refused, { 408: 1 });
  assertEquals(server.refusals, [
    '127.0.0.1:50000 - refused with 408: The request head did not arrive in time; received "G"',
  ]);
});

Deno.test("headerTimeout is not renewed by bytes that dribble in", async () => {
  await using server = new ByHand(welcome);
  await server.send(HEAD_PART[0]);
  for (const byte of HEAD_PART.slice(1, 10)) {
    await server.pass(SECOND);
    await server.send(byte);
  }
  await passExactly(server, SECOND, () => server.client.available > 0);
  assertMatch(await server.received(), /^HTTP\/1\.1 408 /);
});

Deno.test("headerTimeout begins anew with each request", async () => {
  await using server = new ByHand(welcome);
  for (let i = 0; i < 3; i++) {
    await server.send(HEAD_PART);
    await server.pass(9 * SECOND);
    await server.send(GET.slice(HEAD_PART.length));
    assertMatch(await server.received(), /^HTTP\/1\.1 200 /);
  }
});

Deno.test("headerTimeout begins anew with a head that comes behind one that took long", async () => {
  await using server = new ByHand(welcome);
  await server.send(HEAD_PART);
  await server.pass(9 * SECOND);
  await server.send(GET.slice(HEAD_PART.length) + HEAD_PART);
  assertMatch(await server.received(), /^HTTP\/1\.1 200 .*Welcome!$/s);
  await passExactly(server, 10 * SECOND, () => server.client.available > 0);
  assertMatch(await server.received(), /^HTTP\/1\.1 408 /);
});

for (const parts of [["\r\n"], ["\r", "\n"]]) {
  Deno.test(`headerTimeout does not begin with a blank line (${parts.length} parts)`, async () => {
    await using server = new ByHand(welcome);
    for (const part of parts) await server.send(part);
    await server.pass(MINUTE);
    await server.send(HEAD_PART);
    await passExactly(server, 10 * SECOND, () => server.client.available > 0);
    assertMatch(await server.received(), /^HTTP\/1\.1 408 /);
  });
}

Deno.test("headerTimeout does not run while a handler works", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(async (exchange) => {
    await goOn.promise;
    welcome(exchange);
  });
  await server.send(GET + HEAD_PART);
  await server.pass(MINUTE);
  goOn.resolve();
  assertMatch(await server.received(), /^HTTP\/1\.1 200 .*Welcome!$/s);
  await passExactly(server, 10 * SECOND, () => server.client.available > 0);
  assertMatch(await server.received(), /^HTTP\/1\.1 408 /);
});

/** Reads a body into one buffer; the answer is its length. */
async function lengthInPlace(exchange: Exchange): Promise<void> {
  const reader = exchange.body.stream().getReader({ mode: "byob" });
  let length = 0;
  for (let buffer = new Uint8Array(1024);;) {
    const { done, value } = await reader.read(buffer);
    if (done) break;
    length += value.length;
    buffer = new Uint8Array(value.buffer);
  }
  exchange.respond(200, `${length} bytes`, []);
}

for (const read of [echoLength, lengthInPlace]) {
  Deno.test(`bodyTimeout answers 408 when ${read.name}() waits 30 s for a byte of the body`, async () => {
    await using server = new ByHand(read);
    await server.send(POST + "x".repeat(50_000));
    await passExactly(server, 30 * SECOND, () => server.client.available > 0);
    const received = await server.received();
    assertMatch(received, /^HTTP\/1\.1 408 Request Timeout\r\n.*\r\nConnection: close\r\n/s);
    assertEquals(server.counters.bodyTimeouts, 1);
  });

  Deno.test(`bodyTimeout begins anew with each part of the body for ${read.name}()`, async () => {
    await using server = new ByHand(read);
    await server.send(POST);
    for (let i = 0; i < 10; i++) {
      await server.send("x".repeat(10_000));
      await server.pass(20 * SECOND);
    }
    assertMatch(await server.received(), /^HTTP\/1\.1 200 .*100000 bytes$/s);
  });
}

Deno.test("bodyTimeout does not run while the handler wants no byte", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(async (exchange) => {
    const reader = exchange.body.stream().getReader();
    const first = (await reader.read()).value!.length;
    reader.releaseLock();
    await goOn.promise;
    const rest = await exchange.body.bytes();
    exchange.respond(200, `${first} + ${rest.length} bytes`, []);
  });
  await server.send(POST + "x");
  await server.pass(10 * MINUTE);
  goOn.resolve();
  await server.send("x".repeat(99_999));
  assertMatch(await server.received(), /^HTTP\/1\.1 200 .*1 \+ 99999 bytes$/s);
});

// Bytes that come each second, and how the body is answered.
const RATES: [bytes: number, status: number][] = [[200, 408], [300, 200]];

for (const [bytes, status] of RATES) {
  Deno.test(`bodyTimeout answers ${status} to a body of ${bytes} bytes a second`, async () => {
    await using server = new ByHand(echoLength);
    await server.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${20 * bytes}\r\n\r\n`);
    for (let second = 0; second < 20 && server.client.available === 0; second++) {
      await server.send("x".repeat(bytes));
      await server.pass(SECOND);
      if (second < 5) assertEquals(server.client.available, 0, "too early");
    }
    assertStringIncludes(await server.received(), `HTTP/1.1 ${status} `);
    assertEquals(server.counters.bodyTimeouts, status === 408 ? 1 : 0);
  });
}

Deno.test("bodyTimeout does not blame the client for the time that a handler takes", async () => {
  const gates = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  await using server = new ByHand(async (exchange) => {
    let parts = 0;
    for await (const _part of exchange.body.stream()) await gates[parts++].promise;
    exchange.respond(200, `${parts} parts`, []);
  });
  await server.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
  for (const gate of gates) {
    await server.send("x");
    await server.pass(MINUTE);
    gate.resolve();
  }
  assertMatch(await server.received(), /^HTTP\/1\.1 200 .*20 parts$/s);
});

Deno.test("writeTimeout cuts a connection whose client takes nothing for 30 s", async () => {
  await using server = new ByHand((exchange) => exchange.respond(200, "x".repeat(1_000_000), []));
  await server.send(GET);
  await passExactly(server, 30 * SECOND, () => server.hasEnded);
  assertEquals(server.counters.writeTimeouts, 1);
  assertEquals(server.refusals, [
    "127.0.0.1:50000 - closed: it read nothing for 30000 ms",
  ]);
  assert((await server.received()).length < 1_000_000);
});

Deno.test("writeTimeout begins anew with each part that the client takes", async () => {
  await using server = new ByHand((exchange) => exchange.respond(200, "x".repeat(500_000), []));
  await server.send(GET);
  const area = new Uint8Array(10_000);
  let received = 0;
  while (received < 500_000) {
    received += (await server.client.read(area))!;
    await server.pass(20 * SECOND);
  }
  assertEquals(server.counters.writeTimeouts, 0);
});

Deno.test("idleTimeout begins when the client has taken its last response", async () => {
  await using server = new ByHand((exchange) => exchange.respond(200, "x".repeat(60_000), []));
  await server.send(GET);
  // This one does not fit into what the system holds for the client.
  await server.send(GET);
  const area = new Uint8Array(10_000);
  for (let received = 0; received < 120_000;) {
    const count = await server.client.read(area);
    assert(count !== null, `The connection has ended after ${received} bytes`);
    received += count;
    await server.pass(20 * SECOND);
  }
});

Deno.test("no timeout by default ends a handler that works for ten minutes", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(async (exchange) => {
    await goOn.promise;
    welcome(exchange);
  });
  await server.send(GET);
  for (let i = 0; i < 10; i++) await server.pass(MINUTE);
  goOn.resolve();
  assertMatch(await server.received(), /^HTTP\/1\.1 200 .*Welcome!$/s);
});

Deno.test("no timeout by default ends an event stream that is silent for ten minutes", async () => {
  const goOn = Promise.withResolvers<void>();
  async function* ticks(): AsyncGenerator<string> {
    yield "data: 1\n\n";
    await goOn.promise;
    yield "data: 2\n\n";
  }
  await using server = new ByHand((exchange) => exchange.respond(200, ticks(), []));
  await server.send(GET);
  assertMatch(await server.received(), /data: 1\n\n\r\n$/);
  for (let i = 0; i < 10; i++) await server.pass(MINUTE);
  goOn.resolve();
  assertEquals(await server.received(), "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
});

// Waits that have no end where their option is 0.
const SWITCHED_OFF: [option: keyof ServerOptions, sent: string][] = [
  ["idleTimeout", ""],
  ["headerTimeout", HEAD_PART],
  ["bodyTimeout", POST + "x"],
  ["writeTimeout", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"],
];

for (const [option, sent] of SWITCHED_OFF) {
  Deno.test(`${option} is off where it is 0`, async () => {
    const handler = (exchange: Exchange): unknown =>
      exchange.request.method === "POST"
        ? echoLength(exchange)
        : exchange.respond(200, "x".repeat(1_000_000), []);
    await using server = new ByHand(handler, { [option]: 0 });
    await server.send(sent);
    const { available } = server.client;
    for (let i = 0; i < 10; i++) await server.pass(HOUR);
    assertEquals([server.hasEnded, server.client.available], [false, available]);
  });
}

Deno.test("idleTimeout ends a connection that sends no PROXY header where headerTimeout is 0", async () => {
  const options = { proxyProtocol: true, headerTimeout: 0 };
  await using server = new ByHand(welcome, options);
  await passExactly(server, 75 * SECOND, () => server.hasEnded);
  assertEquals(server.counters.idleTimeouts, 1);
});

/** The same over sockets: `define` has the handler, the rest is up to the real clock. */
function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
  app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, await ctx.text()));
}

// What a client sends before it falls silent, and what it gets.
const OVER_SOCKETS: [option: keyof ServerOptions, sent: string, received: RegExp][] = [
  ["idleTimeout", "", /^$/],
  ["headerTimeout", HEAD_PART, /^HTTP\/1\.1 408 Request Timeout\r\n/],
  ["bodyTimeout", POST + "x", /^HTTP\/1\.1 408 Request Timeout\r\n/],
];

for (const [option, sent, received] of OVER_SOCKETS) {
  test(`${option} ends a real connection`, NET, async () => {
    await using app = await serving(routes, { [option]: 1 });
    using client = await RawClient.connect(app.addr);
    await client.send(sent);
    assertMatch(await client.rest(), received);
    assertEquals(app.counters[`${option}s` as "idleTimeouts"], 1);
  });
}

test("writeTimeout ends a real connection and aborts the event's signal", NET, async () => {
  const aborted = Promise.withResolvers<unknown>();
  const cancelled = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx, signal }) => {
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      return ctx.response(
        200,
        new ReadableStream<Uint8Array>({
          pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
          cancel: () => cancelled.resolve(),
        }),
      );
    });
  }, { writeTimeout: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  assertEquals(String(await aborted.promise), "TimeoutError: The client is not reading");
  await cancelled.promise;
  assertEquals(app.counters.writeTimeouts, 1);
  assert(!(await client.gone()).endsWith("\r\n0\r\n\r\n"));
});

Deno.test("handlerTimeout leaves scope and dependencies to the handler that still runs", async () => {
  using _errors = new ErrorLog();
  let made = 0;
  const db = depends(() => ++made);
  const go = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<unknown[]>();
  const app = new HTTPListener({ handlerTimeout: 1 });
  app.onEvent("GET:/slow", async (event) => {
    event.ctx.scope.user = "bob";
    await event.use(db);
    await go.promise;
    seen.resolve([event.ctx.isAlive, event.ctx.scope.user, await event.use(db)]);
  });
  assertEquals((await app.fetch("/slow")).status, 503);
  go.resolve();
  assertEquals(await seen.promise, [false, "bob", 1]);
});

test("handlerTimeout answers 503 and aborts the event's signal", NET, async () => {
  using errors = new ErrorLog();
  const aborted = Promise.withResolvers<unknown>();
  await using app = await serving((app) => {
    routes(app);
    app.onEvent("GET:/slow", ({ signal }) => {
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      return new Promise(() => {});
    });
  }, { handlerTimeout: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  assertEquals((await client.response()).status, 503);
  assertMatch(String(await aborted.promise), /^TimeoutError: .* still running after 1 ms$/);
  assertEquals(app.counters.handlerTimeouts, 1);
  assertEquals(errors.entries.length, 1);
  assertMatch(errors.entries[0], /^Cannot answer "GET \/slow": .* still running after 1 ms$/);
  // The client did nothing wrong: the connection goes on.
  await client.send(GET);
  assertEquals((await client.response()).body, "Welcome!");
});

test("a route may have a handlerTimeout of its own", NET, async () => {
  using _ = new ErrorLog();
  await using app = await serving((app) => {
    app.onEvent("GET:/short", { handlerTimeout: 1 }, () => new Promise(() => {}));
    app.onEvent("GET:/long", { handlerTimeout: 0 }, async ({ ctx, signal }) => {
      await app.fetch("/short");
      return ctx.response(200, `${signal.aborted}`);
    });
  }, { handlerTimeout: HOUR });
  assertEquals((await app.fetch("/short")).status, 503);
  assertEquals(await (await app.fetch("/long")).text(), "false");
});

test(
  "handlerTimeout answers 503 to a client that has closed its sending half, too",
  NET,
  async () => {
    using log = new ErrorLog();
    const hasLeft = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ signal }) => {
        signal.addEventListener("abort", () => hasLeft.resolve());
        return new Promise(() => {});
      });
    }, { handlerTimeout: 200 });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await client.closeWrite();
    await hasLeft.promise;
    assertEquals((await client.response()).status, 503);
    assertEquals(app.counters.handlerTimeouts, 1);
    assertEquals(log.entries.length, 1);
  },
);

test("an answer after handlerTimeout is logged, and fails nothing", NET, async () => {
  using log = new ErrorLog();
  const late = Promise.withResolvers<unknown>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx, signal }) =>
      new Promise<void>((resolve) => {
        signal.addEventListener("abort", () =>
          setTimeout(() => {
            late.resolve(ctx.response(200, "late"));
            resolve();
          }));
      }));
  }, { handlerTimeout: 1 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  assertEquals((await client.response()).status, 503);
  assertEquals(await late.promise, undefined);
  assertEquals(
    log.entries.at(-1),
    'Cannot answer "GET /" any more: handlerTimeout has expired; observe event.signal',
  );
});

test(
  "a handler that stop() gave up keeps no process alive until its handlerTimeout",
  RUN,
  async () => {
    const program = `
    import { HTTPListener } from ${JSON.stringify(import.meta.resolve("../../http_context.ts"))};
    const options = { port: 0, accessLog: false, handlerTimeout: ${HOUR}, shutdownGrace: 0 };
    const app = new HTTPListener(options);
    const isAsked = Promise.withResolvers();
    app.onEvent("GET:/", () => { isAsked.resolve(); return new Promise(() => {}); });
    await app.start();
    const conn = await Deno.connect(app.addr);
    await conn.write(new TextEncoder().encode("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"));
    await isAsked.promise;
    await app.stop();
    conn.close();
    console.log("stopped");
  `;
    const { code, stdout, stderr } = await run("eval", "--config", "deno.json", program);
    assertEquals([code, stdout, stderr], [0, "stopped\n", ""]);
  },
);
