import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Exchange, Upgraded } from "../../http/exchange.ts";
import type { MemoryConn } from "../../http/memory_conn.ts";
import type { HTTPContext, HTTPListener } from "../../http_context.ts";
import type { AnyEvent } from "../../listener.ts";
import { test } from "../needs.ts";
import { ByHand, settled } from "./by_hand.ts";
import { latin1, RawClient, undated } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout, echo\r\n\r\n";
const CONNECT = "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n";
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/** Speaks the new protocol: sends back what comes, in brackets, until the client ends. */
async function echo(ctx: HTTPContext, headers?: Record<string, string>): Promise<void> {
  const { conn, head } = await ctx.upgrade({ headers });
  const area = new Uint8Array(1024);
  let part: Uint8Array | null = head;
  while (part !== null) {
    if (part.length > 0) await conn.write(new Uint8Array([0x5b, ...part, 0x5d]));
    const count: number | null = await conn.read(area);
    part = count === null ? null : area.subarray(0, count);
  }
  conn.close();
}

function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => echo(ctx));
  app.onEvent("GET:/own", ({ ctx }) => echo(ctx, { "upgrade": "echo", "X-A": "1" }));
  app.onEvent("GET:/set", ({ ctx }) => {
    // As a hook sets it for whatever is answered.
    ctx.setHeader("Connection", "keep-alive");
    return echo(ctx);
  });
  app.onEvent("GET:/said", ({ ctx }) => echo(ctx, { "Connection": "x, upgrade" }));
  app.onEvent("GET:/plain", ({ ctx }) => ctx.response(200, "plain"));
  app.onEvent("GET:/next", ({ ctx }) => ctx.response(200, "next"));
  app.onEvent("POST:/", async ({ ctx }) => {
    await ctx.text();
    await echo(ctx);
  });
  app.onEvent("POST:/late", async ({ ctx }) => {
    // What is read while a handler works is read by then.
    await settled();
    await settled();
    await ctx.text();
    await echo(ctx);
  });
  app.onEvent("CONNECT:b:443", ({ ctx }) => echo(ctx));
  app.onEvent("CONNECT:forbidden:443", ({ ctx }) => ctx.response(403, "No"));
}

const SWITCHING =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\n";

// Requests for another protocol, and the head that hands the connection over.
const SWITCHED: [what: string, request: string, head: string][] = [
  ["the protocol that the client names first", UPGRADE, SWITCHING],
  ["the first that has a name", UPGRADE.replace("shout", " , shout"), SWITCHING],
  [
    "the headers it is given",
    UPGRADE.replace("/", "/own"),
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nX-A: 1\r\nConnection: Upgrade\r\n\r\n",
  ],
  [
    "the option Upgrade beside another one that was set",
    UPGRADE.replace("/", "/set"),
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: keep-alive\r\n" +
    "Connection: Upgrade\r\n\r\n",
  ],
  [
    "the option Upgrade once",
    UPGRADE.replace("/", "/said"),
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: x, upgrade\r\n\r\n",
  ],
  [
    "101 once a body was read",
    UPGRADE.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"),
    SWITCHING,
  ],
  [
    "101 once a body was read that had arrived before",
    UPGRADE.replace("GET /", "POST /late").replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"),
    SWITCHING,
  ],
  ["200 to CONNECT", CONNECT, "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n"],
];

for (const [what, request, head] of SWITCHED) {
  test(`HTTPContext.upgrade() sends ${what}`, NET, async () => {
    await using app = await serving(routes);
    // What is sent with the request, and when the answer is there.
    for (
      const [early, late] of [["", "late"], ["early", "late"], ["GET / HTTP/1.1\r\n\r\n", "x"]]
    ) {
      using client = await RawClient.connect(app.addr);
      await client.send(request + early);
      assertEquals(undated(await client.until("\r\n\r\n")), head);
      if (early !== "") assertEquals(await client.until("]"), `[${early}]`);
      await client.send(late);
      assertEquals(await client.until("]"), `[${late}]`);
      await client.closeWrite();
      assertEquals(await client.rest(), "");
    }
  });
}

