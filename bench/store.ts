// What was measured, kept in results.json, from which RESULTS.md and the chart are written. A run of some
// cases replaces these, and leaves what others have measured on the same machine with the same versions.

import { cpus, release, totalmem, type } from "node:os";
import { CASES } from "./cases.ts";
import { chart } from "./chart.ts";
import { outputOf, run } from "./command.ts";
import { type Peer, PEERS } from "./peers/mod.ts";
import { markdown } from "./report.ts";
import type { Results } from "./results.ts";

const path = (name: string): string => new URL(name, import.meta.url).pathname;
const RESULTS = path("results.json"), TABLES = path("RESULTS.md"), CHART = path("results.svg");

/** Results of nothing yet: the machine and the versions. */
export async function newResults(peers: readonly Peer[]): Promise<Results> {
  const versions: Results["versions"] = {};
  for (const { title, version } of peers) versions[title] = await version();
  versions.wrk = await wrkVersion();
  const [{ model }] = cpus(), memory = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} × ${model.trim()}, ${memory} GiB, ${type()} ${release()}`;
  return { machine, versions, cases: {}, startup: [] };
}

async function wrkVersion(): Promise<string> {
  // It ends with status 1 where it only tells its version.
  const { stdout } = await run(["wrk", "-v"]);
  return /^wrk (\S+)/.exec(stdout)?.[1] ?? "unknown";
}

/** Adds to what is kept, and writes all of it. */
export async function write(added: Results): Promise<void> {
  const kept = await read();
  const isSame = kept !== null && kept.machine === added.machine &&
    Object.entries(added.versions).every(([title, version]) =>
      (kept.versions[title] ?? version) === version
    );
  const base = isSame ? kept : { cases: {}, versions: {}, startup: [] };
  const results: Results = {
    machine: added.machine,
    versions: { ...base.versions, ...added.versions },
    cases: { ...base.cases, ...added.cases },
    startup: added.startup.length > 0 ? added.startup : base.startup,
  };
  await Deno.writeTextFile(RESULTS, JSON.stringify(results, rounded, 2));
  await Deno.writeTextFile(TABLES, markdown(results));
  const files = [RESULTS, TABLES];
  const get = CASES[0], rounds = results.cases[get.name]?.rounds;
  if (rounds !== undefined) {
    const all = PEERS.filter(({ takes }) => takes === undefined || CASES.filter(takes).length > 1);
    await Deno.writeTextFile(CHART, chart(rounds, all.map(({ name }) => name)));
    files.push(CHART);
  }
  await outputOf([Deno.execPath(), "fmt", "--quiet", ...files]);
}

async function read(): Promise<Results | null> {
  try {
    return JSON.parse(await Deno.readTextFile(RESULTS));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Four digits are more than a measurement is good for. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(4)) : value;
}
