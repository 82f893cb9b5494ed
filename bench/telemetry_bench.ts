// What telemetry() costs a request where no SDK is registered:
//
//   deno bench --allow-net bench/telemetry_bench.ts

import { HTTPListener } from "../http_context.ts";
import { telemetry } from "../telemetry.ts";

/** Requests in an iteration, one after the other on one connection. */
const REQUESTS = 500;
const REQUEST = new TextEncoder().encode("GET /user/bob HTTP/1.1\r\nHost: a\r\n\r\n");

for (const name of ["without", "with telemetry()"]) {
  const app = new HTTPListener({ port: 0, accessLog: false });
  if (name !== "without") app.use(telemetry());
  app.onEvent("GET:/user/<name>", ({ ctx }) => ctx.response(200, "hello"));
  await app.start();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: app.addr.port });
  const area = new Uint8Array(4096);
  Deno.bench(
    { name: `${REQUESTS} requests ${name}`, group: "telemetry", baseline: name === "without" },
    async () => {
      for (let i = 0; i < REQUESTS; i++) {
        await conn.write(REQUEST);
        await conn.read(area);
      }
    },
  );
}
