// What a server that stops still takes: requests that are on their way, and clients that wait to be accepted.

import { assertEquals, assertRejects } from "@std/assert";
import type { HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { PROCESS, ServerProcess } from "../soak/process.ts";
import { Accepting } from "./accepting.ts";
import { settled } from "./by_hand.ts";
import { latin1, RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** The body of the next answer, which has to be the last one of its connection and to say so. */
async function lastAnswer(client: RawClient): Promise<string> {
  const { body, headers } = await client.response();
  assertEquals(new Map(headers).get("connection"), "close");
  assertEquals(await client.rest(), "");
  return body;
}

function home(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
}

/** A client that is connected and has been answered, so that the server has accepted it. */
async function connected(app: HTTPListener): Promise<RawClient> {
  const client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.response();
  return client;
}

test("HTTPListener answers at SIGTERM all that has reached it, read or not", PROCESS, async () => {
  await using server = await ServerProcess.start();
  const kept: RawClient[] = [];
  for (let i = 0; i < 30; i++) {
    const client = await RawClient.connect(server);
    kept.push(client);
    await client.send(GET);
    await client.response();
  }
  // What comes now waits in the system: requests, and clients that are not accepted yet.
  server.kill("SIGSTOP");
  for (const client of kept) await client.send(GET);
  const waiting: RawClient[] = [];
  for (let i = 0; i < 300; i++) {
    const client = await RawClient.connect(server);
    waiting.push(client);
    await client.send(GET);
  }
  server.kill("SIGTERM");
  server.kill("SIGCONT");
  for (const client of [...kept, ...waiting]) {
    using _closed = client;
    const { body, headers } = await client.response();
    assertEquals(body, "Welcome!");
    // It is the last one, unless it was read before the signal was.
    assertEquals(new Map(headers).get("connection") ?? "close", "close");
  }
  assertEquals(await server.end(), { code: 0, stderr: "" });
});

test(
  "HTTPListener.stop() answers a request that comes soon on an idle connection",
  NET,
  async () => {
    await using app = await serving(home);
    using used = await connected(app);
    using fresh = await RawClient.connect(app.addr);
    // Accepted is what was answered on a later connection.
    using silent = await connected(app);
    const stopped = app.stop();
    for (const client of [used, fresh]) {
      await client.send(GET);
      assertEquals((await client.response()).body, "Welcome!");
    }
    for (const client of [used, fresh, silent]) {
      assertEquals(await client.rest(), "");
      client[Symbol.dispose]();
    }
    await stopped;
  },
);

test(
  "HTTPListener.stop() tells clients to close, and those that connect again not before others are refused",
  NET,
  async () => {
    await using app = await serving(home);
    const { addr } = app;
    using client = await connected(app);
    const stopped = app.stop();
    const ask = async (client: RawClient): Promise<string | undefined> => {
      await client.send(GET);
      return new Map((await client.response()).headers).get("connection");
    };
    assertEquals(await ask(client), "close");
    client[Symbol.dispose]();
    using again = await RawClient.connect(addr);
    let connection = await ask(again);
    assertEquals(connection, undefined);
    while (connection === undefined) connection = await ask(again);
    assertEquals(connection, "close");
    await assertRejects(() => RawClient.connect(addr), Deno.errors.ConnectionRefused);
    again[Symbol.dispose]();
    await stopped;
  },
);

test(
  "HTTPListener.stop() does not wait until clients close that have long been idle",
  NET,
  async () => {
    await using app = await serving(home);
    using _used = await connected(app);
    using _fresh = await RawClient.connect(app.addr);
    const areIdle = (): boolean => {
      const connections = [...app.connections()];
      return connections.length === 2 && connections.every(({ idle }) => idle >= 1000);
    };
    while (!areIdle()) await new Promise((resolve) => setTimeout(resolve, 20));
    // A client that has just been answered is given a second to read that.
    const second = Promise.withResolvers<string>();
    const timer = setTimeout(second.resolve, 1000, "a second later");
    assertEquals(await Promise.race([app.stop(), second.promise]), undefined);
    clearTimeout(timer);
  },
);

test(
  "HTTPListener.stop() cuts no response that its client is slow to read, though its handler has long ended",
  NET,
  async () => {
    const body = "x".repeat(8 << 20);
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, body));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    await client.until("\r\n\r\n");
    const stopped = app.stop();
    while ([...app.connections()].some(({ state }) => state !== "closing")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals((await client.rest()).length, body.length);
    client[Symbol.dispose]();
    await stopped;
  },
);

test("HTTPListener.stop() lets a head that has begun come to its end", NET, async () => {
  await using app = await serving(home);
  using slow = await connected(app);
  using silent = await connected(app);
  await slow.send(GET.slice(0, 10));
  await connected(app).then((it) => it[Symbol.dispose]());
  const stopped = app.stop();
  assertEquals(await silent.rest(), "");
  await slow.send(GET.slice(10));
  assertEquals(await lastAnswer(slow), "Welcome!");
  for (const client of [slow, silent]) client[Symbol.dispose]();
  await stopped;
});

test("HTTPListener.stop() ends streams of events, those too that begin later", NET, async () => {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  async function* untilAborted(signal: AbortSignal): AsyncGenerator<string> {
    yield "first ";
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    yield String(signal.reason);
  }
  await using app = await serving((app) => {
    home(app);
    const headers = { "Content-Type": "text/event-stream" };
    app.onEvent(
      "GET:/stream",
      ({ ctx, signal }) => ctx.response(200, untilAborted(signal), headers),
    );
    app.onEvent("GET:/late", async ({ ctx, signal }) => {
      asked.resolve();
      await goOn.promise;
      return ctx.response(200, untilAborted(signal), headers);
    });
  });
  using begun = await RawClient.connect(app.addr);
  await begun.send(GET.replace("/", "/stream"));
  await begun.until("first ");
  using late = await RawClient.connect(app.addr);
  await late.send(GET.replace("/", "/late"));
  await asked.promise;
  using idle = await connected(app);
  const stopped = app.stop();
  await idle.send(GET.replace("/", "/stream"));
  goOn.resolve();
  // Its head has not told that the connection ends: one more request may come.
  await begun.until("AbortError: The server is stopping\r\n0\r\n\r\n");
  await begun.send(GET);
  assertEquals((await begun.response()).body, "Welcome!");
  for (const client of [late, idle]) {
    assertEquals((await client.response()).body, "first AbortError: The server is stopping");
  }
  for (const client of [begun, late, idle]) {
    assertEquals(await client.rest(), "");
    client[Symbol.dispose]();
  }
  await stopped;
});

test(
  "HTTPListener.stop() ends a stream of events that does not listen, for a GET",
  NET,
  async () => {
    const goOn = Promise.withResolvers<void>();
    const isTold = Promise.withResolvers<unknown>();
    async function* halves(): AsyncGenerator<string> {
      yield "one ";
      await goOn.promise;
      yield "two";
    }
    await using app = await serving((app) => {
      const headers = { "Content-Type": "text/event-stream" };
      app.onEvent("POST:/", ({ ctx }) => ctx.response(200, halves(), headers));
      app.onEvent("GET:/stuck", ({ ctx }) => ctx.response(200, halves(), headers));
      app.onEvent("GET:/", () => {
        const source = {
          cancel: isTold.resolve,
          start: (it: Controller) => it.enqueue(latin1("one ")),
        };
        return new Response(new ReadableStream(source), { headers });
      });
    }, { shutdownGrace: 60_000 });
    const begun: RawClient[] = [];
    for (const start of ["POST / ", "GET / ", "GET /stuck "]) {
      const client = await RawClient.connect(app.addr);
      begun.push(client);
      await client.send(GET.replace("GET / ", start));
      await client.until("one \r\n");
    }
    const stopped = app.stop();
    const [finite, ...endless] = begun;
    for (const client of endless) assertEquals(await client.rest(), "0\r\n\r\n");
    assertEquals(String(await isTold.promise), "AbortError: The server is stopping");
    goOn.resolve();
    await finite.until("two\r\n0\r\n\r\n");
    await stopped;
    for (const client of begun) client[Symbol.dispose]();
  },
);

test(
  "HTTPListener.stop() waits for what is sent, though there was no client before",
  NET,
  async () => {
    const goOn = Promise.withResolvers<void>();
    async function* halves(): AsyncGenerator<string> {
      yield "one ";
      await goOn.promise;
      yield "two";
    }
    await using app = await serving((app) => {
      home(app);
      app.onEvent("GET:/halves", ({ ctx }) => void ctx.response(200, halves()));
    });
    (await connected(app))[Symbol.dispose]();
    while ([...app.connections()].length > 0) await settled();
    using client = await RawClient.connect(app.addr);
    await client.send(GET.replace("/", "/halves"));
    await client.until("one ");
    const order: string[] = [];
    const stopped = app.stop().then(() => order.push("stopped"));
    // The address is free once the server has done all that it does before it waits.
    for (;;) {
      try {
        using _late = await RawClient.connect(app.addr);
      } catch {
        break;
      }
    }
    for (let i = 0; i < 10; i++) await settled();
    order.push("sent");
    goOn.resolve();
    await client.until("two\r\n0\r\n\r\n");
    client[Symbol.dispose]();
    await stopped;
    assertEquals(order, ["sent", "stopped"]);
  },
);

test("HTTPListener.stop() lets a stream finish whose source follows the signal", NET, async () => {
  const goOn = Promise.withResolvers<void>();
  await using origin = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen(): void {} }, () => {
    async function* halves(): AsyncGenerator<string> {
      yield "one ";
      await goOn.promise;
      yield "two";
    }
    return new Response(ReadableStream.from(halves()).pipeThrough(new TextEncoderStream()));
  });
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx, signal }) => {
      const { body } = await fetch(`http://127.0.0.1:${origin.addr.port}`, { signal });
      return ctx.response(200, body);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.until("one ");
  const stopped = app.stop();
  goOn.resolve();
  await client.until("two\r\n0\r\n\r\n");
  client[Symbol.dispose]();
  await stopped;
});

