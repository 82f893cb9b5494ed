// Answers some requests that it sends itself, for telemetry_test.ts, which has Deno export what it does.

import { trace } from "@opentelemetry/api";
import { HTTPError, HTTPListener } from "../http_context.ts";
import { telemetry } from "../telemetry.ts";
import { RawClient } from "./http/raw_client.ts";

await using app = new HTTPListener({ port: 0, accessLog: false }).use(telemetry());
app.onEvent("GET:/user/<name>", async ({ ctx }) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  trace.getTracer("app").startActiveSpan("load user", (span) => span.end());
  ctx.response(200, "hello");
});
app.onEvent("GET:/now", ({ ctx }) => ctx.response(200, trace.getActiveSpan() ? "in" : "out"));
app.onEvent("GET:/throws", () => {
  throw new RangeError("broken");
});
app.onEvent("GET:/503", ({ ctx }) => ctx.response(503));
app.onEvent("GET:/cut", ({ ctx }) => {
  async function* body(): AsyncGenerator<string> {
    yield await Promise.resolve("part");
    throw new HTTPError(503);
  }
  return ctx.response(200, body());
});
app.onEvent("<_:path>", ({ ctx }) => ctx.throw404());
await app.start();

const PARENT = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
using client = await RawClient.connect(app.addr);
for (
  const [line, fields] of [
    ["GET /user/bob?a=1&sig=secret", PARENT + "User-Agent: test/1\r\n"],
    ["HEAD /now", ""],
    ["GET /now", "traceparent: 00-not-one\r\n"],
    ["GET /throws", ""],
    ["GET /503", ""],
    ["GET /elsewhere/a", ""],
    ["PURGE /x", ""],
  ]
) {
  await client.send(`${line} HTTP/1.1\r\nHost: a.example:81\r\n${fields}\r\n`);
  console.log((await client.response(line.split(" ")[0])).body);
}
await client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
await client.rest();
