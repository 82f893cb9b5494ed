// Hono on Deno.serve.

import { Hono } from "hono";
import { confirm, countInPlace, greet, LARGE, type Order, page, PAGE_FIELDS } from "./content.ts";
import { stream } from "./fetch_app.ts";
import { certificate, listening, options } from "./program.ts";

const app = new Hono();
app.get("/user/:name", (c) => c.text(greet(c.req.param("name"))));
app.post("/json", async (c) => c.json(confirm(await c.req.json<Order>())));
app.get("/page", (c) => c.body(page(), 200, PAGE_FIELDS));
app.get("/large", (c) => c.body(LARGE));
app.get("/stream", (c) => c.body(stream()));
app.post("/upload", async (c) => c.text(`${await countInPlace(c.req.raw.body!)}`));
for (let i = 0; i < (options.routes ?? 0); i++) {
  app.get(`/user${i}/:name`, (c) => c.text(greet(c.req.param("name"))));
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => listening(port),
  ...certificate(),
}, app.fetch);
