// What a turn of the event loop brings over many connections.

import { assert, assertEquals } from "@std/assert";
import { ByHand } from "./by_hand.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CONNECTIONS = 12;

/** Connections that all bring a request in one turn; the handler is told how many have been answered. */
async function inOneTurn(handler: (answered: number) => void): Promise<void> {
  const servers: ByHand[] = [];
  const written = (): number => servers.filter(({ conn }) => conn.writes > 0).length;
  for (let i = 0; i < CONNECTIONS; i++) {
    servers.push(
      new ByHand((exchange) => {
        handler(written());
        return exchange.respond(200, "Hello", []);
      }),
    );
  }
  await Promise.all(servers.map((server) => server.send(GET)));
  assertEquals(written(), CONNECTIONS);
  for (const server of servers) await server[Symbol.asyncDispose]();
}

Deno.test("Connection does not have answers wait for others whose handlers take long", async () => {
  let last = 0;
  await inOneTurn((count) => {
    for (const end = performance.now() + 3; performance.now() < end;);
    last = count;
  });
  assert(
    last >= CONNECTIONS - 2,
    `${last} of ${CONNECTIONS} were answered before the last handler`,
  );
});
