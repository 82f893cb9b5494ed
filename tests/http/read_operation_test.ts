// What is read around Deno.Conn.read() has to be where this Deno has it: elsewhere connections are read as well,
// but cost more, and nobody would notice.

import { assert, assertEquals } from "@std/assert";
import { MemoryConn } from "../../http/memory_conn.ts";
import { operations, ridOf } from "../../http/read_operation.ts";
import { test } from "../needs.ts";

test("operations.read() reads what Deno.Conn.read() would", { permissions: ["net"] }, async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connect({ port: (listener.addr as Deno.NetAddr).port });
  using accepted = await listener.accept();
  {
    using client = await connecting;
    await client.write(new Uint8Array([1, 2, 3]));
    assert(operations !== null);
    const area = new Uint8Array(8);
    assertEquals(await operations.read(ridOf(accepted), area), 3);
    assertEquals(area.subarray(0, 4), new Uint8Array([1, 2, 3, 0]));
  }
  assertEquals(await operations.read(ridOf(accepted), new Uint8Array(8)), 0);
});

Deno.test("ridOf() is -1 for a connection that is none of Deno's", () => {
  assertEquals(ridOf(MemoryConn.pair()[0]), -1);
});
