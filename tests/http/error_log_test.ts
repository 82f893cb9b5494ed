// errorLog: what the server reports besides requests.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ErrorLogEntry, HTTPContext, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const FAULT = new Error("my own fault");

function routes(app: HTTPListener): void {
  app.onEvent("GET:/throws", () => {
    throw FAULT;
  });
  app.onEvent("GET:/nothing", () => {});
  app.onEvent(
    "GET:/slow",
    { handlerTimeout: 1 },
    ({ signal }) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  );
  app.onEvent("GET:/event", ({ ctx }) => {
    ctx.triggerEvent("job");
    return ctx.response(204);
  });
  app.onEvent("job", () => {
    throw FAULT;
  });
}

/** The level, the message, and what was thrown if anything was. */
const REPORTED: [what: string, sent: string, reported: unknown[]][] = [
  ["what a handler throws", "GET /throws", ["error", 'Cannot answer "GET /throws"', FAULT]],
  [
    "a handler without a response",
    "GET /nothing",
    [
      "error",
      'Cannot answer "GET /nothing": the handler of route "GET:/nothing" ended without a response; ' +
      "call ctx.response()",
    ],
  ],
  [
    "a handler that takes too long",
    "GET /slow",
    [
      "error",
      'Cannot answer "GET /slow": Cannot finish event "GET:/slow" ("GET:/slow"): still running after 1 ms',
    ],
  ],
  [
    "an event that nothing awaits",
    "GET /event",
    ["error", 'Cannot finish event "job" ("job")', FAULT],
  ],
];

for (const [what, sent, reported] of REPORTED) {
  test(`errorLog receives ${what}, with the context of the request`, NET, async () => {
    using printed = new ErrorLog();
    const { promise, resolve } = Promise.withResolvers<ErrorLogEntry>();
    const errorLog = (entry: ErrorLogEntry): void => {
      if (entry.level === "error") resolve(entry);
    };
    let cid = "";
    await using app = await serving((app) => {
      app.aroundRequest((ctx, next) => {
        ({ cid } = ctx);
        return next();
      });
      routes(app);
    }, { errorLog });
    using client = await RawClient.connect(app.addr);
    await client.send(`${sent} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.response();
    const { level, message, ctx, ...thrown } = await promise;
    assertEquals([level, message, ...Object.values(thrown)], reported);
    assert(ctx instanceof HTTPContext);
    assertEquals(ctx.cid, cid);
    assertEquals(printed.entries, []);
  });
}

test(
  "errorLog receives where the server listens, and refused clients, without an access log",
  NET,
  async () => {
    const entries: ErrorLogEntry[] = [];
    const errorLog = (entry: ErrorLogEntry): void => void entries.push(entry);
    await using app = await serving(routes, { errorLog, accessLog: false });
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\n\x1b: a\r\n\r\n");
    await client.rest();
    const [started, refused] = entries;
    const { port } = app.addr;
    const message = `Tiny-listener HTTP server running on 127.0.0.1:${port}`;
    assertEquals(started, { level: "info", message, ctx: null });
    assertEquals([refused.level, refused.ctx], ["warning", null]);
    assertMatch(refused.message, /^127\.0\.0\.1:\d+ - refused with 400: .*\\x1b/);
  },
);

test("errorLog receives no context with an event that belongs to no request", NET, async () => {
  const { promise, resolve } = Promise.withResolvers<ErrorLogEntry>();
  const app = new HTTPListener({ errorLog: resolve });
  routes(app);
  app.triggerEvent("job");
  const message = 'Cannot finish event "job" ("job")';
  assertEquals(await promise, { level: "error", message, error: FAULT, ctx: null });
});

const FAILING: [how: string, errorLog: () => void | Promise<void>][] = [
  ["throws", () => {
    throw new Error("no disk");
  }],
  ["rejects", () => Promise.reject(new Error("no disk"))],
];

for (const [how, errorLog] of FAILING) {
  test(`an errorLog that ${how} loses nothing: both errors are printed`, NET, async () => {
    using printed = new ErrorLog();
    const response = await new HTTPListener({ errorLog }).fetch("/");
    assertEquals([response.status, printed.entries], [404, []]);
    const app = new HTTPListener({ errorLog });
    routes(app);
    assertEquals((await app.fetch("/throws")).status, 500);
    const [first, second] = printed.entries;
    assertMatch(first, /^Cannot answer "GET \/throws": Error: my own fault\n {4}at /);
    assertMatch(second, /^Cannot report this: errorLog failed: Error: no disk\n {4}at /);
  });
}
