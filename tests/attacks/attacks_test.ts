// The programs of ../soak in short: what they take minutes for, in seconds.

import { assert, assertEquals } from "@std/assert";
import { latin1, RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { fuzzConnections } from "../soak/connection_fuzz.ts";
import { idleConnections } from "../soak/idle_connections.ts";
import { crowd, flood, FLOODS, pipelineUnread } from "../soak/floods.ts";
import { leaveEverywhere, PYTHON } from "../soak/leaving_clients.ts";
import { PROCESS, ServerProcess, until } from "../soak/process.ts";
import { slowClients } from "../soak/slow_clients.ts";

test("the connection loop answers or refuses 20,000 fuzzed connections, and nothing escapes", {
  permissions: ["read"],
}, async () => {
  const { requests, answers } = await fuzzConnections(20_000, 1);
  assert(requests > 10_000 && answers > 10_000, `${answers} answers to ${requests} requests`);
});

test(
  "slow clients are gone in time, fresh requests are answered, and nothing is left",
  PROCESS,
  async () => {
    await slowClients({
      clients: 96,
      files: 256,
      dribble: 100,
      gone: 20_000,
      options: {
        headerTimeout: 1_000,
        idleTimeout: 1_000,
        bodyTimeout: 1_000,
        writeTimeout: 1_000,
      },
    });
  },
);

test(
  "floods are refused, fresh requests are answered, and memory stays where it is",
  PROCESS,
  async () => {
    const maxConnections = 60;
    await using server = await ServerProcess.start({
      maxConnections,
      maxBodySize: 256 * 1024,
      writeTimeout: 500,
    });
    await Promise.all(FLOODS.map((row) => flood(server, row, 2, 4 * 1024 * 1024)));
    await pipelineUnread(server, 100_000);
    await crowd(server, 500, maxConnections);
    await server.stop();
  },
);

test(
  "a client that sends bodies as fast as they are read does not keep others waiting",
  PROCESS,
  async () => {
    await using server = await ServerProcess.start();
    const conn = await Deno.connect(server);
    const chunks = "1\r\na\r\n".repeat(100_000);
    const upload = latin1(
      `POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
    );
    const flooding = (async () => {
      for (;;) await writeAll(conn, upload);
    })().catch(() => {});
    const area = new Uint8Array(1024 * 1024);
    const answered = (async () => {
      while (await conn.read(area) !== null);
    })().catch(() => {});
    for (let i = 0; i < 10; i++) {
      await server.askInTime();
    }
    conn.close();
    await Promise.all([flooding, answered]);
  },
);

test(
  "clients that take streams of small parts as fast as they are made do not keep others waiting",
  PROCESS,
  async () => {
    await using server = await ServerProcess.start();
    const area = new Uint8Array(1024 * 1024);
    const conns = await Promise.all([1, 2, 3].map(() => Deno.connect(server)));
    const taken = conns.map(async (conn) => {
      await writeAll(conn, latin1(`GET /small/${1e12} HTTP/1.1\r\nHost: a\r\n\r\n`));
      while (await conn.read(area) !== null);
    });
    for (let i = 0; i < 5; i++) {
      await server.askInTime();
    }
    for (const conn of conns) conn.close();
    await Promise.allSettled(taken);
  },
);

test(
  "a burst of requests past maxConnections is answered, each in its turn",
  PROCESS,
  async () => {
    await using server = await ServerProcess.start({ maxConnections: 10 });
    const clients: RawClient[] = [];
    // One whose request has not come is idle, and may have to go: all are there when the server looks.
    server.kill("SIGSTOP");
    for (let i = 0; i < 30; i++) {
      const client = await RawClient.connect(server);
      await client.send("GET /wait/100 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      clients.push(client);
    }
    server.kill("SIGCONT");
    const statuses = await Promise.all(clients.map(async (client) => {
      using answered = client;
      return (await answered.response()).status;
    }));
    assertEquals(statuses, Array(30).fill(200));
  },
);

test(
  "clients that leave at every byte, and 2,000 that reset at once, leave nothing behind",
  { ...PROCESS, programs: ["/bin/sh", PYTHON] },
  async () => {
    await leaveEverywhere(2_000);
  },
);

test(
  "clients that take all descriptors, five times, keep a fresh request waiting a second at most after they left",
  PROCESS,
  async () => {
    const files = 128;
    // Certificates that Deno would read meanwhile, and warn that it cannot.
    await using server = await ServerProcess.start({ files, env: { NODE_EXTRA_CA_CERTS: "" } });
    for (let round = 0; round < 5; round++) {
      const clients = await server.crowd(400);
      await until(() => server.openFiles >= files, 60_000, "no descriptor is left");
      for (const client of clients) client[Symbol.dispose]();
      assertEquals((await server.askInTime()).status, 200);
    }
    assert((await server.state()).counters.acceptFailures >= 5);
    await server.stop(/^Cannot accept connections for now: .*Too many open files.*\n$/);
  },
);

test("an idle connection holds less than 7 KiB in the heap", PROCESS, async () => {
  const { heap } = await idleConnections(500, 1_000);
  assert(heap < 7 * 1024, `${Math.round(heap)} bytes`);
});

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
