// A server that ends after its third answer, for serve_test.ts: it was unref'd before, and a timer kept it until then.
// Its clients stay.

import { serve } from "../../http_context.ts";

let requests = 0;
let timer: ReturnType<typeof setInterval> | undefined;
const server = serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ hostname, port }) => console.log(`http://${hostname}:${port}`),
}, () => {
  if (++requests === 1) return new Response("ref");
  if (requests === 2) {
    timer = setInterval(() => {}, 60_000);
    server.unref();
  } else clearInterval(timer);
  return new Response("unref");
});
server.unref();
server.ref();
