// Very many requests of a realistic mix: none fails, and memory stays flat.
//
//   deno run -A tests/soak/mix.ts --requests 10000000

import { assert } from "@std/assert";
import { argument, mib, ServerProcess } from "./process.ts";

/** Seconds of one run of wrk. */
const RUN = 20;
/** Bytes of memory for each 1,000 requests that a leak would have to exceed to be told from noise. */
const SLOPE_MAX = 4 * 1024;

/** Has wrk send the mix for a while. @returns How many requests were answered. */
async function drive({ port }: ServerProcess): Promise<number> {
  const { stdout } = await new Deno.Command("wrk", {
    args: ["-t1", "-c64", `-d${RUN}s`, "-s", "tests/soak/mix.lua", `http://127.0.0.1:${port}/`],
    cwd: new URL("../..", import.meta.url),
  }).output();
  const report = new TextDecoder().decode(stdout);
  const failures = /^.*(Non-2xx|Socket errors).*$/m.exec(report);
  assert(failures === null, failures?.[0].trim());
  return Number(/(\d+) requests in/.exec(report)![1]);
}

/** The slope of the line through `points` that leaves the least squares. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: 0 | 1): number => points.reduce((sum, it) => sum + it[of], 0) / points.length;
  const x0 = mean(0), y0 = mean(1);
  const over = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0);
  return over / points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
}

if (import.meta.main) {
  const requests = argument("requests", 10_000_000);
  await using server = await ServerProcess.start();
  const heap: [requests: number, bytes: number][] = [];
  const rss: [requests: number, bytes: number][] = [];
  let done = 0;
  while (done < requests) {
    done += await drive(server);
    heap.push([done, (await server.state()).heap]);
    rss.push([done, server.rss]);
    console.log(`${done} requests: heap ${mib(heap.at(-1)![1])}, memory ${mib(rss.at(-1)![1])}`);
  }
  // The first runs warm up.
  const skipped = Math.ceil(heap.length / 4);
  const [ofHeap, ofMemory] = [heap, rss].map((it) => slope(it.slice(skipped)) * 1_000);
  console.log(
    `each 1,000 requests: heap ${ofHeap.toFixed(1)} bytes, memory ${ofMemory.toFixed(1)} bytes`,
  );
  await server.stop();
  assert(ofHeap < SLOPE_MAX, "the heap grows");
}
