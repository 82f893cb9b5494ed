// Clients that send more than anybody would: connections past the cap, heads, chunk extensions, trailers and
// chunks without an end, pipelined requests whose answers they do not read. Each of them is refused or cut
// by a limit, and meanwhile others are served, and memory stays where it is.
//
//   deno run -A tests/soak/floods.ts --clients 50 --pipelined 1000000

import { assert, assertEquals } from "@std/assert";
import { latin1 } from "../http/raw_client.ts";
import { argument, mib, ServerProcess, until } from "./process.ts";

/**
 * Memory that a flood may take at most on top of what there is. V8 lets garbage outside its heap, as buffers
 * are, grow before it collects it: 50 clients came to 160 MiB. A view kept for each chunk of a byte took 800
 * MiB with 20.
 */
const ROOM = 256 * 1024 * 1024;

const CHUNKED = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/** What each client sends: a beginning, what is repeated without an end, and how it is answered. */
export const FLOODS: readonly [what: string, first: string, repeated: string, status: number][] = [
  ["a target", "GET /", "a", 414],
  ["a method", "", "A", 501],
  ["a field value", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "a", 431],
  ["field lines", "GET / HTTP/1.1\r\nHost: a\r\n", "X: a\r\n", 431],
  ["a chunk extension", `${CHUNKED}1;a=`, "a", 400],
  ["a chunk size", CHUNKED, "0", 400],
  ["trailer fields", `${CHUNKED}0\r\n`, "X: a\r\n", 431],
  ["chunks of one byte", CHUNKED, "1\r\na\r\n", 413],
  ["a body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", "a", 413],
];

/** What was measured of one flood. */
export interface FloodReport {
  what: string;
  /** Bytes that a client could send, on average. */
  sent: number;
  /** Milliseconds that the slowest fresh request took. */
  slowest: number;
  /** Bytes of memory that the process had at most. */
  peak: number;
}

/** Has `clients` flood the server at a time, each in the same way and with `most` bytes at most. */
export async function flood(
  server: ServerProcess,
  [what, first, repeated, status]: typeof FLOODS[number],
  clients: number,
  most: number,
): Promise<FloodReport> {
  const piece = latin1(repeated.repeat(Math.ceil(64 * 1024 / repeated.length)));
  const watch = new Watch(server);
  let sent = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    const result = await pour(server, latin1(first), piece, most);
    assertEquals(result.status, status, what);
    sent += result.sent;
  }));
  return { what, sent: Math.round(sent / clients), ...await watch.end() };
}

/** Sends until the server has ended the connection, or `most` bytes, and reads its answer. */
async function pour(
  { hostname, port }: ServerProcess,
  first: Uint8Array,
  piece: Uint8Array,
  most: number,
): Promise<{ sent: number; status: number }> {
  using conn = await Deno.connect({ hostname, port });
  const answered = readStatus(conn);
  let sent = 0;
  try {
    for (let part = first; sent < most; part = piece) {
      for (let at = 0; at < part.length;) at += await conn.write(part.subarray(at));
      sent += part.length;
    }
  } catch {
    // The server has ended the connection.
  }
  return { sent, status: await answered };
}

/** The status of an answer; 0 where none comes. */
async function readStatus(conn: Deno.Conn): Promise<number> {
  const area = new Uint8Array(1024);
  const count = await conn.read(area).catch(() => null) ?? 0;
  return Number(
    /^HTTP\/1\.1 (\d+) /.exec(String.fromCharCode(...area.subarray(0, count)))?.[1] ?? 0,
  );
}

