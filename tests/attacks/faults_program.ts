// A server whose handlers do all that they should not, for faults_test.ts.

import { HTTPListener } from "../../http_context.ts";

const app = new HTTPListener({ port: 0, accessLog: false, handlerTimeout: 200 });

/** Two parts, and then it fails. */
async function* failing(): AsyncGenerator<string> {
  yield "one ";
  yield await Promise.resolve("two ");
  throw new Error("the body broke");
}

/** It does not end, and fails when it is told to. */
async function* clinging(): AsyncGenerator<string> {
  try {
    for (;;) yield await Promise.resolve("more ".repeat(10_000));
  } finally {
    // deno-lint-ignore no-unsafe-finally -- that is the fault.
    throw new Error("the body failed at its end");
  }
}

app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
app.onEvent("GET:/throws", () => {
  throw new Error("it threw");
});
app.onEvent("GET:/rejects", () => Promise.reject("no error"));
app.onEvent("GET:/hangs", () => new Promise(() => {}));
app.onEvent("GET:/returns_nothing", () => {});
app.onEvent("GET:/returns_garbage", () => ({ status: 200 }));
app.onEvent("GET:/sends_garbage", ({ ctx }) => ctx.response(200, 7 as never));
app.onEvent("GET:/sends_a_bad_field", ({ ctx }) => ctx.response(200, "", { "X-A": "a\r\nb: c" }));
app.onEvent("GET:/sends_a_wrong_length", ({ ctx }) => {
  ctx.response(200, "hello", { "Content-Length": "6" });
});
app.onEvent("GET:/answers_twice", ({ ctx }) => {
  ctx.response(200, "first");
  ctx.response(200, "second");
});
app.onEvent("GET:/answers_and_throws", ({ ctx }) => {
  ctx.response(200, "first");
  throw new Error("too late");
});
app.onEvent("GET:/answers_after_the_client_left", async ({ ctx, signal }) => {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  ctx.response(200, "is anybody there?");
  console.log("answered");
});
app.onEvent("GET:/stream_fails", ({ ctx }) => ctx.response(200, failing()));
app.onEvent("GET:/stream_fails_at_once", ({ ctx }) => {
  return ctx.response(200, new ReadableStream<string>({ start: (it) => it.error("broken") }));
});
app.onEvent("GET:/stream_of_garbage", ({ ctx }) => {
  return ctx.response(200, ReadableStream.from([{ not: "bytes" }]) as never);
});
app.onEvent("GET:/clings", ({ ctx }) => ctx.response(200, clinging()));

const running = app.run();
await app.start();
// From here on, a signal asks it to end.
console.log(app.addr.port);
await running;
