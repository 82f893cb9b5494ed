// A worker that is killed under load.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { freePort } from "../conformance/peers.ts";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { PROCESS, ServerProcess, until } from "../soak/process.ts";

const PID = "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n";

/** A client that asks for its worker on one connection until that ends, or it is told to. */
class Asking {
  pid = 0;
  answers = 0;
  hasLost = false;
  isEnding = false;

  async ask({ hostname, port }: ServerProcess): Promise<void> {
    using client = await RawClient.connect({ hostname, port });
    while (!this.isEnding) {
      try {
        await client.send(PID);
        this.pid = Number((await client.response()).body);
        this.answers++;
      } catch {
        this.hasLost = true;
        return;
      }
    }
  }
}

test(
  "a worker killed under load loses no request of another, and the port answers on",
  PROCESS,
  async () => {
    await using server = await ServerProcess.start({
      port: freePort(),
      workers: 2,
      accessLog: "default",
    });
    const listening = (): number => server.log.filter((line) => / running on /.test(line)).length;
    await until(() => listening() === 2, 60_000, "both workers listen");
    const clients = Array.from({ length: 40 }, () => new Asking());
    const asking = Promise.all(clients.map((client) => client.ask(server)));
    await until(() => clients.every((client) => client.answers > 0), 60_000, "all are served");

    const [killed, other] = server.children;
    const before = clients.filter(({ pid }) => pid === other).map((client) => client.answers);
    Deno.kill(killed, "SIGKILL");
    const ended = new RegExp(`worker ${killed} was killed by SIGKILL; starting another in 100 ms$`);
    await until(() => server.log.some((line) => ended.test(line)), 60_000, "it is noticed");
    // From here on nobody is led to the one that is gone.
    while (listening() < 3) assertEquals((await server.ask()).status, 200);
    assertEquals((await server.ask()).status, 200);

    for (const client of clients) client.isEnding = true;
    await asking;
    assert(before.length > 0, "the other worker has clients");
    for (const { pid, hasLost } of clients) assertEquals(hasLost, pid === killed);
    server.kill("SIGTERM");
    const { code, stderr } = await server.end();
    assertEquals(code, 0);
    assertMatch(stderr, /^$/);
  },
);
