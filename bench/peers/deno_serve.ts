// Deno.serve, which all others are compared with.

import { certificate, listening } from "./program.ts";
import { answer } from "./fetch_app.ts";

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => listening(port),
  ...certificate(),
}, answer);
