// SIGTERM under load, again and again: every request that the server took is answered, byte for byte, and
// one that it did not take was never handled.
//
//   deno run -A tests/soak/restarts.ts --restarts 100

import { assertEquals } from "@std/assert";
import { freePort } from "../conformance/peers.ts";
import { type Account, ExactLoad } from "./exact_load.ts";
import { argument, ServerProcess } from "./process.ts";

/** What was measured. */
export interface RestartsReport {
  restarts: number;
  account: Account;
  /** Milliseconds that a stop took at most. */
  slowest: number;
}

/** How long the load goes on between two restarts, in milliseconds. */
const BETWEEN = 300;

/** The numbers of the requests that a server has handled, and logged. */
function handled(server: ServerProcess): number[] {
  return server.log.flatMap((line) => {
    const number = /\?(\d+)- HTTP\/1\.1" 200$/.exec(line)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

/** Every answered request was handled once, and no other one at all. */
function check({ answered }: Account, all: number[]): void {
  assertEquals(new Set(all).size, all.length, "a request was handled twice");
  const unanswered = all.filter((number) => !answered.has(number));
  assertEquals(unanswered, [], "requests were handled whose answers did not come");
  assertEquals(answered.size, all.length, "requests were answered that were not handled");
}

/** Stops and starts the server on a port while load goes on. */
export async function restart(restarts: number, each: number): Promise<RestartsReport> {
  const options = { port: freePort(), accessLog: "default" as const };
  const all: number[] = [];
  let slowest = 0;
  let server = await ServerProcess.start(options);
  const load = new ExactLoad(options.port, each);
  for (let i = 1; i <= restarts; i++) {
    await new Promise((resolve) => setTimeout(resolve, BETWEEN));
    const start = performance.now();
    const isLast = i === restarts;
    const ended = isLast ? load.end() : undefined;
    await server.stop();
    await ended;
    slowest = Math.max(slowest, performance.now() - start);
    for (const number of handled(server)) all.push(number);
    if (!isLast) server = await ServerProcess.start(options);
  }
  check(load, all);
  return { restarts, account: load, slowest };
}

if (import.meta.main) {
  const { restarts, account, slowest } = await restart(argument("restarts", 100), argument("each", 2));
  console.log(
    `${restarts} restarts: ${account.answered.size} requests answered, ${account.crossed.size} crossed a close, ` +
      `${account.unheard.size} not heard, ${account.behind.size} behind a last answer, ` +
      `${account.refused} connections refused; a stop took ${slowest.toFixed()} ms at most`,
  );
}
