// A server whose handler answers only after SIGINT, for http_listener_test.ts.

import { HTTPListener } from "../../http_context.ts";

const app = new HTTPListener({ port: 0, accessLog: false });
app.onEvent("GET:/", async ({ ctx }) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGINT", resolve);
  console.log("asked");
  await promise;
  Deno.removeSignalListener("SIGINT", resolve);
  ctx.response(200, "finished");
});
const running = app.run();
await app.start();
// From here on, a signal asks it to end.
console.log(app.addr.port);
await running;
