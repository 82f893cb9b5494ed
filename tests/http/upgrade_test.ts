import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { HTTPContext, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
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
  app.onEvent("GET:/plain", ({ ctx }) => ctx.response(200, "plain"));
  app.onEvent("GET:/next", ({ ctx }) => ctx.response(200, "next"));
  app.onEvent("POST:/", async ({ ctx }) => {
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
  [
    "the headers it is given",
    UPGRADE.replace("/", "/own"),
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nX-A: 1\r\nConnection: Upgrade\r\n\r\n",
  ],
  [
    "101 once a body was read",
    UPGRADE.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"),
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
    "TypeError: Cannot upgrade: the request asks for no other protocol; answer it with 426 (Upgrade Required)",
  ],
  [
    "Upgrade without its Connection option",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
    "TypeError: Cannot upgrade: the request asks for no other protocol; answer it with 426 (Upgrade Required)",
  ],
  [
    "Upgrade in HTTP/1.0",
    UPGRADE.replace("/1.1", "/1.0"),
    "TypeError: Cannot upgrade: the request asks for no other protocol; answer it with 426 (Upgrade Required)",
  ],
  [
    "a request whose body was not read",
    UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n"),
    "TypeError: Cannot upgrade: the request's body was not read to its end; await ctx.bytes() before",
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
