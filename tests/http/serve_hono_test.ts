// Hono as it is published, with its middleware, on serve(): its `fetch` is handed over unchanged.

import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { compress } from "hono/compress";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { stream, streamSSE, streamText } from "hono/streaming";
import { assertEquals, assertMatch } from "@std/assert";
import { serve } from "../../http_context.ts";
import { test } from "../needs.ts";
import { latin1, RawClient } from "./raw_client.ts";
import { NET } from "./serving.ts";

const SENTENCE = "The quick brown fox jumps over the lazy dog. ";

/** An app, and what it waits for: `next` lets its streams go on, `left` resolves when a client has left. */
function demo(): { app: Hono; next: () => void; left: Promise<void> } {
  let next = (): void => {};
  const asked = (): Promise<void> => new Promise((resolve) => next = resolve);
  const left = Promise.withResolvers<void>();
  const app = new Hono();

  app.get("/user/:name", (c) => c.text(`Hello, ${c.req.param("name")}! ${c.req.query("q")}`));
  app.post("/json", async (c) => c.json({ got: await c.req.json() }, 201));
  app.post("/form", async (c) => {
    const { title, file } = await c.req.parseBody();
    const { name, size } = file as File;
    return c.json({ title, name, size });
  });
  app.get("/fail", () => {
    throw new Error("secret");
  });
  app.onError((error, c) => c.text(`failed: ${error.name}`, 500));
  app.notFound((c) => c.text("nothing here", 404));

  app.use("/compressed", compress());
  app.get("/compressed", (c) => c.text(SENTENCE.repeat(100)));
  app.use("/tagged", etag());
  app.get("/tagged", (c) => c.text("tagged"));
  app.use("/shared", cors({ origin: "http://b", allowMethods: ["GET", "PUT"], credentials: true }));
  app.get("/shared", (c) => c.text("shared"));
  app.use("/small", bodyLimit({ maxSize: 10, onError: (c) => c.text("too much", 413) }));
  app.post("/small", async (c) => c.text(`took ${(await c.req.text()).length}`));

  app.get("/stream", (c) =>
    stream(c, async (out) => {
      await out.write(Uint8Array.of(1, 2));
      await asked();
      await out.pipe(new Blob([Uint8Array.of(3)]).stream());
    }));
  app.get("/endless", (c) =>
    stream(c, async (out) => {
      out.onAbort(left.resolve);
      while (!out.aborted) await out.write(new Uint8Array(64 * 1024));
    }));
  app.get("/text", (c) =>
    streamText(c, async (out) => {
      await out.writeln("one");
      await asked();
      await out.write("two");
    }));
  app.get("/events", (c) =>
    streamSSE(c, async (out) => {
      await out.writeSSE({ data: "one", event: "count", id: "1" });
      await asked();
      await out.writeSSE({ data: "two", event: "count", id: "2" });
    }));
  return { app, next: () => next(), left: left.promise };
}

// One request each, and what has to come back of it.
const ANSWERS: [
  what: string,
  request: [path: string, init?: RequestInit],
  status: number,
  fields: Record<string, string | null>,
  body: string,
][] = [
  [
    "routing",
    ["/user/J%C3%BCrgen?q=%26"],
    200,
    { "content-type": "text/plain;charset=UTF-8", "content-length": "17" },
    "Hello, Jürgen! &",
  ],
  ["a route that is not there", ["/nope"], 404, {}, "nothing here"],
  ["a handler that throws", ["/fail"], 500, {}, "failed: Error"],
  [
    "JSON both ways",
    ["/json", { method: "POST", body: '{"a":[1]}' }],
    201,
    { "content-type": "application/json", "content-length": "17" },
    '{"got":{"a":[1]}}',
  ],
  [
    "a multipart form",
    ["/form", { method: "POST", body: form() }],
    200,
    {},
    JSON.stringify({
      title: "Notes",
      name: "a.txt",
      size: 3,
    }),
  ],
  [
    "compress",
    ["/compressed"],
    200,
    { "content-length": null, "vary": "Accept-Encoding" },
    SENTENCE.repeat(100),
  ],
  [
    "etag",
    ["/tagged"],
    200,
    { etag: '"8e1ec218dc7ecaadd65388fba9b6723ce114268a"', "content-length": "6" },
    "tagged",
  ],
  [
    "cors",
    ["/shared", { headers: { Origin: "http://b" } }],
    200,
    { "access-control-allow-origin": "http://b", "access-control-allow-credentials": "true" },
    "shared",
  ],
  [
    "the preflight of cors",
    ["/shared", {
      method: "OPTIONS",
      headers: { Origin: "http://b", "Access-Control-Request-Method": "PUT" },
    }],
    204,
    { "access-control-allow-methods": "GET,PUT", "content-length": null },
    "",
  ],
  [
    "a body under its limit",
    ["/small", { method: "POST", body: "0123456789" }],
    200,
    {},
    "took 10",
  ],
  [
    "a body over its limit",
    ["/small", { method: "POST", body: "0123456789a" }],
    413,
    {},
    "too much",
  ],
  [
    "a body over its limit, of no known length",
    ["/small", { method: "POST", body: ReadableStream.from([latin1("0123456789"), latin1("a")]) }],
    413,
    {},
    "too much",
  ],
];

