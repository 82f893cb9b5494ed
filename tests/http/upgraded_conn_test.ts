// The connection that a handler gets whose upgrade came while the server was reading: over the system's sockets,
// with a read begun by hand.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Clock } from "../../http/clock.ts";
import { Socket } from "../../http/socket.ts";
import { UpgradedConn } from "../../http/upgraded_conn.ts";
import { test } from "../needs.ts";
import { Program } from "../program.ts";
import { latin1 } from "./raw_client.ts";
import { NET } from "./serving.ts";

/** Connects a client, whose connection is being read at the other end. */
async function connected(): Promise<
  { client: Deno.TcpConn; accepted: Deno.TcpConn; conn: UpgradedConn }
> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const accepted = await listener.accept();
  const socket = new Socket(accepted, new Clock(), { writeTimeout: 0, accessLog: false });
  return { client: await connecting, accepted, conn: new UpgradedConn(socket, socket.read()) };
}

/** What one read brings as text; null at the end of the stream. */
async function read(conn: Deno.Conn, size: number): Promise<string | null> {
  const area = new Uint8Array(size);
  const count = await conn.read(area);
  return count === null ? null : new TextDecoder().decode(area.subarray(0, count));
}

test(
  "UpgradedConn gives what the read brings in parts of any size, and what comes then",
  NET,
  async () => {
    const { client, conn } = await connected();
    using _client = client, _conn = conn;
    await client.write(latin1("abcdef"));
    assertEquals([await read(conn, 1), await read(conn, 3)], ["a", "bcd"]);
    assertEquals(await read(conn, 100), "ef");
    await client.write(latin1("ghi"));
    assertEquals([await read(conn, 2), await read(conn, 2)], ["gh", "i"]);
    await client.closeWrite();
    assertEquals([await read(conn, 1), await read(conn, 1)], [null, null]);
  },
);

test(
  "UpgradedConn gives the end of the stream where that is all the read brings",
  NET,
  async () => {
    const { client, conn } = await connected();
    using _client = client, _conn = conn;
    await client.closeWrite();
    assertEquals([await read(conn, 1), await read(conn, 1)], [null, null]);
    await conn.write(latin1("still"));
    assertEquals(await read(client, 10), "still");
  },
);

test("UpgradedConn gives reads that wait together one part each, in order", NET, async () => {
  const { client, conn } = await connected();
  using _client = client, _conn = conn;
  const reads = [read(conn, 2), read(conn, 2), read(conn, 2)];
  await client.write(latin1("abc"));
  assertEquals(await Promise.all(reads.slice(0, 2)), ["ab", "c"]);
  await client.write(latin1("d"));
  assertEquals(await reads[2], "d");
});

test(
  "UpgradedConn.readable gives what the read brings, and what comes then, and closes at the end",
  NET,
  async () => {
    const { client, conn } = await connected();
    using _client = client;
    const reader = conn.readable.getReader({ mode: "byob" });
    const next = async (size: number): Promise<string | null> => {
      const { done, value } = await reader.read(new Uint8Array(size));
      return done ? null : new TextDecoder().decode(value);
    };
    await client.write(latin1("abc"));
    assertEquals([await next(2), await next(2)], ["ab", "c"]);
    await client.write(latin1("d"));
    assertEquals(await next(2), "d");
    await client.closeWrite();
    assertEquals(await next(2), null);
    assertThrows(() => conn.close(), Deno.errors.BadResource);
  },
);

test("UpgradedConn.readable goes on where read() has begun, and may be piped", NET, async () => {
  const { client, conn } = await connected();
  using _client = client;
  await client.write(latin1("abc"));
  assertEquals(await read(conn, 1), "a");
  const piping = conn.readable.pipeTo(conn.writable);
  await client.write(latin1("d"));
  await client.closeWrite();
  assertEquals(await new Response(client.readable).text(), "bcd");
  await piping;
});

test("UpgradedConn.readable closes the connection when it is cancelled", NET, async () => {
  const { client, conn } = await connected();
  using _client = client;
  const reader = conn.readable.getReader();
  const reading = reader.read();
  await reader.cancel();
  assertEquals((await reading).done, true);
  assertEquals(await read(client, 1), null);
});

test("UpgradedConn.close() ends the read, as that of any connection does", NET, async () => {
  const { client, conn } = await connected();
  using _client = client;
  const reading = read(conn, 1);
  conn.close();
  await assertRejects(() => reading, Deno.errors.Interrupted);
  await assertRejects(() => read(conn, 1), Deno.errors.BadResource);
  assertThrows(() => conn.close(), Deno.errors.BadResource);
  conn[Symbol.dispose]();
});

test("UpgradedConn that nobody reads fails without a word", NET, async () => {
  const { client, conn } = await connected();
  conn.close();
  assertEquals(await read(client, 1), null);
  client.close();
});

test("UpgradedConn is as the connection in all else", NET, async () => {
  const { client, accepted, conn } = await connected();
  using _client = client, _conn = conn;
  assertEquals([conn.localAddr, conn.remoteAddr], [client.remoteAddr, client.localAddr]);
  assert(conn.writable === accepted.writable);
  conn.setNoDelay!(true);
  conn.setKeepAlive!(true);
  assertEquals(conn.handshake, undefined);
  await conn.closeWrite();
  assertEquals(await read(client, 1), null);
});

test(
  "UpgradedConn lets the process end after unref(), and not after ref()",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program("run", "--allow-net", "tests/http/upgraded_program.ts");
    const port = +await program.nextLine();
    using first = await Deno.connect({ hostname: "127.0.0.1", port });
    using _second = await Deno.connect({ hostname: "127.0.0.1", port });
    await first.write(latin1("a"));
    assertEquals(await program.nextLine(), "1");
    const { code, stderr } = await program.end();
    assertEquals([code, stderr], [0, ""]);
  },
);
