// What a hook keeps in an AsyncLocalStorage belongs to its request, not to the next one.

import { assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { NET } from "./serving.ts";

const user = new AsyncLocalStorage<string>();

/** A server that keeps the user of a request that has one, and says in each response whom it finds. */
function newApp(logged: unknown[]): HTTPListener {
  const app = new HTTPListener({
    port: 0,
    accessLog: () => void logged.push(user.getStore()),
    errorLog: ({ level }) => level === "warning" && logged.push(user.getStore()),
  });
  app.aroundRequest((ctx, next) => {
    const name = ctx.headers.get("x-user");
    if (name === null) return next();
    if (ctx.path !== "/enter") return user.run(name, next);
    user.enterWith(name);
    return next();
  });
  const answer = (): Response => new Response(user.getStore() ?? "nobody");
  app.onEvent("GET:/enter", () => answer());
  app.onEvent("GET:/at-once", () => answer());
  app.onEvent("GET:/later", async () => {
    await new Promise((resolve) => setTimeout(resolve));
    return answer();
  });
  return app;
}

const CASES: [what: string, path: string, isPipelined: boolean][] = [
  ["a handler that answers at once", "/at-once", false],
  ["a handler that waits", "/later", false],
  ["a hook that calls enterWith()", "/enter", false],
  ["a handler that answers at once, pipelined", "/at-once", true],
  ["a handler that waits, pipelined", "/later", true],
  ["a hook that calls enterWith(), pipelined", "/enter", true],
];

for (const [what, path, isPipelined] of CASES) {
  test(
    `what is in an AsyncLocalStorage does not reach the request after ${what}`,
    NET,
    async () => {
      const logged: unknown[] = [];
      await using app = newApp(logged);
      await app.start();
      using client = await RawClient.connect(app.addr);
      const first = `GET ${path} HTTP/1.1\r\nHost: a\r\nX-User: ada\r\n\r\n`;
      const second = "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n";
      const found: string[] = [];
      await client.send(isPipelined ? first + second : first);
      found.push((await client.response()).body);
      if (!isPipelined) await client.send(second);
      found.push((await client.response()).body);
      await client.send("no request\r\n\r\n");
      await client.rest();
      assertEquals(found, ["ada", "nobody"]);
      // The refusal is that of nobody's request.
      assertEquals(logged.at(-1), undefined);
    },
  );
}
