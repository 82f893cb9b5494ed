// A tiny web server.
//
//   deno run --allow-net examples/http_web.ts
//
// Then open http://127.0.0.1:8000/user/bob. Ctrl-C stops it.

import { HTTPListener } from "../mod.ts";

export const app = new HTTPListener({ port: 8000 });

app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
  return ctx.response(200, `Hello, ${params.username}!`);
});

app.onEvent("GET:/throw", ({ ctx }) => ctx.throw500());

app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));

if (import.meta.main) await app.run();
