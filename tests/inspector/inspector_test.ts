import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { HTTPError, HTTPListener } from "../../http_context.ts";
import { inspector, type InspectorOptions } from "../../inspector.ts";
import { isLoopback } from "../../inspector/access.ts";
import { RawClient } from "../http/raw_client.ts";
import { ErrorLog, NET, serving } from "../http/serving.ts";
import { test } from "../needs.ts";
import { Viewer } from "./viewer.ts";

function inspected(options?: InspectorOptions): HTTPListener {
  const app = new HTTPListener({ accessLog: false, trustedProxies: ["127.0.0.1"] });
  app.use(inspector(options));
  app.onEvent("GET:/user/<name>", ({ ctx }) => ctx.response(200, "hello"));
  return app;
}

/** Has each request answered, and its body read. */
async function request(app: HTTPListener, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    const [method, target] = path.includes(" ") ? path.split(" ") : ["GET", path];
    await (await app.fetch(target, { method })).text();
  }
}

// --- Who may look ---

const REFUSED: [what: string, options: InspectorOptions, headers: HeadersInit, why: string][] = [
  ["another name in Host", {}, { Host: "evil.example:8000" }, 'not as "evil.example"'],
  ["a name that ends like one of ours", {}, { Host: "a.localhost" }, 'not as "a.localhost"'],
  ["a client behind a proxy", {}, { "X-Forwarded-For": "127.0.0.1" }, '"x-forwarded-for"'],
  ["a proxy that says Forwarded", {}, { Forwarded: "for=127.0.0.1" }, '"forwarded"'],
  ["whom allow() refuses", { allow: () => false }, {}, "You are not allowed to view"],
  [
    "whom allow() refuses later",
    { allow: () => Promise.resolve(false) },
    {},
    "You are not allowed to view",
  ],
  ["another name though allow() says yes", { allow: () => true }, { Host: "a.example" }, "hosts"],
];
for (const [what, options, headers, why] of REFUSED) {
  Deno.test(`inspector() refuses ${what} with 403`, async () => {
    const app = inspected(options);
    for (const path of ["/_inspect", "/_inspect/events"]) {
      const response = await app.fetch(path, { headers });
      assertEquals(response.status, 403);
      assertStringIncludes(await response.text(), why);
    }
  });
}

const LET_IN: [what: string, options: InspectorOptions, headers: HeadersInit][] = [
  ["localhost", {}, { Host: "localhost:8000" }],
  ["127.0.0.1", {}, { Host: "127.0.0.1" }],
  ["[::1]", {}, { Host: "[::1]:80" }],
  ["whom allow() lets in", { allow: (ctx) => ctx.headers.get("x-key") === "k" }, {
    "X-Key": "k",
    "X-Forwarded-For": "192.0.2.1",
  }],
  ["a name of the option hosts", { hosts: ["Dev.Example"] }, { Host: "dev.example:81" }],
];
for (const [what, options, headers] of LET_IN) {
  Deno.test(`inspector() lets in ${what}`, async () => {
    const response = await inspected(options).fetch("/_inspect", { headers });
    assertEquals(response.status, 200);
    assertStringIncludes(await response.text(), "<!doctype html>");
  });
}

