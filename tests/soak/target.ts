// The server that the programs here attack: a route for each kind of exchange, and one that tells of its
// memory. Its argument is the options of the server as JSON; a line that it prints is its port, but where
// it has workers.

import { type HTTPContext, HTTPListener, type ServerOptions } from "../../http_context.ts";

const options: ServerOptions = JSON.parse(Deno.args[0] ?? "{}");
const app = new HTTPListener({ port: 0, maxConnections: 0, accessLog: false, ...options });

const part = new Uint8Array(64 * 1024).fill(0x61);

/** `size` bytes, a part of `most` at a time. */
function* parts(size: number, most = part.length): Generator<Uint8Array> {
  for (; size > 0; size -= most) yield part.subarray(0, Math.min(size, most));
}

async function count(ctx: HTTPContext): Promise<void> {
  let bytes = 0;
  for await (const part of ctx.body) bytes += part.length;
  ctx.response(200, `${bytes} bytes`);
}

/** An event each 10 ms, until the client leaves or the server stops; the last one says "bye". */
async function* ticks(signal: AbortSignal): AsyncGenerator<string> {
  const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  for (let i = 0; !signal.aborted; i++) {
    yield `data: ${i}\n\n`;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([stopped, new Promise((resolve) => timer = setTimeout(resolve, 10))]);
    clearTimeout(timer);
  }
  yield "data: bye\n\n";
}

app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
app.onEvent("GET:/user/<name>", ({ ctx, params }) => ctx.response(200, `Hello, ${params.name}!`));
app.onEvent("GET:/json", () => Response.json({ hello: "world", list: [1, 2, 3] }));
app.onEvent(
  "GET:/large/<size:int>",
  ({ ctx, params }) =>
    ctx.response(200, ReadableStream.from(parts(params.size)), {
      "Content-Length": String(params.size),
    }),
);
app.onEvent(
  "GET:/chunks/<size:int>",
  ({ ctx, params }) => ctx.response(200, ReadableStream.from(parts(params.size))),
);
app.onEvent(
  "GET:/small/<size:int>",
  ({ ctx, params }) => ctx.response(200, ReadableStream.from(parts(params.size, 1_000))),
);
app.onEvent("POST:/echo", async ({ ctx }) => ctx.response(200, await ctx.bytes()));
app.onEvent("POST:/count", ({ ctx }) => count(ctx));
app.onEvent("POST:/ignore", ({ ctx }) => ctx.response(200, "ignored"));
app.onEvent(
  "GET:/events",
  ({ ctx, signal }) => ctx.response(200, ticks(signal), { "Content-Type": "text/event-stream" }),
);
app.onEvent("GET:/wait/<ms:int>", async ({ ctx, params }) => {
  await new Promise((resolve) => setTimeout(resolve, params.ms));
  ctx.response(200, "waited");
});
app.onEvent("GET:/pid", ({ ctx }) => ctx.response(200, String(Deno.pid)));
app.onEvent("GET:/throw", ({ ctx }) => ctx.throw404());
app.onEvent("GET:/state", () => {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = Deno.memoryUsage();
  return Response.json({ counters: app.counters, heap: heapUsed + external });
});

const running = app.run();
if (options.workers === undefined) {
  await app.start();
  // From here on, a signal asks it to end.
  console.log(app.addr.port);
}
await running;
