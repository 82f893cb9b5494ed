// The servers that are compared, each behind the same interface.

import manifest from "../../deno.json" with { type: "json" };
import type { Case } from "../cases.ts";
import { outputOf } from "../command.ts";
import type { ProgramOptions } from "./program.ts";
import { denoCommand, NODE, nodeCommand, pythonCommand, UVICORN } from "./runtimes.ts";

/** A server that is compared. */
export interface Peer {
  /** Its name on the command line. */
  name: string;
  /** Its name in tables. */
  title: string;
  /** Commands that have to succeed where it is to run. */
  needs?: readonly string[][];
  /** Makes its program ready, in a folder. @returns Its command; options follow as JSON. */
  prepare(folder: string): string[] | Promise<string[]>;
  /** The version of what is compared, and of what runs it. */
  version(): string | Promise<string>;
  /** Options that its program gets beside those of the case. */
  options?(it: Case): ProgramOptions;
  /** Whether it takes part in a case; in all if not given. */
  takes?(it: Case): boolean;
}

/** The peer that all others are compared with. */
export const REFERENCE = "deno_serve";

const deno = (): string => `Deno ${Deno.version.deno}`;
const node = async (): Promise<string> => `Node.js ${await outputOf(NODE)}`;
const packageVersion = (name: "fastify" | "hono"): string => manifest.imports[name].split("@")[1];
const ours = (): string => `${manifest.version} on ${deno()}`;
const isGet = ({ name }: Case): boolean => name === "get";

/** All peers, in the order of a round. */
export const PEERS: readonly Peer[] = [
  {
    name: "raw",
    title: "raw ceiling",
    prepare: () => denoCommand("raw.ts"),
    version: deno,
    options: ({ path, body = "" }) => ({ raw: { path, bodySize: body.length } }),
    // There are no routes in it.
    takes: ({ routes }) => routes === undefined,
  },
  {
    name: "prototype",
    title: "prototype",
    prepare: () => denoCommand("prototype.ts"),
    version: deno,
    takes: ({ path, routes }) => ["/user/bob", "/json"].includes(path) && routes === undefined,
  },
  {
    name: REFERENCE,
    title: "`Deno.serve`",
    prepare: () => denoCommand("deno_serve.ts"),
    version: deno,
  },
  {
    name: "listener",
    title: "`HTTPListener`",
    prepare: () => denoCommand("listener.ts"),
    version: ours,
  },
  {
    name: "serve",
    title: "`serve()`",
    prepare: () => denoCommand("serve.ts"),
    version: ours,
  },
  {
    name: "hono",
    title: "Hono on `Deno.serve`",
    prepare: () => denoCommand("hono.ts"),
    version: () => `${packageVersion("hono")} on ${deno()}`,
  },
  {
    name: "node_http",
    title: "`node:http`",
    needs: [NODE],
    prepare: (folder) => nodeCommand("node_http.ts", folder),
    version: node,
  },
  {
    name: "fastify",
    title: "Fastify",
    needs: [NODE],
    prepare: (folder) => nodeCommand("fastify.ts", folder),
    version: async () => `${packageVersion("fastify")} on ${await node()}`,
  },
  {
    name: "uvicorn",
    title: "uvicorn with h11",
    needs: [UVICORN],
    prepare: () => pythonCommand("uvicorn_h11.py"),
    version: () => outputOf(UVICORN),
  },
  {
    name: "listener_log",
    title: "`HTTPListener` with its access log",
    prepare: () => denoCommand("listener.ts"),
    version: ours,
    options: () => ({ accessLog: true }),
    takes: isGet,
  },
  {
    name: "listener_workers",
    title: "`HTTPListener` with 2 workers",
    prepare: () => denoCommand("listener.ts", "--allow-run", "--unstable-net"),
    version: ours,
    options: () => ({ workers: 2, port: freePort() }),
    takes: isGet,
  },
];

/** Workers share a port, and have to be told which. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Whether a peer takes part in a case. */
export function takesPart(peer: Peer, it: Case): boolean {
  return it.peers?.includes(peer.name) !== false && peer.takes?.(it) !== false;
}

/** What the program of a peer is told for a case. */
export function programOptions(
  peer: Peer,
  it: Case,
  tls: ProgramOptions["tls"],
): ProgramOptions {
  return { ...peer.options?.(it), routes: it.routes, tls: it.isTls ? tls : undefined };
}