test(
  "Listener.stopSignal lets an upgraded connection say good-bye within the grace",
  NET,
  async () => {
    const app = await serving((app) => {
      app.onEvent("GET:/", async ({ ctx, signal }) => {
        const { conn } = await ctx.upgrade();
        using _closedAtTheEnd = conn;
        await new Promise<void>((resolve) => {
          app.stopSignal.addEventListener("abort", () => resolve(), { signal });
        });
        await conn.write(new TextEncoder().encode("bye"));
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: talk\r\n\r\n");
    await client.until("\r\n\r\n");
    await app.stop();
    assertEquals(await client.rest(), "bye");
  },
);

test(
  "HTTPListener.stop() serves no connection that comes when the grace is over",
  NET,
  async () => {
    const asked = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const accepted = Promise.withResolvers<void>();
    using _ = new Accepting((_, before) => {
      if (before === 0) return;
      accepted.resolve();
      return aborted.promise;
    });
    await using app = await serving((app) => {
      home(app);
      app.onEvent("GET:/stuck", ({ signal }) => {
        signal.addEventListener("abort", () => aborted.resolve());
        asked.resolve();
        return new Promise(() => {});
      });
    }, { shutdownGrace: 1 });
    using stuck = await RawClient.connect(app.addr);
    await stuck.send(GET.replace("/", "/stuck"));
    await asked.promise;
    using late = await RawClient.connect(app.addr);
    await late.send(GET);
    await accepted.promise;
    await app.stop();
    assertEquals(await late.answers(), false);
  },
);
