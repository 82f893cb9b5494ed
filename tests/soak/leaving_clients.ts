// Clients that leave: by a half-close, a close or a reset, after each byte of what they send and of what they
// get; and very many that connect and reset at once.
//
//   deno run -A tests/soak/leaving_clients.ts --resets 100000

import { assert, assertEquals } from "@std/assert";
import { latin1 } from "../http/raw_client.ts";
import { argument, mib, ServerProcess, until } from "./process.ts";

/** What resets connections. */
export const PYTHON = "/usr/bin/python3";

const HOST = "Host: a\r\nConnection: close\r\n";

/** Exchanges that clients leave: an answer at once, bodies in both framings, streams, a pipeline. */
const EXCHANGES: string[] = [
  `GET /user/bob HTTP/1.1\r\n${HOST}\r\n`,
  `POST /echo HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
  `POST /count HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n`,
  `GET /chunks/100 HTTP/1.1\r\n${HOST}\r\n`,
  "GET /events HTTP/1.1\r\nHost: a\r\n\r\n",
  `GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /wait/5 HTTP/1.1\r\n${HOST}\r\n`,
];

/** Bytes of the answers after which clients leave at most: a head, and something of a body. */
const MOST_RECEIVED = 200;

/** Clients at a time. */
const AT_A_TIME = 50;

/** Sends `sent`, reads `bytes` of the answers, if there are as many, and half-closes or closes. */
async function leave(
  { hostname, port }: ServerProcess,
  sent: string,
  bytes: number,
  isHalfClose: boolean,
): Promise<void> {
  using conn = await Deno.connect({ hostname, port });
  if (sent !== "") await conn.write(latin1(sent));
  const area = new Uint8Array(Math.max(1, bytes));
  for (let received = 0; received < bytes;) {
    const count = await conn.read(area.subarray(received));
    if (count === null) return;
    received += count;
  }
  // What has come and was not read makes of a close a reset.
  if (!isHalfClose) return;
  await conn.closeWrite();
  while (await conn.read(area) !== null);
}

/** Has clients reset after each byte of each exchange, and `resets` more that send nothing. */
async function reset({ port }: ServerProcess, resets: number): Promise<number> {
  const child = new Deno.Command(PYTHON, {
    args: ["tests/soak/reset.py", String(port), String(resets)],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(EXCHANGES)));
  await writer.close();
  const { success, stdout } = await child.output();
  assert(success, "it could not connect");
  return Number(new TextDecoder().decode(stdout));
}

/** What was measured. */
export interface LeavingReport {
  connections: number;
  rss: [before: number, after: number];
  files: [before: number, after: number];
}

/**
 * Has clients leave in every way at every byte, and `resets` more as soon as they are connected.
 *
 * @throws {Error} Something was left behind, or printed.
 */
export async function leaveEverywhere(resets: number): Promise<LeavingReport> {
  await using server = await ServerProcess.start();
  for (let i = 0; i < 100; i++) await server.ask();
  const before = { rss: server.rss, files: server.openFiles };
  const clients: [sent: string, received: number, isHalfClose: boolean][] = [];
  for (const sent of EXCHANGES) {
    for (const isHalfClose of [false, true]) {
      for (let at = 0; at <= sent.length; at++) clients.push([sent.slice(0, at), 0, isHalfClose]);
      for (let at = 1; at <= MOST_RECEIVED; at++) clients.push([sent, at, isHalfClose]);
    }
  }
  let next = 0;
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    while (next < clients.length) await leave(server, ...clients[next++]);
  }));
  const wereReset = await reset(server, resets);
  await until(
    async () => (await server.state()).counters.open === 1,
    10_000,
    "no connection is left behind",
  );
  await until(() => server.openFiles <= before.files, 10_000, "no descriptor is left behind");
  assertEquals((await server.ask()).body, "Welcome!");
  const after = { rss: server.rss, files: server.openFiles };
  await server.stop();
  return {
    connections: clients.length + wereReset,
    rss: [before.rss, after.rss],
    files: [before.files, after.files],
  };
}

if (import.meta.main) {
  const start = performance.now();
  const { connections, rss, files } = await leaveEverywhere(argument("resets", 100_000));
  console.log(
    `${connections} clients left in ${((performance.now() - start) / 1000).toFixed(1)} s; memory ` +
      `${rss.map(mib).join(" → ")}, files ${files.join(" → ")}`,
  );
}
