// The time as it should not be: a wall clock that jumps, and a process that is stopped for a while.

import { assertEquals } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { PROCESS, ServerProcess, until } from "../soak/process.ts";

/** What makes the clock jump. */
const FAKETIME = "/usr/bin/faketime";

const HOUR = 3_600_000;
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

/** What has to be the same after the time did something odd: the rest of each request is sent then. */
const REQUESTS: [begun: string, rest: string, body: string][] = [
  ["", GET, "Welcome!"],
  [GET.slice(0, 20), GET.slice(20), "Welcome!"],
  [`${POST}01234`, "56789", "0123456789"],
];

/** Clients that wait in each way for which there is a timeout. */
async function waiting(server: ServerProcess): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (const [begun] of REQUESTS) {
    const client = await RawClient.connect(server);
    clients.push(client);
    // Answered once, so that the server has accepted it.
    await client.send(GET);
    await client.response();
    await client.send(begun);
  }
  return clients;
}

/** Sends the rest of each request. */
async function goOn(clients: RawClient[]): Promise<void> {
  for (const [i, client] of clients.entries()) await client.send(REQUESTS[i][1]);
}

async function assertAnswers(clients: RawClient[]): Promise<void> {
  for (const [i, client] of clients.entries()) {
    const { status, body } = await client.response();
    assertEquals([status, body], [200, REQUESTS[i][2]]);
  }
}

async function assertNoTimeouts(server: ServerProcess): Promise<void> {
  const { counters } = await server.state();
  const { idleTimeouts, headerTimeouts, bodyTimeouts, writeTimeouts } = counters;
  assertEquals([idleTimeouts, headerTimeouts, bodyTimeouts, writeTimeouts], [0, 0, 0, 0]);
}

/** Milliseconds by which the server's date is before this machine's. */
async function dateOf(server: ServerProcess): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.port}/`, {
    headers: { Connection: "close" },
  });
  await response.body?.cancel();
  return Date.parse(response.headers.get("date")!) - Date.now();
}

for (const [what, offset] of [["forwards", 48], ["backwards", -48]] as const) {
  test(
    `no timeout fires when the wall clock jumps ${what}, and Date follows it`,
    { permissions: [...PROCESS.permissions!, "write"], programs: ["/bin/sh", FAKETIME] },
    async () => {
      const file = await Deno.makeTempFile();
      try {
        await Deno.writeTextFile(file, "+0");
        await using server = await ServerProcess.start({
          env: {
            // The loader's word for this machine's directory of libraries.
            LD_PRELOAD: "/usr/$LIB/faketime/libfaketime.so.1",
            FAKETIME_TIMESTAMP_FILE: file,
            FAKETIME_NO_CACHE: "1",
            FAKETIME_DONT_FAKE_MONOTONIC: "1",
          },
        });
        const clients = await waiting(server);
        await Deno.writeTextFile(file, `${offset > 0 ? "+" : ""}${offset}h`);
        await until(
          async () => Math.abs(await dateOf(server) - offset * HOUR) < HOUR,
          60_000,
          "Date follows the wall clock",
        );
        await goOn(clients);
        await assertAnswers(clients);
        await assertNoTimeouts(server);
        for (const client of clients) client[Symbol.dispose]();
        // Now and then libfaketime crashes at the end of a process with threads: it is not to come to that.
        server.kill("SIGKILL");
        assertEquals((await server.end()).stderr, "");
      } finally {
        await Deno.remove(file);
      }
    },
  );
}

test("no timeout fires for what came while the process was stopped", PROCESS, async () => {
  const timeout = 1_000;
  await using server = await ServerProcess.start({
    idleTimeout: timeout,
    headerTimeout: timeout,
    bodyTimeout: timeout,
  });
  const clients = await waiting(server);
  server.kill("SIGSTOP");
  await goOn(clients);
  await new Promise((resolve) => setTimeout(resolve, 2 * timeout));
  server.kill("SIGCONT");
  await assertAnswers(clients);
  await assertNoTimeouts(server);
  for (const client of clients) client[Symbol.dispose]();
  await server.stop();
});