test("inspector() refuses whom a PROXY header shows to be on another machine", NET, async () => {
  const app = new HTTPListener({ port: 0, accessLog: false, proxyProtocol: true });
  app.use(inspector());
  await app.start();
  await using _stopped = app;
  for (const [client, status] of [["203.0.113.7", 403], ["127.0.0.1", 200]] as const) {
    using raw = await RawClient.connect(app.addr);
    await raw.send(
      `PROXY TCP4 ${client} 198.51.100.1 5555 80\r\nGET /_inspect HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    );
    assertEquals((await raw.response()).status, status, client);
  }
});

const ADDRESSES: [addr: Deno.Addr, expected: boolean][] = [
  [{ transport: "tcp", hostname: "127.0.0.1", port: 1 }, true],
  [{ transport: "tcp", hostname: "127.8.9.10", port: 1 }, true],
  [{ transport: "tcp", hostname: "::1", port: 1 }, true],
  [{ transport: "tcp", hostname: "::ffff:127.0.0.1", port: 1 }, true],
  [{ transport: "tcp", hostname: "192.0.2.1", port: 1 }, false],
  [{ transport: "tcp", hostname: "::ffff:192.0.2.1", port: 1 }, false],
  [{ transport: "tcp", hostname: "::", port: 1 }, false],
  [{ transport: "unix", path: "/run/app.sock" }, false],
];
Deno.test("isLoopback() knows this machine's addresses for itself", () => {
  for (const [addr, expected] of ADDRESSES) {
    assertEquals(isLoopback(addr), expected, JSON.stringify(addr));
  }
});

Deno.test("inspector() serves a page that runs its own script alone", async () => {
  const app = inspected({ path: "/dev/look" });
  const nonces = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const response = await app.fetch("/dev/look");
    const policy = response.headers.get("content-security-policy")!;
    const nonce = /script-src 'nonce-([\w-]+)'/.exec(policy)![1];
    assertMatch(policy, /^default-src 'none';.* connect-src 'self';.* frame-ancestors 'none'$/);
    const text = await response.text();
    assertStringIncludes(text, `<script nonce="${nonce}">`);
    // Nothing comes from elsewhere.
    assertEquals(text.match(/(src|href)="(?!data:)[^"]*"|@import|url\(/g), null);
    assertEquals(response.headers.get("cache-control"), "no-store");
    nonces.add(nonce);
  }
  assertEquals(nonces.size, 2);
});

Deno.test("inspector() refuses a path that is no path", () => {
  for (const path of ["", "/", "inspect", "/a/", "/<name>", "/a?b"]) {
    assertThrows(() => inspector({ path }), TypeError, `at "${path}"`);
  }
});

// --- What it shows ---

Deno.test("inspector() counts the requests of each route, and those without one", async () => {
  using _ = new ErrorLog();
  const app = inspected();
  app.onEvent("GET:/throws", () => {
    throw new TypeError("broken");
  });
  app.onEvent("GET:/taken", () => {
    throw new RangeError("taken");
  });
  app.onError(RangeError, ({ ctx }) => ctx.response(422));
  app.onEvent("GET:/503", () => {
    throw new HTTPError(503);
  });
  app.onEvent("GET:/late", ({ ctx }) => {
    ctx.response(200);
    throw new HTTPError(502);
  });
  await request(app, "/late");
  await request(app, "/user/bob", "/user/alice", "HEAD /user/bob", "/throws", "/taken", "/503");
  await request(app, "/nothing", "DELETE /user/bob", "/_inspect");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 9);
  const figures = [...viewer.routes.values()].map((
    { pattern, count, errors, active, p50 },
  ) => [pattern, count, errors, active, p50 !== null]);
  assertEquals(figures, [
    ["GET:/user/<name>", 3, 0, 0, true],
    ["GET:/throws", 1, 1, 0, true],
    ["GET:/taken", 1, 0, 0, true],
    ["GET:/503", 1, 1, 0, true],
    ["GET:/late", 1, 1, 0, true],
    ["no route", 2, 0, 0, true],
  ]);
  assertEquals(viewer.last.failures, 3);
  const errors = [...viewer.errors.values()].map((it) => `${it.label}: ${it.name} ${it.message}`);
  assertEquals(errors, [
    "GET /late: HTTPError Bad Gateway",
    "GET /throws: TypeError broken",
    "GET /503: HTTPError Service Unavailable",
  ]);
});

Deno.test("inspector() tells how long requests took", async () => {
  const app = inspected();
  app.onEvent("GET:/slow", async ({ ctx }) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    ctx.response(200);
  });
  await request(app, "/user/bob", "/slow");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 2);
  const slow = viewer.routes.get("GET:/slow")!;
  assert(slow.p50! > 27 && slow.p50 === slow.p99, `${slow.p50} ms`);
  const [first, second] = viewer.contexts.values();
  assert(first.duration! < second.duration! && second.duration! > 29);
});

Deno.test("inspector() tells what is under way, and then that it is over", async () => {
  const app = inspected();
  const goOn = Promise.withResolvers<void>();
  app.onEvent("GET:/wait", async ({ ctx }) => {
    await goOn.promise;
    ctx.response(200, "done");
  });
  const answer = app.fetch("/wait?a=1");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ contexts }) => contexts.size === 1);
  const [record] = viewer.contexts.values();
  assertEquals([record.label, record.duration, record.status], ["GET /wait?a=1", null, 0]);
  assertEquals(viewer.routes.get("GET:/wait")!.active, 1);
  // The viewer's own context is not counted.
  assertEquals(viewer.last.ctxs, 1);
  goOn.resolve();
  await (await answer).text();
  await viewer.until(({ contexts }) => contexts.get(record.id)!.status === 200);
  assertEquals(viewer.routes.get("GET:/wait")!.active, 0);
  assertEquals(viewer.contexts.size, 1);
  assertEquals(viewer.contexts.get(record.id)!.bytes, 4);
});

Deno.test("inspector() tells the events of a context, with what they failed with", async () => {
  const app = inspected();
  app.onEvent("POST:/orders", { name: "order" }, async ({ ctx }) => {
    await ctx.triggerEvent("check stock");
    await ctx.triggerEvent("send mail to bob").catch(() => {});
    ctx.response(201);
  });
  app.onEvent("check stock", () => new Promise((resolve) => setTimeout(resolve, 5)));
  app.onEvent("send mail to <who>", () => Promise.reject(new RangeError("no mail")));
  await request(app, "POST /orders");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 1);
  const [{ events, hasFailed }] = viewer.contexts.values();
  assertEquals(events.map(({ name, path, error }) => [name, path, error]), [
    ["order", "POST:/orders", null],
    ["check stock", "check stock", null],
    ["send mail to <who>", "send mail to bob", "RangeError: no mail"],
  ]);
  assertEquals(hasFailed, false);
  const [order, check, mail] = events;
  assert(order.start <= check.start && check.start + check.duration! <= mail.start);
  assertEquals(viewer.routes.get("send mail to <who>")!.errors, 1);
  assertEquals([...viewer.errors.values()].map((it) => it.label), ["send mail to bob"]);
});

Deno.test("inspector() tells a request's event from those that a hook around it triggers", async () => {
  const app = inspected();
  app.onEvent("audit", () => {});
  app.aroundRequest((ctx, next) => {
    ctx.triggerEvent("audit");
    return next();
  });
  await request(app, "/user/a", "/user/b", "/user/c");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 3);
  const figures = [...viewer.routes.values()].map(({ pattern, count, active }) => [
    pattern,
    count,
    active,
  ]);
  assertEquals(figures, [["GET:/user/<name>", 3, 0], ["audit", 3, 0]]);
});

Deno.test("inspector() shows no route any more that was removed", async () => {
  const app = inspected();
  app.onEvent("GET:/old", { name: "old" }, ({ ctx }) => ctx.response(200));
  await request(app, "/old");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 1);
  assertEquals([...viewer.routes.keys()], ["GET:/user/<name>", "GET:/old"]);
  app.removeOnEventHook("old");
  await viewer.until(({ routes }) => !routes.has("GET:/old"));
  assertEquals([...viewer.routes.keys()], ["GET:/user/<name>"]);
});

const THROWN: [what: string, thrown: unknown, told: string][] = [
  ["text", "broken", "thrown: broken"],
  ["an object without text", Object.create(null), "thrown: a value that cannot be shown"],
  [
    "an error whose message and stack are no text",
    Object.assign(new Error(), { message: 5, stack: 5 }),
    "Error: 5",
  ],
];
for (const [what, thrown, told] of THROWN) {
  Deno.test(`inspector() tells of ${what} that was thrown`, async () => {
    using _ = new ErrorLog();
    const app = inspected();
    app.onEvent("GET:/throws", () => Promise.reject(thrown));
    await request(app, "/throws");
    await using viewer = await Viewer.open(app);
    await viewer.until(({ last }) => last.requests === 1);
    assertEquals([...viewer.errors.values()].map((it) => `${it.name}: ${it.message}`), [told]);
  });
}

Deno.test("inspector() tells contexts that the application makes itself", async () => {
  const app = inspected();
  const goOn = Promise.withResolvers<void>();
  app.onEvent("step <n:int>", ({ params }) => params.n === 1 ? goOn.promise : undefined);
  const ctx = app.newCtx({ cid: "job" });
  const task = ctx.triggerEvent("step 1");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ contexts }) => contexts.size === 1);
  const [{ id, label, isRequest, duration }] = viewer.contexts.values();
  assertEquals([label, isRequest, duration], ["context job", false, null]);
  goOn.resolve();
  await task;
  await ctx.triggerEvent("step 2");
  await viewer.until(({ contexts }) => contexts.get(id)!.events.length === 2);
  assert(viewer.contexts.get(id)!.duration !== null);
  assertEquals(viewer.last.requests, 0);
});

Deno.test("inspector() keeps a bounded number of contexts, events and errors, and bounded text", async () => {
  using _ = new ErrorLog();
  const app = inspected();
  app.onEvent("GET:/throws/<n>", ({ params }) => {
    throw new Error(params.n);
  });
  app.onEvent("GET:/many", async ({ ctx }) => {
    for (let i = 0; i < 60; i++) await ctx.triggerEvent("sub");
    ctx.response(200);
  });
  app.onEvent("sub", () => {});
  const goOn = Promise.withResolvers<void>();
  app.onEvent("GET:/wait", async ({ ctx }) => {
    await goOn.promise;
    ctx.response(200);
  });
  const waiting = app.fetch("/wait");
  for (let i = 0; i < 300; i++) await request(app, `/throws/${i}`);
  await request(app, "/many", "/user/" + "a".repeat(3_000));
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 302);
  const contexts = [...viewer.contexts.values()];
  assertEquals(contexts.length, 200);
  // What is under way stays.
  assertEquals(contexts[0].label, "GET /wait");
  assertEquals(viewer.errors.size, 50);
  assertEquals([...viewer.errors.values()].at(-1)!.message, "299");
  const [many, long] = contexts.slice(-2);
  assertEquals([many.events.length, many.moreEvents], [50, 11]);
  assert(long.label.length < 600);
  goOn.resolve();
  await waiting;
});

Deno.test("inspector() counts errors that are the same as one", async () => {
  using _ = new ErrorLog();
  const app = inspected();
  app.onEvent("GET:/throws", () => {
    throw new TypeError("broken");
  });
  await request(app, "/throws", "/user/bob", "/throws");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.requests === 3);
  const [{ count, stack }, ...others] = viewer.errors.values();
  assertEquals([count, others], [2, []]);
  assertStringIncludes(stack, "inspector_test.ts");
});

test("inspector() tells the connections, and which of them are its own", NET, async () => {
  await using app = await serving((app) => {
    app.use(inspector());
    app.onEvent("GET:/<any>", async ({ ctx, signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n");
  using own = await RawClient.connect(app.addr);
  await own.send("GET /_inspect/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) =>
    last.connections.length === 2 && last.connections.every(({ request }) => request !== null)
  );
  assertEquals(viewer.last.open, 1);
  const shown = viewer.last.connections.map((
    { address, state, request, isOwn },
  ) => [address, state, request, isOwn]);
  assertEquals(shown, [
    [client.address, "handling", "GET /a?b", false],
    [own.address, "sending", "GET /_inspect/events", true],
  ]);
});

test("inspector() shows the address of a client as the log does", NET, async () => {
  await using app = await serving((app) => void app.use(inspector()), { proxyProtocol: true });
  using client = await RawClient.connect(app.addr);
  await client.send("PROXY TCP6 ::1 ::1 5000 80\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.response();
  await using viewer = await Viewer.open(app);
  await viewer.until(({ last }) => last.connections.length === 1);
  assertEquals(viewer.last.connections[0].address, "[::1]:5000");
});

test("inspector() ends its streams when the server stops", NET, async () => {
  const app = await serving((app) => void app.use(inspector()), { shutdownGrace: 60_000 });
  using client = await RawClient.connect(app.addr);
  await client.send("GET /_inspect/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await client.until("data: ");
  const stopped = app.stop();
  assertMatch(await client.rest(), /\r\n0\r\n\r\n$/);
  client[Symbol.dispose]();
  await stopped;
});
