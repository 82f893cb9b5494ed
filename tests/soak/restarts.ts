// SIGTERM under load, again and again: every request that a server took is answered, byte for byte, and one
// that it did not take was never handled.
//
//   deno run -A tests/soak/restarts.ts --restarts 100
//   deno run -A tests/soak/restarts.ts --restarts 100 alone

import { assertEquals } from "@std/assert";
import { freePort } from "../conformance/peers.ts";
import { configuration } from "../deployment_page.ts";
import { type Front, startFront } from "../smuggling/front.ts";
import { type Account, ExactLoad } from "./exact_load.ts";
import { argument, ServerProcess, until } from "./process.ts";

/** What restarts behind it need. */
export const HAPROXY = "/usr/sbin/haproxy";

/** Milliseconds of load between two restarts. */
const BETWEEN = 200;

/** With its third check, HAProxy has seen two that were well, and takes a server for up. */
const UP_AFTER = 3;

/** How many restarts there are, and how many clients of each kind. */
export interface Restarts {
  restarts: number;
  each: number;
}

/** What was measured. */
export interface RestartsReport {
  account: Account;
  /** Milliseconds that the slowest stop took. */
  slowest: number;
}

/** Servers that are stopped under load. */
class Trial {
  readonly #load: ExactLoad;
  /** The numbers of the requests that were handled. */
  readonly #handled: number[] = [];
  #slowest = 0;

  constructor(port: number, each: number) {
    this.#load = new ExactLoad(port, each);
  }

  /** Stops a server, which must end cleanly. */
  async stop(server: ServerProcess): Promise<void> {
    const start = performance.now();
    await server.stop();
    this.#slowest = Math.max(this.#slowest, performance.now() - start);
    for (const line of server.log) {
      const number = /\?(\d+)- HTTP\/1\.1" 200$/.exec(line)?.[1];
      if (number !== undefined) this.#handled.push(Number(number));
    }
  }

  /** Ends load and servers, and holds what clients saw against what was handled. */
  async end(...servers: ServerProcess[]): Promise<RestartsReport> {
    await pause(BETWEEN);
    await this.#load.calm();
    for (const server of servers) await this.stop(server);
    await this.#load.end();
    const { answered } = this.#load;
    const handled = this.#handled;
    assertEquals(new Set(handled).size, handled.length, "requests were handled twice");
    const lost = handled.filter((number) => !answered.has(number));
    assertEquals(lost, [], "requests were handled whose answers did not come");
    assertEquals(answered.size, handled.length, "answers came to requests that were not handled");
    return { account: this.#load, slowest: this.#slowest };
  }
}

function start(port: number, reusePort = false): Promise<ServerProcess> {
  return ServerProcess.start({ port, reusePort, accessLog: "default" });
}

/** A server is stopped and started again; between the two nobody listens. */
export async function restartAlone({ restarts, each }: Restarts): Promise<RestartsReport> {
  const port = freePort();
  let server = await start(port);
  const trial = new Trial(port, each);
  for (let i = 0; i < restarts; i++) {
    await pause(BETWEEN);
    await trial.stop(server);
    server = await start(port);
  }
  return await trial.end(server);
}

/** A server is stopped when another one listens on its port. */
export async function restartOverlapping({ restarts, each }: Restarts): Promise<RestartsReport> {
  const port = freePort();
  let server = await start(port, true);
  const trial = new Trial(port, each);
  for (let i = 0; i < restarts; i++) {
    const next = await start(port, true);
    await trial.stop(server);
    server = next;
  }
  return await trial.end(server);
}

/**
 * Two servers behind HAProxy are restarted one after the other.
 *
 * @param isTold HAProxy is told before, and then no client must notice. Where it is not, a request may meet the
 * end of a server, and fail if it is too large for HAProxy to have it still, to send it again.
 */
export async function restartBehindHaproxy(
  { restarts, each }: Restarts,
  isTold: boolean,
): Promise<RestartsReport> {
  const servers = [await start(freePort()), await start(freePort())];
  const directory = await Deno.makeTempDir();
  await using front = await startHaproxy(directory, servers.map(({ port }) => port));
  const tell = (at: number, state: string): Promise<void> =>
    isTold ? command(directory, `set server app/${["one", "two"][at]} state ${state}`) : DONE;
  for (const server of servers) await isUp(server);
  const trial = new Trial(front.port, each);
  for (let i = 0; i < restarts; i++) {
    const at = i % 2;
    await pause(BETWEEN);
    await tell(at, "maint");
    await trial.stop(servers[at]);
    servers[at] = await start(servers[at].port);
    await tell(at, "ready");
    await isUp(servers[at]);
  }
  const report = await trial.end(...servers);
  const { crossed, unheard, refused } = report.account;
  if (isTold) assertEquals([crossed.size, unheard.size, refused], [0, 0, 0], "requests failed");
  return report;
}

const DONE = Promise.resolve();

/** Waits until HAProxy takes the server for up. */
async function isUp({ log }: ServerProcess): Promise<void> {
  const checks = (): number => log.filter((line) => line.includes('"GET / HTTP/')).length;
  await until(() => checks() >= UP_AFTER, 60_000, "HAProxy has the server back");
}

/** HAProxy as docs/deployment.md has it for two servers, but for TLS. */
async function startHaproxy(directory: string, [one, two]: number[]): Promise<Front> {
  const port = freePort();
  const front = await configuration("haproxy", [
    [":443 ssl crt /etc/ssl/site/both.pem alpn h2,http/1.1", `127.0.0.1:${port}`],
  ]);
  const back = await configuration("haproxy", [
    ["/run/haproxy.sock", `${directory}/admin`],
    ["/healthz", "/"],
    ["127.0.0.1:8000 check", `127.0.0.1:${one} check inter 100`],
    ["127.0.0.1:8001 check", `127.0.0.1:${two} check inter 100`],
  ], 1);
  const file = `${directory}/haproxy.cfg`;
  await Deno.writeTextFile(file, front.slice(0, front.indexOf("\nbackend app") + 1) + back);
  return await startFront(port, directory, "SIGUSR1", {
    program: HAPROXY,
    args: ["-f", file],
    log: () => Promise.resolve([]),
  });
}

/** Gives a command to HAProxy, which has nothing to say to it. */
async function command(directory: string, command: string): Promise<void> {
  using conn = await Deno.connect({ transport: "unix", path: `${directory}/admin` });
  await conn.write(new TextEncoder().encode(`${command}\n`));
  assertEquals((await new Response(conn.readable).text()).trim(), "");
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const WAYS: Record<string, (restarts: Restarts) => Promise<RestartsReport>> = {
  alone: restartAlone,
  overlapping: restartOverlapping,
  haproxy: (restarts) => restartBehindHaproxy(restarts, true),
  untold: (restarts) => restartBehindHaproxy(restarts, false),
};

if (import.meta.main) {
  const restarts = argument("restarts", 100), each = argument("each", 3);
  const [only] = Deno.args.filter((it) => Object.hasOwn(WAYS, it));
  for (const [way, restart] of Object.entries(WAYS)) {
    if (only !== undefined && way !== only) continue;
    const { account, slowest } = await restart({ restarts, each });
    console.log(
      `${restarts} ${way}: ${account.answered.size} requests answered; not handled: ${account.crossed.size} ` +
        `that crossed a close, ${account.unheard.size} on connections that nobody accepted, ` +
        `${account.behind.size} behind a last answer; ${account.refused} connections refused; ` +
        `the slowest stop took ${slowest.toFixed()} ms`,
    );
  }
}
