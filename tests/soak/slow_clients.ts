// Clients that hold on to what they got: they connect and are silent, dribble a head or a body, stall in the
// middle of one, or read nothing of their answer. The server may open few files, so that each of them counts.
//
//   deno run -A tests/soak/slow_clients.ts --clients 900 --files 1024

import { assert, assertEquals } from "@std/assert";
import type { ServerOptions } from "../../http_context.ts";
import { latin1 } from "../http/raw_client.ts";
import { argument, mib, ServerProcess, type State, until } from "./process.ts";

const POST = "Host: a\r\nContent-Length: 1000\r\n\r\n";

/** What each kind sends at once, and then a byte at a time. */
const KINDS: [what: string, sent: string, dribbled: string][] = [
  ["is silent", "", ""],
  ["dribbles a head", "GET / HTTP/1.1\r\n", "Host: a\r\nX: " + "y".repeat(1000)],
  ["stops within a head", "GET / HTTP/1.1\r\nHo", ""],
  ["dribbles a body", `POST /count HTTP/1.1\r\n${POST}`, "x".repeat(999)],
  ["stops within a body", `POST /echo HTTP/1.1\r\n${POST}xxx`, ""],
  ["stops within a body that nobody reads", `POST /ignore HTTP/1.1\r\n${POST}xxx`, ""],
  ["reads nothing of a long answer", "GET /large/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n", ""],
  ["reads nothing of an event stream", "GET /chunks/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n", ""],
];

/** How hard the attack is, and what has to hold. */
export interface SlowClients {
  /** Slow clients, of all kinds in turn. */
  clients: number;
  /** Descriptors that the server may have open. */
  files: number;
  /** Milliseconds between two bytes of those that dribble. */
  dribble: number;
  /** Milliseconds after which all of them have to be gone. */
  gone: number;
  /** Options of the server. */
  options?: ServerOptions;
}

/** What was measured. */
export interface SlowClientsReport {
  /** Milliseconds that the slowest fresh request took. */
  slowest: number;
  fresh: number;
  /** Milliseconds until the last slow client was gone. */
  gone: number;
  /** Before, and after. */
  rss: [number, number];
  heap: [number, number];
  files: [number, number];
}

/**
 * Attacks a server.
 *
 * @throws {Error} A fresh request took a second or more, a slow client stayed too long, or left something.
 */
export async function slowClients(
  { clients, files, dribble, gone, options = {} }: SlowClients,
): Promise<SlowClientsReport> {
  await using server = await ServerProcess.start({ files, ...options });
  await warmUp(server, clients);
  const before = await level(server);

  const conns: Deno.Conn[] = [];
  const dribbling = new Map<Deno.Conn, string>();
  for (let i = 0; i < clients; i++) {
    const [, sent, dribbled] = KINDS[i % KINDS.length];
    const conn = await Deno.connect(server);
    conns.push(conn);
    await write(conn, sent);
    if (dribbled !== "") dribbling.set(conn, dribbled);
  }
  const timer = setInterval(() => {
    for (const [conn, rest] of dribbling) {
      dribbling.set(conn, rest.slice(1));
      void write(conn, rest[0]);
    }
  }, dribble);

  let slowest = 0, fresh = 0;
  try {
    const took = await until(
      async () => {
        const { status, took } = await server.askInTime();
        assertEquals(status, 200);
        slowest = Math.max(slowest, took);
        fresh++;
        return (await server.state()).counters.open === 1;
      },
      gone,
      "all slow clients are gone",
    );
    clearInterval(timer);
    for (const conn of conns) conn.close();
    const after = await level(server, before);
    const { counters } = await server.state();
    const ended = counters.idleTimeouts + counters.headerTimeouts + counters.bodyTimeouts +
      counters.writeTimeouts + Math.floor((clients + 2) / KINDS.length);
    assert(ended >= clients, `a timeout of ours ended ${ended} of ${clients}`);
    await server.stop();
    return {
      slowest,
      fresh,
      gone: took,
      rss: [before.rss, after.rss],
      heap: [before.heap, after.heap],
      files: [before.files, after.files],
    };
  } finally {
    clearInterval(timer);
  }
}

interface Level {
  rss: number;
  heap: number;
  files: number;
}

/** What the server holds; with `before`, once it is back there. @throws {Error} It does not come back. */
async function level(server: ServerProcess, before?: Level): Promise<Level> {
  let now: Level | null = null;
  const isBack = async (): Promise<boolean> => {
    const { heap, counters }: State = await server.state();
    now = { rss: server.rss, heap, files: server.openFiles };
    return before === undefined ? counters.open === 1 : now.heap <= before.heap * 1.1 &&
      now.rss <= before.rss * 1.1 && now.files <= before.files;
  };
  try {
    await until(isBack, 10_000, "the server is back at its level");
  } catch (error) {
    throw new Error(`${JSON.stringify(before)} became ${JSON.stringify(now)}`, { cause: error });
  }
  return now!;
}

/** As many clients that do nothing wrong, so that the server has seen as many connections. */
async function warmUp(server: ServerProcess, clients: number): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const conns = await Promise.all(Array.from({ length: clients }, () => Deno.connect(server)));
    await Promise.all(conns.map(async (conn) => {
      await write(conn, "GET /chunks/300000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      await new Response(conn.readable).bytes();
    }));
  }
}

/** Writes as far as the server takes it. */
async function write(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = latin1(text);
  try {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  } catch {
    // The server has ended the connection.
  }
}

if (import.meta.main) {
  const report = await slowClients({
    clients: argument("clients", 900),
    files: argument("files", 1024),
    dribble: 1_000,
    gone: 90_000,
  });
  console.log(
    `${report.fresh} fresh requests, the slowest after ${report.slowest.toFixed()} ms; all gone after ` +
      `${(report.gone / 1000).toFixed(1)} s; memory ${report.rss.map(mib).join(" → ")}, ` +
      `heap ${report.heap.map(mib).join(" → ")}, files ${report.files.join(" → ")}`,
  );
}
