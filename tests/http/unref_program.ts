// A server that ends after its second answer, for serve_test.ts: it was unref'd, and its client stays.

import { serve } from "../../http_context.ts";

let requests = 0;
const server = serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ hostname, port }) => console.log(`http://${hostname}:${port}`),
}, () => {
  if (++requests === 1) return new Response("ref");
  server.unref();
  return new Response("unref");
});
server.unref();
server.ref();