// Requests that cannot be upgraded, and the reason in the log.
const NOT_UPGRADED: [what: string, request: string, reason: string][] = [
  [
    "a request without Upgrade",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TypeError: Cannot upgrade: the client did not request it; respond with 426 (Upgrade Required)",
  ],
  [
    "Upgrade without its Connection option",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
    "TypeError: Cannot upgrade: the client did not request it; respond with 426 (Upgrade Required)",
  ],
  [
    "Upgrade in HTTP/1.0",
    UPGRADE.replace("/1.1", "/1.0"),
    "TypeError: Cannot upgrade: the client did not request it; respond with 426 (Upgrade Required)",
  ],
  [
    "a protocol that the client does not offer",
    UPGRADE.replace("/", "/own").replace("echo", "whisper"),
    'TypeError: Cannot upgrade to "echo": the client offered "shout, whisper" (RFC 9110 7.8)',
  ],
  [
    "a request whose body was not read",
    UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n"),
    "TypeError: Cannot upgrade: the request body was not read to its end; await ctx.bytes() first",
  ],
];

for (const [what, request, reason] of NOT_UPGRADED) {
  test(`HTTPContext.upgrade() refuses ${what}, and 500 is sent`, NET, async () => {
    using errors = new ErrorLog();
    await using app = await serving(routes);
    using client = await RawClient.connect(app.addr);
    await client.send(request);
    assertEquals((await client.response()).status, 500);
    assertEquals(errors.entries.length, 1);
    assertStringIncludes(errors.entries[0], reason);
  });
}

test("HTTPContext.upgrade() refuses after a response, and a second time", NET, async () => {
  using errors = new ErrorLog();
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      ctx.response(200, "first");
      await ctx.upgrade();
    });
    app.onEvent("GET:/twice", async ({ ctx }) => {
      const { conn } = await ctx.upgrade();
      try {
        await ctx.upgrade();
      } finally {
        conn.close();
      }
    });
  });
  for (const target of ["/", "/twice"]) {
    using client = await RawClient.connect(app.addr);
    await client.send(UPGRADE.replace("/", target));
    await client.until("\r\n\r\n");
    await client.closeWrite();
    await client.rest();
  }
  for (const entry of errors.entries) {
    assertStringIncludes(entry, "TypeError: Cannot respond twice");
  }
  assertEquals(errors.entries.length, 2);
});

test("a request with Upgrade may be answered as any other", NET, async () => {
  await using app = await serving(routes);
  using client = await RawClient.connect(app.addr);
  await client.send(UPGRADE.replace("/", "/plain") + NEXT);
  assertEquals((await client.response()).body, "plain");
  assertEquals((await client.response()).body, "next");
});

test("CONNECT without a CONNECT route gets 501, though a route takes everything", NET, async () => {
  await using app = await serving((app) => app.onEvent(({ ctx }) => ctx.response(200, "all")));
  using client = await RawClient.connect(app.addr);
  await client.send(CONNECT + NEXT);
  assertEquals((await client.response()).status, 501);
  assertEquals(await client.rest(), "");
});

test("CONNECT that a handler refuses ends the connection, which the answer says", NET, async () => {
  await using app = await serving(routes);
  using client = await RawClient.connect(app.addr);
  await client.send(CONNECT.replaceAll("b:443", "forbidden:443") + NEXT);
  const { status, headers } = await client.response();
  assertEquals([status, new Map(headers).get("connection")], [403, "close"]);
  assertEquals(await client.rest(), "");
});

