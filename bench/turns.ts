// Servers under load that take turns: one runs with its wrk while all others are stopped, for a moment each.
// So all of them meet the same machine, whose speed changes within seconds where it is shared.

import type { Case } from "./cases.ts";
import { Load } from "./load.ts";
import type { Measurement, Round } from "./results.ts";
import type { Server } from "./server.ts";

/** Milliseconds of a turn: short to a change of the machine, long to what a cold cache costs. */
const TURN = 50;

/** A server and its load, stopped but for its turns; `await using` ends the load. */
export class Contestant implements AsyncDisposable {
  readonly #server: Server;
  readonly #load: Load;
  readonly #p99: number;
  readonly #cpuBefore: number;
  /** Milliseconds of all its turns. */
  #elapsed = 0;

  /** Opens the connections of the load. `p99` is what a load without a pause has told. */
  constructor(readonly name: string, it: Case, server: Server, p99: number) {
    this.#server = server;
    this.#p99 = p99;
    this.#cpuBefore = server.cpuTime();
    this.#load = new Load(it, server.port);
    this.#pause();
  }

  /** Milliseconds of all its turns. */
  get elapsed(): number {
    return this.#elapsed;
  }

  /** Runs for a moment. */
  async turn(): Promise<void> {
    await this.#run();
    this.#pause();
  }

  /** The last turn: the load ends. */
  async end(): Promise<Measurement> {
    // Not before the first thread of wrk runs again: another would take the signal, and that one sleep on.
    await this.#run();
    const begin = performance.now();
    const { requests, failure } = await this.#load.end();
    this.#elapsed += performance.now() - begin;
    const cpu = this.#server.cpuTime() - this.#cpuBefore;
    this.#server.pause();
    return {
      rps: requests / this.#elapsed * 1e3,
      cpu: cpu / Math.max(requests, 1) * 1e6,
      p99: this.#p99,
      memory: this.#server.peakMemory(),
      failure,
    };
  }

  /** Goes on for a moment, and is not stopped yet. */
  async #run(): Promise<void> {
    const begin = performance.now();
    this.#server.resume();
    this.#load.resume();
    await new Promise((resolve) => setTimeout(resolve, TURN));
    this.#elapsed += performance.now() - begin;
  }

  #pause(): void {
    this.#load.pause();
    this.#server.pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load[Symbol.asyncDispose]();
  }
}

/** Gives each so many seconds in turns. */
export async function takeTurns(
  contestants: readonly Contestant[],
  seconds: number,
): Promise<Round<Measurement>> {
  for (let waiting = contestants; waiting.length > 0;) {
    for (const contestant of waiting) await contestant.turn();
    waiting = waiting.filter(({ elapsed }) => elapsed < seconds * 1e3);
  }
  const round: Round<Measurement> = {};
  for (const contestant of contestants) round[contestant.name] = await contestant.end();
  return round;
}
