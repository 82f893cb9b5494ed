// What was measured as text.

import type { Case } from "./cases.ts";
import { figuresOf, type Measurement, peersOf, type Round } from "./results.ts";

/** The figures of a case, as a table for a terminal. */
export function caseTable(it: Case, rounds: Round<Measurement>[]): string {
  const rows = peersOf(rounds).map((peer) => {
    const { rps, cpu, p99, memory, failure, rpsRatio, cpuRatio } = figuresOf(rounds, peer);
    return [
      peer,
      rps.toFixed(0),
      ratio(rpsRatio),
      cpu.toFixed(2),
      ratio(cpuRatio),
      p99.toFixed(2),
      memory.toFixed(0),
      failure === null ? "" : `FAILED ${failure}`,
    ];
  });
  return align([[it.name, "rps", "ratio", "CPU µs", "ratio", "p99 ms", "MiB", ""], ...rows]);
}

function ratio(value: number | null): string {
  return value === null ? "–" : value.toFixed(2);
}

function align(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
      .trimEnd() + "\n"
  ).join("");
}