/** Requests after which a proxy may pass on whatever its client sends, without checking it. */
const TUNNELS: [what: string, fields: string, goesOn: boolean][] = [
  ["a WebSocket", "Upgrade: websocket\r\nConnection: Upgrade\r\n", false],
  ["a WebSocket in capitals", "UPGRADE: WEBSOCKET\r\nConnection: Upgrade\r\n", false],
  ["a version of WebSocket", "Upgrade: websocket/13\r\nConnection: Upgrade\r\n", false],
  ["a WebSocket among others", "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n", false],
  [
    "a WebSocket in a second field",
    "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    false,
  ],
  [
    "a WebSocket, with a body",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n",
    false,
  ],
  ["a WebSocket without the option", "Upgrade: websocket\r\n", false],
  ["a WebSocket with another option", "Upgrade: websocket\r\nConnection: keep-alive\r\n", false],
  ["what contains WebSocket", "Upgrade: x-websocket-y\r\nConnection: Upgrade\r\n", false],
  ["h2c", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n", true],
  ["h2c, with a body", "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n", true],
];

for (const path of ["/plain", "/stream", "/nowhere"]) {
  for (const [what, fields, goesOn] of TUNNELS) {
    test(
      `The connection ${
        goesOn ? "goes on" : "ends"
      } after a request for ${what} that ${path} answers otherwise`,
      NET,
      async () => {
        await using app = await serving((app) => {
          routes(app);
          app.onEvent(
            "GET:/stream",
            ({ ctx }) => ctx.response(200, ReadableStream.from(["stream"])),
          );
        });
        using client = await RawClient.connect(app.addr);
        const body = fields.includes("Content-Length") ? "a" : "";
        await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}${NEXT}`);
        const { headers } = await client.response();
        assertEquals(new Map(headers).get("connection"), goesOn ? undefined : "close");
        if (goesOn) assertEquals((await client.response()).body, "next");
        else assertEquals(await client.rest(), "");
      },
    );
  }
}

test(
  "HTTPContext.upgrade() leaves the connection open when its handler has ended",
  NET,
  async () => {
    const upgraded = Promise.withResolvers<Deno.Conn>();
    const ended = Promise.withResolvers<void>();
    const app = await serving((app) => {
      app.afterEvent(() => ended.resolve());
      app.onEvent("GET:/", async ({ ctx }) => upgraded.resolve((await ctx.upgrade()).conn));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(UPGRADE);
    using conn = await upgraded.promise;
    await client.until("\r\n\r\n");
    await ended.promise;
    // Nor does it keep the server from stopping, or end with it.
    await app.stop();
    await conn.write(latin1("still here"));
    assertEquals(await client.until("here"), "still here");
    await client.send("so am I");
    const area = new Uint8Array(16);
    assertMatch(new TextDecoder().decode(area.subarray(0, (await conn.read(area))!)), /^so am I$/);
  },
);

test(
  "HTTPContext.upgrade({ closed }) lets the request go on until the connection is closed",
  NET,
  async () => {
    const ended = Promise.withResolvers<HTTPContext>();
    const closed = Promise.withResolvers<void>();
    const app = await serving((app) => {
      app.afterEvent(({ ctx }) => ended.resolve(ctx));
      app.onEvent("GET:/", async ({ ctx }) => {
        const { conn } = await ctx.upgrade({ closed: closed.promise });
        app.stopSignal.addEventListener("abort", async () => {
          await conn.write(latin1("bye"));
          conn.close();
          // How it settles does not matter.
          closed.reject(new Error("closed"));
        });
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(UPGRADE);
    await client.until("\r\n\r\n");
    const ctx = await ended.promise;
    await settled();
    assertEquals([...app.connections()].map(({ state }) => state), ["upgraded"]);
    assertEquals(ctx.isAlive, true);
    await app.stop();
    assertEquals(ctx.isAlive, false);
    assertEquals(await client.rest(), "bye");
  },
);

test("HTTPContext.upgrade({ closed }) holds up no request whose handler fails", NET, async () => {
  using log = new ErrorLog();
  const conns: Deno.Conn[] = [];
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      conns.push((await ctx.upgrade({ closed: new Promise(() => {}) })).conn);
      throw new Error("oh no");
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(UPGRADE);
  await client.until("\r\n\r\n");
  await app.stop();
  assertMatch(log.entries.join(), /^Cannot answer "GET \/": Error: oh no/);
  conns[0].close();
});

const SLOW = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

test("HTTPContext.upgrade() behind a slow request loses no byte", NET, async () => {
  await using app = await serving((app) => {
    routes(app);
    app.onEvent("GET:/slow", async ({ ctx }) => {
      // What is read while a handler works is read by then.
      await settled();
      await settled();
      ctx.response(200, "slow");
    });
  });
  for (const request of [UPGRADE, CONNECT]) {
    using client = await RawClient.connect(app.addr);
    await client.send(SLOW + request);
    assertEquals((await client.response()).body, "slow");
    await client.until("\r\n\r\n");
    await client.send("late");
    assertEquals(await client.until("]"), "[late]");
    await client.closeWrite();
    assertEquals(await client.rest(), "");
  }
});

/**
 * A server that has got `request` behind a slow one, and reads on, as it has not seen what it is. When `goOn()`
 * is called, `handler` gets it.
 */
async function behindSlow(
  request: string,
  handler: (exchange: Exchange) => unknown,
): Promise<{ server: ByHand; goOn: () => void }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = new ByHand(async (exchange) => {
    if (exchange.request.target !== "/slow") return await handler(exchange);
    await promise;
    exchange.respond(200, "slow", []);
  });
  await server.send(SLOW);
  const half = request.indexOf("\r\nUpgrade") + 5;
  await server.send(request.slice(0, half));
  await server.send(request.slice(half));
  return { server, goOn: resolve };
}

for (
  const [what, request, isRaw] of [
    ["HTTPContext.upgrade()", UPGRADE, false],
    ["HTTPContext.upgrade({ raw: true })", UPGRADE, true],
    ["HTTPContext.upgrade() after CONNECT", CONNECT, false],
  ] as const
) {
  Deno.test(`${what} gives each byte that comes, though a read was under way`, async () => {
    const early: boolean[] = [];
    for (let steps = 0; steps < 60; steps++) {
      const upgraded = Promise.withResolvers<Upgraded>();
      const { server, goOn } = await behindSlow(
        request,
        (exchange) => upgraded.resolve(exchange.upgrade([], isRaw)),
      );
      await using _server = server;
      goOn();
      for (let i = 0; i < steps; i++) await undefined;
      await server.client.write(latin1("late"));
      const { conn, head } = await upgraded.promise;
      let text = new TextDecoder().decode(head);
      early.push(text !== "");
      const area = new Uint8Array(3);
      const read = async (): Promise<string> =>
        new TextDecoder().decode(area.subarray(0, (await conn.read(area))!));
      while (text.length < 4) text += await read();
      await server.client.write(latin1("r"));
      assertEquals(text + await read(), "later");
      conn.close();
    }
    assertEquals(new Set(early), new Set([true, false]));
  });
}

for (
  const [what, leave, outcome] of [
    ["the end of the stream", (client: MemoryConn) => client.closeWrite(), null],
    ["a reset", (client: MemoryConn) => client.reset(), Deno.errors.ConnectionReset],
  ] as const
) {
  Deno.test(`HTTPContext.upgrade() gives ${what}, though a read was under way, and event.signal does not abort`, async () => {
    const upgraded = Promise.withResolvers<void>();
    const outcomes: unknown[] = [];
    const { server, goOn } = await behindSlow(UPGRADE, async (exchange) => {
      const event: Partial<AnyEvent> = { abort: (reason) => void outcomes.push(reason) };
      exchange.event = event as AnyEvent;
      const { conn } = await exchange.upgrade([], false);
      upgraded.resolve();
      outcomes.push(await conn.read(new Uint8Array(1)).catch((error) => error.constructor));
      conn.close();
    });
    await using _server = server;
    goOn();
    await upgraded.promise;
    await leave(server.client);
    await settled();
    assertEquals(outcomes, [outcome]);
  });
}

test(
  "stop() closes an upgraded connection whose handler goes on when the grace is over",
  NET,
  async () => {
    using _errors = new ErrorLog();
    const app = await serving(routes, { shutdownGrace: 0 });
    using client = await RawClient.connect(app.addr);
    await client.send(UPGRADE);
    await client.until("\r\n\r\n");
    await app.stop();
    assertEquals(await client.rest(), "");
  },
);
