// Clients that keep their connections open after a request: what each of them costs.
//
//   deno run -A tests/soak/idle_connections.ts --first 2000 --more 7000

import { assert } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { argument, ServerProcess } from "./process.ts";

/** What one more idle connection costs the server, in bytes. */
export interface IdleCost {
  /** What JavaScript holds, after a collection. */
  heap: number;
  /** Memory of the process. */
  rss: number;
}

/**
 * Opens `first` connections, for the heap to grow to what a busy server has anyway, and `more`, which count.
 */
export async function idleConnections(first: number, more: number): Promise<IdleCost> {
  await using server = await ServerProcess.start({ maxConnections: first + more + 10 });
  const clients: RawClient[] = [];
  try {
    const measure = async (count: number): Promise<IdleCost> => {
      for (; count > 0; count--) {
        const client = await RawClient.connect(server);
        clients.push(client);
        await client.send("GET /user/bob HTTP/1.1\r\nHost: a\r\n\r\n");
        await client.response();
      }
      const { heap } = await server.state();
      return { heap, rss: server.rss };
    };
    const before = await measure(first);
    const after = await measure(more);
    return { heap: (after.heap - before.heap) / more, rss: (after.rss - before.rss) / more };
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}

if (import.meta.main) {
  const { heap, rss } = await idleConnections(argument("first", 2_000), argument("more", 7_000));
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
  console.log(`each idle connection: ${kib(rss)} of memory, ${kib(heap)} of it held by JavaScript`);
  assert(rss <= 12 * 1024, "more than 12 KiB");
}
