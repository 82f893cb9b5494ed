// The servers that are compared, each behind the same interface.

import type { Case } from "../cases.ts";
import { DENO, denoProgram } from "./runtimes.ts";
import type { ProgramOptions } from "./program.ts";

/** A server that is compared. */
export interface Peer {
  /** Its name on the command line. */
  name: string;
  /** Its name in tables. */
  title: string;
  /** The command that runs its program; the options follow as JSON. */
  command(): string[] | Promise<string[]>;
  /** Its version, and that of what runs it. */
  version(): string | Promise<string>;
  /** Options that its program gets beside those of the case. */
  options?: ProgramOptions;
  /** Whether it takes part in a case; in all if not given. */
  takes?(it: Case): boolean;
}

/** The peer that all others are compared with. */
export const REFERENCE = "deno_serve";

/** All peers, in the order of a round. */
export const PEERS: readonly Peer[] = [
  {
    name: "raw",
    title: "raw ceiling",
    command: () => denoProgram("raw.ts"),
    version: () => DENO,
    // There are no routes in it.
    takes: ({ routes }) => routes === undefined,
  },
  {
    name: REFERENCE,
    title: "Deno.serve",
    command: () => denoProgram("deno_serve.ts"),
    version: () => DENO,
  },
  {
    name: "listener",
    title: "HTTPListener",
    command: () => denoProgram("listener.ts"),
    version: () => DENO,
  },
  {
    name: "serve",
    title: "serve()",
    command: () => denoProgram("serve.ts"),
    version: () => DENO,
  },
];

/** What the program of a peer is told for a case. */
export function programOptions(
  { options }: Peer,
  { path, body = "", routes, isTls }: Case,
  tls: ProgramOptions["tls"],
): ProgramOptions {
  const raw = { path, bodySize: body.length };
  return { ...options, raw, routes, tls: isTls ? tls : undefined };
}
