// What was measured as text: a table for a terminal, and RESULTS.md.

import { type Case, CASES, SERVE_TARGET, type Target } from "./cases.ts";
import { CONNECTIONS } from "./load.ts";
import { PEERS, REFERENCE } from "./peers/mod.ts";
import {
  type Figures,
  figuresOf,
  type Measurement,
  median,
  medianRatio,
  peersOf,
  type Results,
  type Round,
} from "./results.ts";

/** MiB that HTTPListener may hold more than Deno.serve at the peak. */
const MEMORY_TARGET = 25;
/** CPU time with the access log on, to that without, at most. */
const LOG_TARGET = 1.1;
/** Milliseconds to the first answer, to those of Deno.serve, at most. */
const STARTUP_TARGET = 1.3;

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

/** Start-up as a table for a terminal. */
export function startupTable(rounds: Round<number>[]): string {
  const rows = peersOf(rounds).map((peer) => {
    const { time, toReference } = startupOf(rounds, peer);
    return [peer, time.toFixed(1), ratio(toReference)];
  });
  return align([["startup", "ms", "ratio"], ...rows]);
}

/** RESULTS.md. */
export function markdown(results: Results): string {
  const { machine, versions, cases } = results;
  const measured = CASES.filter(({ name }) => name in cases);
  return `# Results

Written by \`deno task bench\`; [NOTES.md](NOTES.md) tells how it measures.

${machine}. The load is \`wrk -t1 -c${CONNECTIONS}\` on the same machine. Ratios are to \`Deno.serve\` in the same
round, and each figure is the median of all rounds.

![Requests per second and CPU time per request of all servers, GET](results.svg)

## This project against \`Deno.serve\`

${table(["Work", "rps", "at least", "CPU", "at most", "Memory", "Targets"], targets(results))}

CPU is the server's CPU time per request. Memory is the peak of the process less that of \`Deno.serve\`, which
is to be ${MEMORY_TARGET} MiB at most.

${table(["", "Ratio", "Target"], extras(results))}

## All figures

CPU is in microseconds of the server's CPU time per request, and memory the most the process has held.

${measured.map((it) => figures(it, cases[it.name].rounds, cases[it.name].seconds)).join("\n\n")}

## Versions

${table(["", "Version"], Object.entries(versions))}
`;
}

/** A row for each target of the table in which it is compared with Deno.serve. */
function targets({ cases }: Results): string[][] {
  const rows: [title: string, name: string, peer: string, target: Target | undefined][] = [
    ...CASES.map((it): typeof rows[0] => [it.title, it.name, "listener", it.target]),
    ["`serve()` with a `Request`/`Response` handler, GET", "get", "serve", SERVE_TARGET],
  ];
  return rows.flatMap(([title, name, peer, target]) => {
    const rounds = cases[name]?.rounds ?? [];
    if (target === undefined || !peersOf(rounds).includes(peer)) return [];
    const ours = figuresOf(rounds, peer);
    if (ours.rpsRatio === null || ours.cpuRatio === null) return [];
    const more = ours.memory - figuresOf(rounds, REFERENCE).memory;
    const missed = [
      ours.failure !== null && `failed (${ours.failure})`,
      ours.rpsRatio < target.rps && "rps",
      ours.cpuRatio > target.cpu && "CPU",
      more > MEMORY_TARGET && "memory",
    ].filter((it) => it !== false);
    return [[
      title,
      ratio(ours.rpsRatio),
      ratio(target.rps),
      ratio(ours.cpuRatio),
      ratio(target.cpu),
      `${more > 0 ? "+" : ""}${more.toFixed(0)} MiB`,
      missed.length === 0 ? "met" : `missed: ${missed.join(", ")}`,
    ]];
  });
}

/** What is compared with something else than Deno.serve under load. */
function extras({ cases, startup }: Results): string[][] {
  const rounds = cases.get?.rounds ?? [];
  const peers = peersOf(rounds);
  const toListener = (peer: string): Figures | null =>
    peers.includes(peer) && peers.includes("listener") ? figuresOf(rounds, peer, "listener") : null;
  const rows: [title: string, value: number | null | undefined, target: number | null][] = [
    [
      "CPU time with the access log on, to that without",
      toListener("listener_log")?.cpuRatio,
      LOG_TARGET,
    ],
    [
      "Requests per second of 2 workers, to those of 1",
      toListener("listener_workers")?.rpsRatio,
      null,
    ],
    [
      "Start of the process to its first answer, to that of `Deno.serve`",
      peersOf(startup).includes("listener") ? startupOf(startup, "listener").toReference : null,
      STARTUP_TARGET,
    ],
  ];
  return rows.flatMap(([title, value, target]) => {
    if (value === null || value === undefined) return [];
    if (target === null) return [[title, ratio(value), "none"]];
    return [[
      title,
      ratio(value),
      `at most ${ratio(target)}: ${value > target ? "missed" : "met"}`,
    ]];
  });
}

function figures(it: Case, rounds: Round<Measurement>[], seconds: number): string {
  const rows = peersOf(rounds).map((peer) => {
    const { rps, cpu, p99, memory, failure, rpsRatio, cpuRatio } = figuresOf(rounds, peer);
    return [
      titleOf(peer),
      failure === null ? rps.toFixed(0) : `failed: ${failure}`,
      ratio(rpsRatio),
      cpu.toFixed(2),
      ratio(cpuRatio),
      `${p99.toFixed(2)} ms`,
      `${memory.toFixed(0)} MiB`,
    ];
  });
  return `### ${it.title[0].toUpperCase()}${it.title.slice(1)}

${rounds.length} ${rounds.length === 1 ? "round" : "rounds"} of ${seconds} s.

${table(["Server", "rps", "ratio", "CPU", "ratio", "p99", "Memory"], rows)}`;
}

function startupOf(
  rounds: Round<number>[],
  peer: string,
): { time: number; toReference: number | null } {
  return {
    time: median(rounds.map((round) => round[peer])),
    toReference: medianRatio(
      rounds.map((round) => ({ ours: round[peer], other: round[REFERENCE] })),
    ),
  };
}

/** The title of a peer by its name. */
export function titleOf(name: string): string {
  return PEERS.find((peer) => peer.name === name)?.title ?? name;
}

function ratio(value: number | null): string {
  return value === null ? "–" : value.toFixed(2);
}

/** A table of Markdown; columns of figures are aligned to the right. */
function table(head: string[], rows: string[][]): string {
  const isFigure = (column: number): boolean =>
    column > 0 && rows.every((row) => /^([+-]?[\d.]+( ms| MiB)?|–|failed.*)$/.test(row[column]));
  const rule = head.map((_, column) => isFigure(column) ? "-:" : "-");
  return [head, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function align(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
      .trimEnd() + "\n"
  ).join("");
}