function form(): FormData {
  const form = new FormData();
  form.set("title", "Notes");
  form.set("file", new File(["abc"], "a.txt"));
  return form;
}

/** Serves Hono on a free port. */
function serving(app: Hono): Deno.HttpServer<Deno.NetAddr> {
  return serve({ hostname: "127.0.0.1", port: 0, onListen(): void {} }, app.fetch);
}

for (const [what, [path, init], status, fields, body] of ANSWERS) {
  test(`serve() runs Hono: ${what}`, NET, async () => {
    await using server = serving(demo().app);
    const response = await fetch(`http://127.0.0.1:${server.addr.port}${path}`, init);
    const text = await response.text();
    const got = Object.keys(fields).map((name) => [name, response.headers.get(name)]);
    assertEquals([response.status, text, Object.fromEntries(got)], [status, body, fields]);
  });
}

test("serve() runs Hono: a body over maxBodySize is answered with 413", NET, async () => {
  const app = new Hono();
  app.post("/", async (c) => c.json(await c.req.json()));
  const options = { hostname: "127.0.0.1", port: 0, maxBodySize: 10, onListen(): void {} };
  await using server = serve(options, app.fetch);
  const url = `http://127.0.0.1:${server.addr.port}`;
  const response = await fetch(url, { method: "POST", body: '["0123456789"]' });
  assertEquals([response.status, await response.text()], [413, "Content Too Large"]);
});

test("serve() runs Hono: compress sends gzip in chunks", NET, async () => {
  await using server = serving(demo().app);
  using client = await RawClient.connect(server.addr);
  await client.send("GET /compressed HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
  const { head, body } = await client.response();
  assertMatch(head, /^Content-Encoding: gzip\r\n/m);
  assertMatch(head, /^Transfer-Encoding: chunked\r\n/m);
  assertEquals(body.slice(0, 2), "\x1f\x8b");
  const unzipped = new Blob([latin1(body)]).stream().pipeThrough(new DecompressionStream("gzip"));
  assertEquals(await new Response(unzipped).text(), SENTENCE.repeat(100));
});

test("serve() runs Hono: etag answers 304 to what the client has", NET, async () => {
  await using server = serving(demo().app);
  const url = `http://127.0.0.1:${server.addr.port}/tagged`;
  const first = await fetch(url);
  await first.body?.cancel();
  const tag = first.headers.get("etag")!;
  const second = await fetch(url, { headers: { "If-None-Match": tag } });
  assertEquals([second.status, second.headers.get("etag"), await second.text()], [304, tag, ""]);
});

// What is streamed, the type it has, and its two parts: the second one is let go when the first has come.
const STREAMS: [path: string, type: string | null, first: string, second: string][] = [
  ["/stream", null, "\x01\x02", "\x03"],
  ["/text", "text/plain", "one\n", "two"],
  [
    "/events",
    "text/event-stream",
    "event: count\ndata: one\nid: 1\n\n",
    "event: count\ndata: two\nid: 2\n\n",
  ],
];

for (const [path, type, first, second] of STREAMS) {
  test(`serve() runs Hono: ${path} sends each part when it is there`, NET, async () => {
    const { app, next } = demo();
    await using server = serving(app);
    const response = await fetch(`http://127.0.0.1:${server.addr.port}${path}`);
    assertEquals(response.headers.get("content-type")?.split(";")[0] ?? null, type);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let received = "";
    while (received.length < first.length) received += (await reader.read()).value;
    assertEquals(received, first);
    next();
    received = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      received += value;
    }
    assertEquals(received, second);
  });
}

test("serve() runs Hono: a stream is told that its client has left", NET, async () => {
  const { app, left } = demo();
  await using server = serving(app);
  const client = await RawClient.connect(server.addr);
  await client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until("\r\n\r\n");
  client[Symbol.dispose]();
  await left;
});

test("serve() runs Hono: streamSSE() ends when the server stops", NET, async () => {
  const app = new Hono();
  app.get("/", (c) =>
    streamSSE(c, async (out) => {
      await out.writeSSE({ data: "one" });
      await new Promise<void>((resolve) => out.onAbort(resolve));
    }));
  const server = serving(app);
  const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
  const stopped = server.shutdown();
  assertEquals(await response.text(), "data: one\n\n");
  await stopped;
});