/** Pipelined requests whose answers are not read: the server must not take more than it can answer. */
export async function pipelineUnread(
  server: ServerProcess,
  requests: number,
): Promise<FloodReport> {
  const { counters: before } = await server.state();
  const watch = new Watch(server);
  const { hostname, port } = server;
  using conn = await Deno.connect({ hostname, port });
  const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const batch = latin1(request.repeat(1000));
  let sent = 0;
  try {
    for (let i = 0; i < requests; i += 1000) {
      for (let at = 0; at < batch.length;) {
        const count = await conn.write(batch.subarray(at));
        at += count;
        sent += count;
      }
    }
  } catch {
    // The server has cut it.
  }
  await until(
    async () => (await server.state()).counters.writeTimeouts > before.writeTimeouts,
    60_000,
    "writeTimeout cuts a client that reads no answer",
  );
  return { what: `${requests} pipelined requests`, sent, ...await watch.end() };
}

/** More connections than there may be, all of them idle: the oldest make room. */
export async function crowd(
  server: ServerProcess,
  connections: number,
  cap: number,
): Promise<FloodReport> {
  const watch = new Watch(server);
  const { hostname, port } = server;
  const conns: Deno.Conn[] = [];
  for (let i = 0; i < connections; i++) conns.push(await Deno.connect({ hostname, port }));
  // What asks may itself be shed.
  await until(
    async () => {
      const state = await server.state().catch(() => null);
      return state !== null && state.counters.open <= cap;
    },
    5_000,
    `no more than ${cap} connections are open`,
  );
  for (const conn of conns) conn.close();
  return { what: `${connections} connections`, sent: 0, ...await watch.end() };
}

/** Looks at a server while something goes on: its memory, and whether it answers others. */
class Watch {
  readonly #server: ServerProcess;
  readonly #level: number;
  readonly #watching: Promise<void>;
  #isOver = false;
  #slowest = 0;
  #peak = 0;

  constructor(server: ServerProcess) {
    this.#server = server;
    this.#level = server.rss;
    this.#watching = this.#watch();
    // It is awaited at the end.
    this.#watching.catch(() => {});
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const { status, took } = await this.#server.askInTime({ again: true });
      assertEquals(status, 200);
      this.#slowest = Math.max(this.#slowest, took);
      this.#peak = Math.max(this.#peak, this.#server.rss);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async end(): Promise<{ slowest: number; peak: number }> {
    this.#isOver = true;
    await this.#watching;
    const more = this.#peak - this.#level;
    assert(more < ROOM, `memory grew by ${mib(more)}`);
    return { slowest: this.#slowest, peak: this.#peak };
  }
}

/** Every attack in turn, against one server. */
export async function floods(
  { clients, most, pipelined, connections, writeTimeout }: {
    clients: number;
    most: number;
    pipelined: number;
    connections: number;
    writeTimeout: number;
  },
): Promise<FloodReport[]> {
  const maxConnections = clients + 20;
  await using server = await ServerProcess.start({
    maxConnections,
    writeTimeout,
    // What is taken from all of them together must stay within the room.
    maxBodySize: 256 * 1024,
  });
  // The heap grows to what any load makes of it before its level counts.
  const load = new Array(50).fill("/chunks/1000000");
  for (let i = 0; i < 20; i++) await Promise.all(load.map((target) => server.ask(target)));
  const files = server.openFiles;
  const reports: FloodReport[] = [];
  for (const row of FLOODS) reports.push(await flood(server, row, clients, most));
  reports.push(await pipelineUnread(server, pipelined));
  reports.push(await crowd(server, connections, maxConnections));
  await until(
    async () => (await server.state()).counters.open === 1 && server.openFiles <= files,
    10_000,
    "no descriptor is left behind",
  );
  await server.stop();
  return reports;
}

if (import.meta.main) {
  const reports = await floods({
    clients: argument("clients", 50),
    most: argument("most", 1024 * 1024 * 1024),
    pipelined: argument("pipelined", 1_000_000),
    connections: argument("connections", 2_000),
    writeTimeout: 30_000,
  });
  console.log("| flood | sent by each | slowest fresh request | memory at most |");
  console.log("| --- | --- | --- | --- |");
  for (const { what, sent, slowest, peak } of reports) {
    console.log(`| ${what} | ${sent} bytes | ${slowest.toFixed()} ms | ${mib(peak)} |`);
  }
}
