// What was measured, and what is made of it: medians, and medians of the ratios in the same round.

import { REFERENCE } from "./peers/mod.ts";

/** What was measured of a peer in a round of a case. */
export interface Measurement {
  /** Requests per second. */
  rps: number;
  /** Microseconds of the server's CPU time per request. */
  cpu: number;
  /** Milliseconds in which 99 of 100 answers had come. */
  p99: number;
  /** The most memory the process has held, in MiB. */
  memory: number;
  /** What went wrong. */
  failure: string | null;
}

/** A round: what was measured of each peer, one after the other. */
export type Round<T> = Record<string, T>;

/** What was measured in a case. */
export interface CaseResults {
  /** Seconds that each peer was measured in a round. */
  seconds: number;
  rounds: Round<Measurement>[];
}

/** All that a run, or several, have measured on one machine. */
export interface Results {
  /** The machine and the system. */
  machine: string;
  /** Of each peer, and of wrk. */
  versions: Record<string, string>;
  /** By the names of the cases. */
  cases: Record<string, CaseResults>;
  /** Milliseconds from the start of a process to its first answer. */
  startup: Round<number>[];
}

/** Figures of a peer in a case: medians of its rounds. */
export interface Figures extends Measurement {
  /** Requests per second as a ratio to the reference's in the same round; null without that. */
  rpsRatio: number | null;
  /** CPU time per request as a ratio to the reference's in the same round; null without that. */
  cpuRatio: number | null;
}

/** The peers of some rounds. */
export function peersOf(rounds: Round<unknown>[]): string[] {
  return rounds.length === 0 ? [] : Object.keys(rounds[0]);
}

/** The figures of a peer, and its ratios to another. */
export function figuresOf(
  rounds: Round<Measurement>[],
  peer: string,
  reference: string = REFERENCE,
): Figures {
  const of = (key: "rps" | "cpu" | "p99" | "memory"): number =>
    median(rounds.map((round) => round[peer][key]));
  const ratio = (key: "rps" | "cpu"): number | null =>
    medianRatio(
      rounds.map((round) => ({ ours: round[peer][key], other: round[reference]?.[key] })),
    );
  return {
    rps: of("rps"),
    cpu: of("cpu"),
    p99: of("p99"),
    memory: of("memory"),
    failure: rounds.map((round) => round[peer].failure).find((failure) => failure !== null) ?? null,
    rpsRatio: ratio("rps"),
    cpuRatio: ratio("cpu"),
  };
}

/** The median of ratios; null where there is nothing to compare with. */
export function medianRatio(pairs: { ours: number; other: number | undefined }[]): number | null {
  return pairs[0]?.other === undefined
    ? null
    : median(pairs.map(({ ours, other }) => ours / other!));
}

/** The middle of some numbers. */
export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
