// A server with an access log, for log_test.ts. Its argument is the options of the server as JSON.

import { HTTPListener } from "../../http_context.ts";

const app = new HTTPListener({ port: 0, ...JSON.parse(Deno.args[0] ?? "{}") });
app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, ReadableStream.from(["a"])));
app.onEvent("GET:/throw", () => Promise.reject(new Error("told on standard error")));
app.onEvent("GET:/hang", () => {
  console.log("hangs");
  return new Promise(() => {});
});
await app.run();
