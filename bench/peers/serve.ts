// serve() of this project, with the very handler that Deno.serve runs.

import { serve } from "../../http_context.ts";
import { certificate, listening } from "./program.ts";
import { answer } from "./fetch_app.ts";

serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => listening(port),
  ...certificate(),
}, answer);
