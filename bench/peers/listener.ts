// HTTPListener of this project. All limits and timeouts are as they come.

import { HTTPListener } from "../../http_context.ts";
import {
  confirm,
  countParts,
  countReads,
  greet,
  LARGE,
  type Order,
  page,
  PAGE_FIELDS,
} from "./content.ts";
import { certificate, listening, options } from "./program.ts";
import { stream } from "./fetch_app.ts";

const app = new HTTPListener({
  port: options.port ?? 0,
  accessLog: options.accessLog ? "default" : false,
  workers: options.workers,
  ...certificate(),
});

app.onEvent("GET:/user/<name>", ({ ctx, params }) => ctx.response(200, greet(params.name)));
app.onEvent("POST:/json", async ({ ctx }) => {
  const answer = JSON.stringify(confirm(await ctx.json() as Order));
  return ctx.response(200, answer, { "Content-Type": "application/json" });
});
app.onEvent("GET:/page", ({ ctx }) => ctx.response(200, page(), PAGE_FIELDS));
app.onEvent("GET:/large", ({ ctx }) => ctx.response(200, LARGE));
app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, stream()));
app.onEvent(
  "POST:/upload",
  async ({ ctx }) => ctx.response(200, `${await countReads((buffer) => ctx.read(buffer))}`),
);
app.onEvent(
  "POST:/for-await",
  async ({ ctx }) => ctx.response(200, `${await countParts(ctx.body)}`),
);
for (let i = 0; i < (options.routes ?? 0); i++) {
  app.onEvent(`GET:/user${i}/<name>`, ({ ctx, params }) => {
    ctx.response(200, greet(params.name as string));
  });
}

if (options.workers === undefined) {
  await app.start();
  listening(app.addr.port);
} else {
  listening(options.port!);
  await app.run();
}
