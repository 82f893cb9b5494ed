// A server that answers with what stands for a Response and is none of Deno's own making, while garbage is
// collected again and again. It ends by itself.

import { HTTPListener } from "../../http_context.ts";

const KINDS: ((response: Response) => Response)[] = [
  (response) => new Proxy(response, {}),
  (response) => Object.create(response),
];

const { gc } = globalThis as unknown as { gc(): void };
for (const made of KINDS) {
  const app = new HTTPListener();
  app.onEvent(() => made(new Response("a", { headers: { A: "b" } })));
  for (let i = 0; i < 200; i++) {
    const response = await app.fetch("/");
    if (await response.text() !== "a" || response.headers.get("a") !== "b") Deno.exit(1);
    if (i % 4 > 0) continue;
    gc();
    // The collector tells of what it has found in a task of its own.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
