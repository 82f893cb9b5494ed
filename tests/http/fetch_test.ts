// app.fetch(): answers without a socket, so these tests need no permission.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HTTPListener, type ServerOptions } from "../../http_context.ts";
import { ErrorLog } from "./serving.ts";

function appWith(options?: ServerOptions): HTTPListener {
  const app = new HTTPListener(options);
  app.onEvent("GET:/user/<name>", ({ ctx, params }) => {
    ctx.response(200, `Hello, ${params.name}, ${ctx.query.get("q")}`, {
      "X-Host": ctx.headers.get("host")!,
    });
  });
  app.onEvent("POST:/echo", ({ ctx }) => {
    const { headers } = ctx;
    const framing = headers.get("content-length") ?? headers.get("transfer-encoding") ?? "none";
    ctx.response(201, ctx.body, {
      "X-Framing": framing,
      "X-Type": headers.get("content-type") ?? "none",
    });
  });
  app.onEvent("GET:/cookies", ({ ctx }) => {
    ctx.response(200, "", [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]]);
  });
  app.onEvent("GET:/throws", () => {
    throw new TypeError("secret");
  });
  app.onEvent("GET:/redirect", ({ ctx }) => ctx.redirect("/user/bob"));
  return app;
}

/** Status and body of the answer. */
async function answer(...args: Parameters<HTTPListener["fetch"]>): Promise<[number, string]> {
  using _ = new ErrorLog();
  const response = await appWith().fetch(...args);
  return [response.status, await response.text()];
}

const ANSWERS: [
  what: string,
  args: Parameters<HTTPListener["fetch"]>,
  expected: [number, string],
][] = [
  ["a path", ["/user/bob?q=1"], [200, "Hello, bob, 1"]],
  ["a URL", [new URL("http://a.example:81/user/bob%20b?q=1")], [200, "Hello, bob b, 1"]],
  ["a Request", [new Request("http://a/user/bob")], [200, "Hello, bob, null"]],
  ["a path that begins with two slashes", ["//x/user/bob"], [404, "Not Found"]],
  ["HEAD", ["/user/bob", { method: "HEAD" }], [200, ""]],
  ["a path without a route", ["/nothing"], [404, "Not Found"]],
  ["a method without a route", ["/user/bob", { method: "DELETE" }], [405, "Method Not Allowed"]],
  ["a handler that throws", ["/throws"], [500, "Internal Server Error"]],
  ["a redirect, which it does not follow", ["/redirect"], [302, "Found"]],
  ["a target over the limit", ["/" + "a".repeat(10_000)], [414, "URI Too Long"]],
  ["a head over the limit", ["/", { headers: { a: "b".repeat(20_000) } }], [
    431,
    "Request Header Fields Too Large",
  ]],
];
for (const [what, args, expected] of ANSWERS) {
  Deno.test(`fetch() gives the answer to ${what}`, async () => {
    assertEquals(await answer(...args), expected);
  });
}

Deno.test("fetch() gives fields as they were sent, and Host is the URL's", async () => {
  const app = appWith();
  const response = await app.fetch("http://a.example:81/user/bob");
  assertEquals(response.headers.get("x-host"), "a.example:81");
  assertMatch(response.headers.get("date")!, /GMT$/);
  assertEquals(response.statusText, "OK");
  await response.body!.cancel();
  assertEquals((await app.fetch("/cookies")).headers.getSetCookie(), ["a=1", "b=2"]);
});

const BODIES: [what: string, init: RequestInit, framing: string, type: string, body: string][] = [
  ["text", { body: "Jürgen" }, "7", "text/plain;charset=UTF-8", "Jürgen"],
  ["bytes", { body: new Uint8Array([97, 98]) }, "2", "none", "ab"],
  [
    "a form",
    { body: new URLSearchParams({ a: "1" }) },
    "3",
    "application/x-www-form-urlencoded;charset=UTF-8",
    "a=1",
  ],
  [
    "a stream",
    { body: ReadableStream.from(["a", "bc"]).pipeThrough(new TextEncoderStream()) },
    "chunked",
    "none",
    "abc",
  ],
  ["a Blob", { body: new Blob(["abc"], { type: "text/a" }) }, "3", "text/a", "abc"],
  ["an empty Blob", { body: new Blob() }, "0", "none", ""],
  ["nothing", {}, "0", "none", ""],
];
for (const [what, init, framing, type, body] of BODIES) {
  Deno.test(`fetch() sends ${what} as fetch() over a socket does`, async () => {
    const response = await appWith().fetch("/echo", { method: "POST", ...init });
    assertEquals(response.status, 201);
    assertEquals(response.headers.get("x-framing"), framing);
    assertEquals(response.headers.get("x-type"), type);
    assertEquals(await response.text(), body);
  });
}

Deno.test("fetch() sends a form with files with its length, as fetch() over a socket does", async () => {
  const form = new FormData();
  form.set("a", "1");
  form.set("file", new File(["x".repeat(200_000)], "b.txt"));
  const response = await appWith().fetch("/echo", { method: "POST", body: form });
  assertEquals(response.headers.get("x-framing"), `${(await response.bytes()).length}`);
});

