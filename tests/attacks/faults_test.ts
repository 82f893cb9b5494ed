// Handlers that fail in every way: the process lives, the next request is answered, and nothing is printed
// but the line that tells of the fault.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { PROCESS, ServerProcess, until } from "../soak/process.ts";

/** What is asked for, the status, and how the error begins that is logged; null where there is none. */
const FAULTS: [target: string, status: number, logged: string | null][] = [
  ["/throws", 500, ": Error: it threw"],
  ["/rejects", 500, ": no error"],
  ["/hangs", 503, ": "],
  ["/returns_nothing", 500, ": the handler of route"],
  ["/returns_garbage", 500, ": the handler of route"],
  ["/sends_garbage", 500, ": TypeError: Cannot send a body of type number"],
  ["/sends_a_bad_field", 500, ": LocalProtocolError: "],
  ["/sends_a_wrong_length", 500, ": LocalProtocolError: Cannot send a body of 5 bytes"],
  ["/answers_twice", 200, ": TypeError: Cannot respond twice"],
  ["/answers_and_throws", 200, ": Error: too late"],
];

/** Streams that are cut, since their head has been sent. */
const CUT: [target: string, logged: string][] = [
  ["/stream_fails", ": Error: the body broke"],
  ["/stream_fails_at_once", ": broken"],
  ["/stream_of_garbage", ": "],
];

function get(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

test(
  "handlers that fail in every way harm no other request, and not the process",
  PROCESS,
  async () => {
    await using server = await ServerProcess.start({ program: "tests/attacks/faults_program.ts" });
    const logged: string[] = [];
    const assertAlive = async (target: string): Promise<void> =>
      assertEquals([target, (await server.ask()).body], [target, "Welcome!"]);

    using client = await RawClient.connect(server);
    for (const [target, status, line] of FAULTS) {
      await client.send(get(target));
      const response = await client.response();
      assertEquals([target, response.status], [target, status]);
      if (line !== null) logged.push(`Cannot answer "GET ${target}"${line}`);
      // The connection goes on, too.
      await client.send(get("/"));
      assertEquals((await client.response()).body, "Welcome!");
      await assertAlive(target);
    }

    for (const [target, line] of CUT) {
      using cut = await RawClient.connect(server);
      await cut.send(get(target));
      assert(!(await cut.gone()).endsWith("0\r\n\r\n"), `${target} has an end`);
      logged.push(`Cannot answer "GET ${target}"${line}`);
      await assertAlive(target);
    }

    const leaving = await RawClient.connect(server);
    await leaving.send(get("/answers_after_the_client_left"));
    leaving[Symbol.dispose]();
    await until(() => server.log.includes("answered"), 60_000, "the handler has answered");
    await assertAlive("/answers_after_the_client_left");

    const bored = await RawClient.connect(server);
    await bored.send(get("/clings"));
    await bored.until("more ");
    bored[Symbol.dispose]();
    await assertAlive("/clings");

    client[Symbol.dispose]();
    server.kill("SIGTERM");
    const { code, stderr } = await server.end();
    assertEquals(code, 0, stderr);
    const lines = stderr.split("\n").filter((line) => /^[^\s}]/.test(line));
    for (const [i, line] of logged.entries()) {
      assertEquals(lines[i]?.slice(0, line.length), line);
    }
    assertMatch(lines.slice(logged.length).join("\n"), /^$/);
  },
);
