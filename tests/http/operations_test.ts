// The operations of Deno.Conn have to be where this Deno has them: elsewhere connections are served as well, but
// cost more, and nobody would notice.

import { assert, assertEquals } from "@std/assert";
import { MemoryConn } from "../../http/memory_conn.ts";
import { operations, ridOf } from "../../http/operations.ts";
import { test } from "../needs.ts";

test(
  "operations read and write as the methods of Deno.Conn do",
  { permissions: ["net"] },
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const connecting = Deno.connect({ port: (listener.addr as Deno.NetAddr).port });
    using accepted = await listener.accept();
    {
      using client = await connecting;
      assert(operations !== null);
      assertEquals(await operations.write(ridOf(client), new Uint8Array([1, 2, 3])), 3);
      const area = new Uint8Array(8);
      assertEquals(await operations.read(ridOf(accepted), area), 3);
      assertEquals(area.subarray(0, 4), new Uint8Array([1, 2, 3, 0]));
    }
    assertEquals(await operations.read(ridOf(accepted), new Uint8Array(8)), 0);
  },
);

Deno.test("ridOf() is -1 for a connection that is none of Deno's", () => {
  assertEquals(ridOf(MemoryConn.pair()[0]), -1);
});
