// The benchmark: starts each server as a process of its own, checks its answers, loads it with wrk, and
// compares it with Deno.serve in the same round.
//
//     deno task bench                    all of it, written to RESULTS.md
//     deno task bench --cases get,pipelined --peers deno_serve,listener --rounds 3 --seconds 2
//     deno task bench --help

import { parseArgs } from "node:util";
import { type Case, CASES } from "./cases.ts";
import { makeCertificate } from "./certificate.ts";
import { checkAnswer } from "./check.ts";
import { load } from "./load.ts";
import { type Peer, PEERS, programOptions, REFERENCE } from "./peers/mod.ts";
import type { ProgramOptions } from "./peers/program.ts";
import { caseTable } from "./report.ts";
import type { Measurement, Round } from "./results.ts";
import { Server } from "./server.ts";

const HELP = `Compares servers of HTTP/1.1 under the load of wrk.

Usage: deno task bench [options]

Options:
  --cases <names>     Only these, separated by commas: ${CASES.map(({ name }) => name).join(", ")}
  --peers <names>     Only these: ${PEERS.map(({ name }) => name).join(", ")}
  --rounds <number>   Rounds in which each peer is measured once; 5 if not given
  --seconds <number>  Seconds that a peer is measured in a round; 3 if not given
  --warmup <number>   Seconds of load before it is measured; 1 if not given
  --help              Print this text

Ratios are to ${REFERENCE} in the same round; a figure is the median of all rounds.`;

interface Settings {
  rounds: number;
  seconds: number;
  warmup: number;
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      cases: { type: "string" },
      peers: { type: "string" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      warmup: { type: "string", default: "1" },
      help: { type: "boolean" },
    },
  });
  if (values.help) return console.log(HELP);
  const settings: Settings = {
    rounds: wholeNumber("rounds", values.rounds, 1),
    seconds: wholeNumber("seconds", values.seconds, 1),
    warmup: wholeNumber("warmup", values.warmup, 0),
  };
  const cases = select("cases", CASES, values.cases);
  const peers = select("peers", PEERS, values.peers);
  const folder = await Deno.makeTempDir({ prefix: "bench-" });
  try {
    const tls = await makeCertificate(folder);
    for (const it of cases) {
      const rounds = await measureCase(it, peers, tls, settings);
      console.log(caseTable(it, rounds));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function measureCase(
  it: Case,
  peers: readonly Peer[],
  tls: ProgramOptions["tls"],
  { rounds: count, seconds, warmup }: Settings,
): Promise<Round<Measurement>[]> {
  const rounds: Round<Measurement>[] = [];
  for (let i = 0; i < count; i++) {
    const round: Round<Measurement> = {};
    for (const peer of peers) {
      if (peer.takes?.(it) === false) continue;
      progress(`${it.name}, round ${i + 1} of ${count}: ${peer.name}`);
      round[peer.name] = await measure(peer, it, tls, seconds, warmup);
    }
    rounds.push(round);
  }
  progress("");
  return rounds;
}

async function measure(
  peer: Peer,
  it: Case,
  tls: ProgramOptions["tls"],
  seconds: number,
  warmup: number,
): Promise<Measurement> {
  await using server = await Server.start(await peer.command(), programOptions(peer, it, tls));
  const cert = tls === undefined ? undefined : await Deno.readTextFile(tls.cert);
  await checkAnswer(it, server.port, cert);
  if (warmup > 0) await load(it, server.port, warmup);
  const before = server.cpuTime();
  const { requests, seconds: elapsed, p99, failure } = await load(it, server.port, seconds);
  return {
    rps: requests / elapsed,
    cpu: (server.cpuTime() - before) / requests * 1e6,
    p99,
    memory: server.peakMemory(),
    failure,
  };
}

function progress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

function select<T extends { name: string }>(
  option: string,
  all: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return all;
  const wanted = names.split(",");
  const unknown = wanted.find((name) => !all.some((it) => it.name === name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot take --${option} "${unknown}": must be of ${all.map(({ name }) => name).join(", ")}`,
    );
  }
  return all.filter(({ name }) => wanted.includes(name));
}

function wholeNumber(option: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  throw new RangeError(
    `Cannot set --${option} to ${text}: must be a whole number from ${least} up`,
  );
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
