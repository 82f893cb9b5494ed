// What Deno.serve has never had, each shown on both. What both have, and where their answers to one request
// differ, is in serve_test.ts.

import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import type { HTTPListener, ServerOptions } from "../../http_context.ts";
import { test } from "../needs.ts";
import { PROCESS, ServerProcess } from "../soak/process.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0, onListen(): void {} };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";

function echo(app: HTTPListener): void {
  app.onEvent(async ({ ctx }) => ctx.response(200, await ctx.text()));
}

// Where a client falls silent, how it would go on, and what HTTPListener does about it.
const TIMEOUTS: [option: keyof ServerOptions, sent: string, rest: string, received: RegExp][] = [
  ["idleTimeout", "", GET, /^$/],
  ["headerTimeout", GET.slice(0, 20), GET.slice(20), /^HTTP\/1\.1 408 /],
  ["bodyTimeout", `${POST}abc`, "def", /^HTTP\/1\.1 408 /],
];

for (const [option, sent, rest, received] of TIMEOUTS) {
  test(`Deno.serve has no ${option}; HTTPListener ends a silent client by it`, NET, async () => {
    await using theirs = Deno.serve(LOCAL, async (request) => new Response(await request.text()));
    using patient = await RawClient.connect(theirs.addr);
    await patient.send(sent);
    await using ours = await serving(echo, { [option]: 1 });
    using client = await RawClient.connect(ours.addr);
    await client.send(sent);
    assertMatch(await client.rest(), received);
    // The other one was there before, and still is.
    await patient.send(rest);
    assertEquals((await patient.response()).status, 200);
  });
}

/** A body without end, and what tells that nobody reads it any more. */
function endless(): { body: ReadableStream<Uint8Array<ArrayBuffer>>; cancelled: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel: () => resolve("cancelled"),
  });
  return { body, cancelled: promise };
}

test(
  "Deno.serve has no writeTimeout; HTTPListener cuts a client that reads nothing",
  NET,
  async () => {
    const theirBody = endless(), ourBody = endless();
    await using theirs = Deno.serve(LOCAL, () => new Response(theirBody.body));
    using patient = await RawClient.connect(theirs.addr);
    await patient.send(GET);
    await using ours = await serving((app) => {
      app.onEvent(({ ctx }) => ctx.response(200, ourBody.body));
    }, { writeTimeout: 1 });
    using client = await RawClient.connect(ours.addr);
    await client.send(GET);
    assertEquals(await ourBody.cancelled, "cancelled");
    assertEquals(await Promise.race([theirBody.cancelled, "waiting"]), "waiting");
    patient[Symbol.dispose]();
    await theirBody.cancelled;
  },
);

test("Deno.serve ends the process when file descriptors run out", PROCESS, async () => {
  await using server = await ServerProcess.start({
    files: 128,
    program: "tests/http/deno_serve_program.ts",
  });
  const clients = await server.crowd(400);
  const { code, stderr } = await server.end();
  for (const client of clients) client[Symbol.dispose]();
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Too many open files");
});

test(
  "Deno.serve breaks a request's body at shutdown(); HTTPListener lets it finish",
  NET,
  async () => {
    const asked = Promise.withResolvers<void>();
    await using theirs = Deno.serve({
      ...LOCAL,
      onError: () => new Response("broken", { status: 500 }),
    }, async (request) => {
      asked.resolve();
      return new Response(await request.text());
    });
    using broken = await RawClient.connect(theirs.addr);
    await broken.send(`${POST}abc`);
    await asked.promise;
    const shutdown = theirs.shutdown();
    assertEquals((await broken.response()).body, "broken");
    broken[Symbol.dispose]();
    await shutdown;

    const reading = Promise.withResolvers<void>();
    await using ours = await serving((app) => {
      app.onEvent(async ({ ctx }) => {
        reading.resolve();
        ctx.response(200, await ctx.text());
      });
    });
    using client = await RawClient.connect(ours.addr);
    await client.send(`${POST}abc`);
    await reading.promise;
    const stopped = ours.stop();
    await client.send("def");
    assertEquals((await client.response()).body, "abcdef");
    client[Symbol.dispose]();
    await stopped;
  },
);

test(
  "Deno.serve's shutdown() waits for a stuck handler; stop() for shutdownGrace",
  NET,
  async () => {
    const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const goOn = Promise.withResolvers<void>();
    await using theirs = Deno.serve(LOCAL, async () => {
      asked[0].resolve();
      await goOn.promise;
      return new Response();
    });
    using waiting = await RawClient.connect(theirs.addr);
    await waiting.send(GET);
    await asked[0].promise;
    const shutdown = theirs.shutdown().then(() => "over");

    const ours = await serving((app) => {
      app.onEvent(() => {
        asked[1].resolve();
        return new Promise(() => {});
      });
    }, { shutdownGrace: 1 });
    using client = await RawClient.connect(ours.addr);
    await client.send(GET);
    await asked[1].promise;
    await ours.stop();
    assertEquals(await Promise.race([shutdown, "waiting"]), "waiting");
    goOn.resolve();
    assertEquals(await shutdown, "over");
  },
);

test("Deno.serve has no 1xx; HTTPListener sends 103 (Early Hints)", NET, async () => {
  assertThrows(() => new Response(null, { status: 103 }), RangeError);
  await using ours = await serving((app) => {
    app.onEvent(({ ctx }) => {
      ctx.informational(103, { Link: "</a.css>" });
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(ours.addr);
  await client.send(GET);
  assertEquals((await client.response()).status, 103);
  assertEquals((await client.response()).status, 200);
});

test("Deno.serve drops trailers and the case of names; HTTPListener has them", NET, async () => {
  const request =
    "POST / HTTP/1.1\r\nX-B: 1\r\nHost: a\r\nx-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
  await using theirs = Deno.serve(LOCAL, async ({ headers, body }) => {
    await new Response(body).text();
    return new Response([...headers.keys()].join(" "));
  });
  await using ours = await serving((app) => {
    app.onEvent(async ({ ctx }) => {
      await ctx.text();
      const names = ctx.headers.rawItems().map(([name]) => name);
      ctx.response(200, `${names.join(" ")}, ${ctx.trailers!.get("x-sum")}`);
    });
  });
  const bodies: string[] = [];
  for (const { addr } of [theirs, ours]) {
    using client = await RawClient.connect(addr);
    await client.send(request);
    bodies.push((await client.response()).body);
  }
  assertEquals(bodies, ["host transfer-encoding x-a x-b", "X-B Host x-A Transfer-Encoding, 6"]);
});
