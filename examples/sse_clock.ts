// A clock in the browser, with server-sent events:
//
//   deno run --allow-net examples/sse_clock.ts
//
// Then open http://127.0.0.1:8000, or: curl -N http://127.0.0.1:8000/time. Ctrl-C stops it.

import { setInterval } from "node:timers/promises";
import { HTTPListener } from "../mod.ts";

const PAGE = `<!doctype html>
<title>Clock</title>
<time id="now"></time>
<script>
  // It reconnects by itself after the server was down.
  new EventSource("/time").onmessage = ({ data }) => now.textContent = data;
</script>
`;

export const app = new HTTPListener({ port: 8000 });

app.onEvent("GET:/", ({ ctx }) => {
  return ctx.response(200, PAGE, { "Content-Type": "text/html; charset=utf-8" });
});

app.onEvent("GET:/time", ({ ctx, signal }) => {
  return ctx.response(200, ticks(signal), {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
  });
});

/** An event now and every second, until the client disconnects or the server stops. */
async function* ticks(signal: AbortSignal): AsyncGenerator<string> {
  const event = (): string => `data: ${new Date().toISOString()}\n\n`;
  yield event();
  try {
    for await (const _ of setInterval(1000, undefined, { signal })) yield event();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

if (import.meta.main) await app.run();
