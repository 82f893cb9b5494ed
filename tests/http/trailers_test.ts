import { assertEquals } from "@std/assert";
import type { HTTPContext, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient, undated } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const TRAILERS = { "X-Sum": "abc" };
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/** Sends a request for "/", whose handler is given, and one more; all that comes back for the first. */
async function answer(
  handler: (ctx: HTTPContext) => unknown,
  { method = "GET", version = "1.1" } = {},
): Promise<string> {
  const routes = (app: HTTPListener): void => {
    app.onEvent("GET:/", ({ ctx }) => handler(ctx));
    app.onEvent("GET:/next", ({ ctx }) => ctx.response(204, null, { Date: "next" }));
  };
  await using app = await serving(routes);
  using client = await RawClient.connect(app.addr);
  const keep = version === "1.0" ? "Connection: keep-alive\r\n" : "";
  await client.send(`${method} / HTTP/${version}\r\nHost: a\r\n${keep}\r\n${NEXT}`);
  await client.closeWrite();
  const received = await client.rest();
  return undated(received.split("HTTP/1.1 204 No Content\r\nDate: next\r\n")[0]);
}

async function* parts(ctx: HTTPContext): AsyncGenerator<string> {
  yield await Promise.resolve("ab");
  yield "c";
  // What is only known at the end may be set as late as this.
  ctx.setTrailers(TRAILERS);
}

const CHUNKED = "Date: now\r\nTransfer-Encoding: chunked\r\n\r\n";
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";

// What a handler sends with trailers, and what follows the status line.
const SENT: [
  what: string,
  handler: (ctx: HTTPContext) => unknown,
  request: { method?: string; version?: string },
  received: string,
][] = [
  [
    "after a string, which leaves in a chunk",
    (ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(200, "abc");
    },
    {},
    `${TEXT}${CHUNKED}3\r\nabc\r\n0\r\nX-Sum: abc\r\n\r\n`,
  ],
  [
    "after a stream, though they are set at its end",
    (ctx) => ctx.response(200, parts(ctx)),
    {},
    `${CHUNKED}2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: abc\r\n\r\n`,
  ],
  [
    "after no body",
    (ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(200);
    },
    {},
    `${CHUNKED}0\r\nX-Sum: abc\r\n\r\n`,
  ],
  [
    "not to HTTP/1.0",
    (ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(200, "abc");
    },
    { version: "1.0" },
    `${TEXT}Date: now\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc`,
  ],
  [
    "not to HTTP/1.0 after a stream",
    (ctx) => ctx.response(200, parts(ctx)),
    { version: "1.0" },
    "Date: now\r\nConnection: close\r\n\r\nabc",
  ],
  [
    "not with Content-Length",
    (ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(200, "abc", { "Content-Length": "3" });
    },
    {},
    `Content-Length: 3\r\n${TEXT}Date: now\r\n\r\nabc`,
  ],
  [
    "not with Content-Length after a stream",
    (ctx) => ctx.response(200, parts(ctx), { "Content-Length": "3" }),
    {},
    "Content-Length: 3\r\nDate: now\r\n\r\nabc",
  ],
  [
    "not to HEAD",
    (ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(200, "abc");
    },
    { method: "HEAD" },
    `${TEXT}Date: now\r\nContent-Length: 3\r\n\r\n`,
  ],
];

for (const [what, handler, request, received] of SENT) {
  test(`HTTPContext.setTrailers() sends them ${what}`, NET, async () => {
    using errors = new ErrorLog();
    assertEquals(await answer(handler, request), `HTTP/1.1 200 OK\r\n${received}`);
    assertEquals(errors.entries, []);
  });
}

for (const status of [204, 304]) {
  test(`HTTPContext.setTrailers() sends none with ${status}`, NET, async () => {
    const received = await answer((ctx) => {
      ctx.setTrailers(TRAILERS);
      ctx.response(status, null, { Date: "now", "X-A": "1" });
    });
    assertEquals(received.slice(received.indexOf("\r\n")), "\r\nDate: now\r\nX-A: 1\r\n\r\n");
  });
}

// Fields that may not be trailers (RFC 9110 6.5.1), or are not valid.
const REFUSED: [what: string, headers: Record<string, string>][] = [
  ["Content-Length", { "Content-Length": "3" }],
  ["Transfer-Encoding", { "Transfer-Encoding": "chunked" }],
  ["a line break", { "X-A": "b\r\nX-C: d" }],
];

for (const [what, headers] of REFUSED) {
  test(`HTTPContext.setTrailers() refuses ${what}, and 500 is sent`, NET, async () => {
    using errors = new ErrorLog();
    const received = await answer((ctx) => {
      ctx.setTrailers(headers);
      ctx.response(200, "abc");
    });
    assertEquals(received.startsWith("HTTP/1.1 500 Internal Server Error\r\n"), true, received);
    assertEquals(errors.entries.length, 1);
  });
}