Deno.test("fetch() streams both ways at a time, however much it is", async () => {
  const part = new Uint8Array(64 * 1024);
  let sent = 0, received = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller): void {
      if (sent === 20) controller.close();
      else {
        sent++;
        controller.enqueue(part);
      }
    },
  }, { highWaterMark: 0 });
  const response = await appWith().fetch("/echo", { method: "POST", body });
  // What nobody reads stays where it is: in the pipes, of 64 KiB each, read ahead, and in hand.
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert(sent <= 7, `${sent} parts sent while nobody reads`);
  for await (const data of response.body!) received += data.length;
  assertEquals(received, 20 * part.length);
});

Deno.test("fetch() ends with its signal as with a client that leaves", async () => {
  const left = Promise.withResolvers<void>();
  const app = new HTTPListener();
  app.onEvent("GET:/wait", async ({ signal }) => {
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    controller.abort(new RangeError("enough"));
    await aborted;
    left.resolve();
  });
  const controller = new AbortController();
  await assertRejects(
    () => app.fetch("/wait", { signal: controller.signal }),
    RangeError,
    "enough",
  );
  await left.promise;
  await assertRejects(
    () => app.fetch("/wait", { signal: controller.signal }),
    RangeError,
    "enough",
  );
  assertEquals(app.ctxs.size, 0);
});

Deno.test("fetch() ends a stream whose reader cancels it, and one whose signal is aborted", async () => {
  const ended: string[] = [];
  const all = Promise.withResolvers<void>();
  const app = new HTTPListener();
  app.onEvent("GET:/<name>", ({ ctx, params }) =>
    ctx.response(
      200,
      (async function* (): AsyncGenerator<string> {
        try {
          for (;;) yield await Promise.resolve("more ");
        } finally {
          if (ended.push(params.name) === 2) all.resolve();
        }
      })(),
    ));
  const first = await app.fetch("/cancelled");
  const reader = first.body!.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value).slice(0, 5), "more ");
  await reader.cancel();
  const controller = new AbortController();
  const second = await app.fetch("/aborted", { signal: controller.signal });
  controller.abort(new RangeError("enough"));
  await assertRejects(() => second.text(), RangeError, "enough");
  await all.promise;
  assertEquals(ended.sort(), ["aborted", "cancelled"]);
});

Deno.test("fetch() fails as the response does that ends before its end", async () => {
  using _ = new ErrorLog();
  const app = new HTTPListener();
  app.onEvent("GET:/", ({ ctx }) =>
    ctx.response(
      200,
      (async function* (): AsyncGenerator<string> {
        yield await Promise.resolve("part");
        throw new RangeError("broken");
      })(),
    ));
  const response = await app.fetch("/");
  await assertRejects(() => response.text(), TypeError, "the application aborted the response");
});

Deno.test("fetch() fails with what the request's body fails with", async () => {
  const body = new ReadableStream({ pull: (it) => it.error(new RangeError("no more")) });
  const app = new HTTPListener();
  app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, await ctx.text()));
  await assertRejects(() => app.fetch("/", { method: "POST", body }), RangeError, "no more");
});

Deno.test("fetch() tells what to use for an upgrade", async () => {
  const app = new HTTPListener();
  app.onEvent("GET:/", async ({ ctx }) => {
    const { conn } = await ctx.upgrade();
    conn.close();
  });
  const headers = { Connection: "Upgrade", Upgrade: "echo" };
  await assertRejects(() => app.fetch("/", { headers }), TypeError, "use testClient()");
});

Deno.test("fetch() does not fail where the answer comes before the body was sent", async () => {
  const app = new HTTPListener();
  app.onEvent("POST:/", ({ ctx }) => ctx.response(403, "no"));
  const body = new Uint8Array(1024 * 1024);
  const response = await app.fetch("/", { method: "POST", body });
  assertEquals([response.status, await response.text()], [403, "no"]);
});

Deno.test("fetch() cancels a body whose answer comes before it was sent", async () => {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel: () => cancelled.resolve(),
  });
  const app = new HTTPListener();
  app.onEvent("POST:/", ({ ctx }) => ctx.response(403, "no"));
  const response = await app.fetch("/", { method: "POST", body });
  assertEquals(await response.text(), "no");
  await cancelled.promise;
});

Deno.test("fetch() lets timers run while a body that is at hand is sent and dropped", async () => {
  const bytes = new Uint8Array(1000), end = performance.now() + 2_000;
  let isAtEnd = false;
  const body = new ReadableStream({
    pull: (controller) => {
      isAtEnd = performance.now() > end;
      if (isAtEnd) controller.close();
      else controller.enqueue(bytes);
    },
  });
  const app = new HTTPListener();
  app.onEvent("POST:/", ({ ctx }) => ctx.response(403, "no"));
  const response = await app.fetch("/", { method: "POST", body });
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert(!isAtEnd);
  assertEquals(await response.text(), "no");
});

Deno.test("fetch() runs hooks, and its context is one of the listener's while it lasts", async () => {
  const app = appWith();
  const log: unknown[] = [];
  app.aroundRequest(async (ctx, next) => {
    log.push(app.ctxs.get(ctx.cid) === ctx);
    await next();
    log.push(ctx.status);
  });
  app.beforeEvent(({ path }) => log.push(path));
  await (await app.fetch("/user/bob")).text();
  assertEquals(log, [true, "GET:/user/bob", 200]);
  assertEquals(app.ctxs.size, 0);
});
