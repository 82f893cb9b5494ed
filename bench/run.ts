// The benchmark: starts each server as a process of its own, checks its answers, loads all with wrk in turns,
// and compares them with Deno.serve.
//
//     deno task bench                    all of it, written to RESULTS.md
//     deno task bench --cases get,pipelined --peers deno_serve,listener --rounds 3 --seconds 2
//     deno task bench --help

import { parseArgs } from "node:util";
import { unmet } from "../tests/needs.ts";
import { type Case, CASES } from "./cases.ts";
import { makeCertificate } from "./certificate.ts";
import { checkAnswer } from "./check.ts";
import { load } from "./load.ts";
import { type Peer, PEERS, programOptions, REFERENCE, takesPart } from "./peers/mod.ts";
import type { ProgramOptions } from "./peers/program.ts";
import { caseTable, startupTable } from "./report.ts";
import type { Measurement, Round } from "./results.ts";
import { Server } from "./server.ts";
import { newResults, write } from "./store.ts";
import { Contestant, takeTurns } from "./turns.ts";

/** The name, beside those of the cases, under which start-up is measured. */
const STARTUP = "startup";
/** Starts that are timed in a round: they differ more than loads do. */
const STARTS = 4;
/** Seconds of a load without a pause, which tells how long answers take. */
const UNINTERRUPTED = 1;
const CASE_NAMES = [...CASES.map(({ name }) => name), STARTUP];
const PEER_NAMES = PEERS.map(({ name }) => name);

const HELP = `Compares servers of HTTP/1.1 under the load of wrk.

Usage: deno task bench [options]

Options:
  --cases <names>     Only these, separated by commas: ${CASE_NAMES.join(", ")}
  --peers <names>     Only these: ${PEER_NAMES.join(", ")}
  --rounds <number>   Rounds, each with new processes; 5 if not given
  --seconds <number>  Seconds that a peer is measured in a round, in many short turns; 3 if not given
  --warmup <number>   Seconds of load before it is measured; 1 if not given
  --write             Write RESULTS.md, results.json and results.svg though not all was measured: what is
                      measured replaces what is there of the same cases
  --help              Print this text

It needs Linux, wrk and openssl; Node.js and Debian's python3-uvicorn for the peers that run on them.
Ratios are to ${REFERENCE} in the same round; a figure is the median of all rounds.`;

interface Settings {
  rounds: number;
  seconds: number;
  warmup: number;
}

/** What all measurements share. */
interface Bench extends Settings {
  /** The commands of the peers, by their names. */
  commands: Map<string, string[]>;
  tls: NonNullable<ProgramOptions["tls"]>;
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
      write: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help) return console.log(HELP);
  const settings: Settings = {
    rounds: wholeNumber("rounds", values.rounds, 1),
    seconds: wholeNumber("seconds", values.seconds, 1),
    warmup: wholeNumber("warmup", values.warmup, 0),
  };
  const cases = select("cases", CASE_NAMES, values.cases);
  const names = select("peers", PEER_NAMES, values.peers);
  const peers = PEERS.filter(({ name }) => names.includes(name)).filter(canRun);
  const isAll = values.cases === undefined && values.peers === undefined;
  const folder = await Deno.makeTempDir({ prefix: "bench-" });
  try {
    const tls = await makeCertificate(folder);
    const commands = new Map<string, string[]>();
    for (const { name, prepare } of peers) commands.set(name, await prepare(folder));
    const bench: Bench = { ...settings, commands, tls };
    const results = await newResults(peers);
    for (const it of CASES.filter(({ name }) => cases.includes(name))) {
      const rounds = await measureCase(it, peers, bench);
      results.cases[it.name] = { seconds: settings.seconds, rounds };
      console.log(caseTable(it, rounds));
    }
    if (cases.includes(STARTUP)) {
      results.startup = await measureStartup(peers, bench);
      console.log(startupTable(results.startup));
    }
    if (isAll || values.write) await write(results);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whether what a peer needs is there; tells what is not. */
function canRun({ name, needs }: Peer): boolean {
  const reason = unmet({ commands: needs });
  if (reason !== null) console.error(`Leaving out ${name}: ${reason}`);
  return reason === null;
}

async function measureCase(
  it: Case,
  peers: readonly Peer[],
  bench: Bench,
): Promise<Round<Measurement>[]> {
  const rounds: Round<Measurement>[] = [];
  for (let i = 1; i <= bench.rounds; i++) {
    const title = `${it.name}, round ${i} of ${bench.rounds}`;
    rounds.push(
      await measureRound(it, peers.filter((peer) => takesPart(peer, it)), bench, title),
    );
  }
  progress("");
  return rounds;
}

/** Starts all peers and warms them up, one after the other; then they take turns. */
async function measureRound(
  it: Case,
  peers: readonly Peer[],
  bench: Bench,
  title: string,
): Promise<Round<Measurement>> {
  await using stack = new AsyncDisposableStack();
  const warm: { name: string; server: Server; p99: number }[] = [];
  for (const peer of peers) {
    progress(`${title}: ${peer.name}`);
    try {
      const server = stack.use(await start(peer, it, bench));
      await checkAnswer(it, server.port, await Deno.readTextFile(bench.tls.cert));
      if (bench.warmup > 0) await load(it, server.port, bench.warmup);
      const { p99 } = await load(it, server.port, UNINTERRUPTED);
      warm.push({ name: peer.name, server, p99: p99! });
    } catch (cause) {
      const { message } = cause as Error;
      throw new Error(`Cannot measure ${peer.name} in ${it.name}: ${message}`, { cause });
    }
  }
  progress(`${title}: taking turns`);
  // Not before all are warm: what a load has sent must not wait for longer than the others' turns.
  const contestants = warm.map(({ name, server, p99 }) =>
    stack.use(new Contestant(name, it, server, p99))
  );
  return await takeTurns(contestants, bench.seconds);
}

/** Milliseconds from the start of a process to the end of its first answer. */
async function measureStartup(peers: readonly Peer[], bench: Bench): Promise<Round<number>[]> {
  const rounds: Round<number>[] = [];
  const [get] = CASES;
  const compared = peers.filter(({ takes }) => takes === undefined);
  // The first start of all compiles, and is not counted.
  for (let i = 0; i <= bench.rounds * STARTS; i++) {
    const round: Round<number> = {};
    for (const peer of compared) {
      progress(`${STARTUP}, ${i} of ${bench.rounds * STARTS}: ${peer.name}`);
      const begin = performance.now();
      await using server = await start(peer, get, bench);
      await checkAnswer(get, server.port);
      round[peer.name] = performance.now() - begin;
    }
    if (i > 0) rounds.push(round);
  }
  progress("");
  return rounds;
}

function start(peer: Peer, it: Case, { commands, tls }: Bench): Promise<Server> {
  return Server.start(commands.get(peer.name)!, programOptions(peer, it, tls));
}

function progress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

function select(option: string, all: string[], names: string | undefined): string[] {
  const selected = names?.split(",") ?? all;
  const unknown = selected.find((name) => !all.includes(name));
  if (unknown === undefined) return selected;
  throw new RangeError(`Cannot take --${option} "${unknown}": must be of ${all.join(", ")}`);
}

function wholeNumber(option: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  throw new RangeError(
    `Cannot set --${option} to ${text}: must be an integer >= ${least}`,
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
