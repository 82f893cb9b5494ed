// Limits over real sockets: the status does not depend on how TCP cut the bytes, and the client can read it.

import { assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { LIMITS } from "./limit_messages.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

/** Where a message is cut in two: around its start, its end, and evenly in between. */
function cuts(length: number): Set<number> {
  const at = new Set<number>();
  for (let i = 1; i <= 80; i += 3) at.add(i);
  for (let i = 1; i <= 16; i++) at.add(Math.floor((length * i) / 17));
  for (let i = 1; i <= 8; i++) at.add(length - i);
  return at;
}

/** Sends the parts and returns the status of the answer, which may come before the last of them. */
async function statusOf(addr: Deno.NetAddr, parts: Iterable<string>): Promise<number> {
  using client = await RawClient.connect(addr);
  const sending = (async () => {
    for (const part of parts) await client.send(part);
  })();
  // A server that has refused may close while more is on its way.
  sending.catch(() => {});
  const { status } = await client.response();
  // Where all of a body has come, the connection goes on.
  if (status !== 200 && status !== 413) assertEquals(await client.gone(), "");
  return status;
}

for (const [what, max, message, status, option] of LIMITS) {
  const name = `HTTPListener answers with the same status over sockets, however ${what} come`;
  test(name, NET, async () => {
    await using app = await serving((app) => {
      app.onEvent(async ({ ctx }) => ctx.response(200, String((await ctx.bytes()).length)));
    }, option === "maxBodySize" ? { maxBodySize: max } : {});
    for (const [size, expected] of [[max, 200], [max + 1, status]]) {
      const text = message(size);
      const results = await Promise.all([
        statusOf(app.addr, [text]).then((status) => ({ how: "whole", status })),
        statusOf(app.addr, text).then((status) => ({ how: "byte by byte", status })),
        ...Array.from(
          cuts(text.length),
          async (at) => ({
            how: `cut at ${at}`,
            status: await statusOf(app.addr, [text.slice(0, at), text.slice(at)]),
          }),
        ),
      ]);
      assertEquals(results.filter(({ status }) => status !== expected), []);
    }
  });
}

test("headerTimeout answers 408 wherever a head is cut", NET, async () => {
  const head = "GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
  await using app = await serving((app) => {
    app.onEvent(({ ctx }) => ctx.response(200, "Welcome!"));
  }, { headerTimeout: 50 });
  const statuses = await Promise.all(
    Array.from({ length: head.length - 1 }, async (_, i) => {
      return await statusOf(app.addr, [head.slice(0, i + 1)]);
    }),
  );
  assertEquals(statuses, Array(head.length - 1).fill(408));
});
