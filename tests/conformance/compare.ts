// Holds the table against this server and three others, and writes RESULTS.md:
//
//   deno run -A tests/conformance/compare.ts
//
// It needs node and nginx.

import type { Case } from "./case.ts";
import { PEERS } from "./peers.ts";
import { probe, type Result } from "./probe.ts";
import { type Column, render, REPORT } from "./report.ts";
import { TABLE } from "./table.ts";

/** Milliseconds after which a server that says nothing is taken to wait. */
const PATIENCE = 1_500;
/** Rows that are sent at a time. */
const AT_A_TIME = 16;

const columns: Column[] = [];
for (const kind of PEERS) {
  await using peer = await kind.start();
  const results = new Map<Case, Result>();
  const rows = TABLE.flatMap(({ cases }) => cases);
  // In the order of the table, whoever comes first.
  const outcomes = new Array<Result>(rows.length);
  let at = 0;
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    while (at < rows.length) {
      const i = at++;
      outcomes[i] = await probe(peer.port, rows[i], "whole", PATIENCE);
    }
  }));
  rows.forEach((row, i) => results.set(row, outcomes[i]));
  columns.push({ name: kind.name, version: await kind.version(), results });
  console.log(`${kind.name}: ${results.size} rows`);
}
await Deno.writeTextFile(REPORT, render(columns));
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", REPORT.pathname] }).output();
