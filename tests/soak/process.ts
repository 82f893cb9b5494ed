// The server under attack in a process of its own, and what can be seen of it from outside: its answers,
// its memory, its descriptors, what it prints.

import { assert, assertEquals } from "@std/assert";
import type { Counters, ServerOptions } from "../../http_context.ts";
import type { Needs } from "../needs.ts";
import { RawClient } from "../http/raw_client.ts";

/** What a test with it needs. */
export const PROCESS: Needs = { permissions: ["net", "read", "run"], programs: ["/bin/sh"] };

/** What the server knows of itself. */
export interface State {
  counters: Counters;
  /** Bytes that JavaScript holds after a collection. */
  heap: number;
}

/** How the server is started. */
export interface ServerProcessOptions extends ServerOptions {
  /** Descriptors that it may have open; as many as the system lets it if not given. */
  files?: number;
  /** The program, from the repository's root. */
  program?: string;
  /** Variables of its environment. */
  env?: Record<string, string>;
}

/** A server in a process of its own, killed at the end of the scope that uses it. */
export class ServerProcess implements AsyncDisposable {
  readonly hostname = "127.0.0.1";
  port = 0;
  readonly #child: Deno.ChildProcess;
  readonly #stdout: Promise<void>;
  readonly #stderr: Promise<string>;
  /** The lines of its log that came so far. */
  readonly log: string[] = [];

  private constructor(child: Deno.ChildProcess, listening: (port: number) => void) {
    this.#child = child;
    this.#stdout = this.#readLog(listening);
    this.#stderr = new Response(child.stderr).text();
  }

  /** Starts it, and resolves when it listens. */
  static async start(options: ServerProcessOptions = {}): Promise<ServerProcess> {
    const { files, program = "tests/soak/target.ts", env, ...server } = options;
    const limit = files === undefined ? "" : `ulimit -n ${files} && `;
    const shared = server.reusePort ? "--unstable-net " : "";
    const workers = server.workers === undefined
      ? ""
      : "--unstable-net --allow-run --allow-env=TINY_LISTENER_SUPERVISOR ";
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `${limit}exec "$0" run --no-prompt ${shared}${workers}--allow-net --v8-flags=--expose-gc "$1" "$2"`,
        Deno.execPath(),
        program,
        JSON.stringify(server),
      ],
      cwd: new URL("../..", import.meta.url),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { promise, resolve } = Promise.withResolvers<number>();
    const started = new ServerProcess(child, resolve);
    started.port = await promise;
    if (started.port === 0) throw new Error(`Cannot start the server: ${await started.#stderr}`);
    return started;
  }

  async #readLog(listening: (port: number) => void): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const port = /(?:^| running on \S+:)(\d+)$/.exec(line);
        if (port !== null) listening(Number(port[1]));
        this.log.push(line);
      }
    }
    // It ended without a port; after one, this does nothing.
    listening(0);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The processes that it has started. */
  get children(): number[] {
    const children = this.#shell(`cat /proc/${this.pid}/task/*/children`).trim();
    return children === "" ? [] : children.split(/\s+/).map(Number);
  }

  /** Descriptors that the process has open. */
  get openFiles(): number {
    return this.#shell(`ls /proc/${this.pid}/fd`).trim().split("\n").length;
  }

  /** Bytes of memory that the process has. */
  get rss(): number {
    const status = this.#shell(`cat /proc/${this.pid}/status`);
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /**
   * Milliseconds that the threads of the server and of this process have waited for a processor that others had; 0 where
   * the system does not count it.
   */
  get #waited(): number {
    const pids = [this.pid, Deno.pid];
    const lines = this.#shell(
      `cat ${pids.map((pid) => `/proc/${pid}/task/*/schedstat`).join(" ")}`,
    );
    const waits = lines.trim().split("\n").map((line) => Number(line.split(" ")[1] ?? 0));
    return waits.reduce((sum, wait) => sum + wait, 0) / 1e6;
  }

  /** Deno reads nothing of /proc itself unless it is allowed everything. */
  #shell(command: string): string {
    const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", command] }).outputSync();
    return new TextDecoder().decode(stdout);
  }

  /** What the server answers to one request on a connection of its own, and after how many milliseconds. */
  async ask(target = "/"): Promise<{ status: number; body: string; took: number }> {
    const start = performance.now();
    using client = await RawClient.connect(this);
    await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const { status, body } = await client.response();
    return { status, body, took: performance.now() - start };
  }

  /**
   * Asks for `/` as `ask()` does. The time it took is what the server may be blamed for: not that for which a busy
   * machine kept it, or this process, from a processor.
   *
   * @param options.again Asks again, as a client does, where the connection was shed to make room before its request
   * was read.
   * @throws {Error} It is not answered within a second of that time.
   */
  async askInTime({ again = false } = {}): Promise<{ status: number; took: number }> {
    const start = performance.now();
    const waited = this.#waited;
    for (;;) {
      const answer = await this.ask().catch((error: unknown) => {
        if (!again) throw error;
        return { error };
      });
      const total = performance.now() - start;
      const took = total - Math.min(Math.max(0, this.#waited - waited), total);
      if (took >= 1_000) {
        const times = `${took.toFixed()} ms (and ${(total - took).toFixed()} for a processor)`;
        throw new Error(`A fresh request waited for ${times}`, { cause: answer });
      }
      if ("status" in answer) return { status: answer.status, took };
    }
  }

  /** Connects `count` clients that begin a request each, as far as the server lets them. */
  async crowd(count: number): Promise<RawClient[]> {
    const clients: RawClient[] = [];
    while (clients.length < count) {
      // One that cannot connect finds the server at its end: it refuses, resets or hangs up.
      const client = await RawClient.connect(this).catch(() => null);
      if (client === null) break;
      clients.push(client);
      // Where the server closed it again, the next may fare better.
      await client.send("GET / HTTP/1.1\r\n").catch(() => {});
    }
    return clients;
  }

  async state(): Promise<State> {
    return JSON.parse((await this.ask("/state")).body);
  }

  /** Sends a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end of the process. */
  async end(): Promise<{ code: number; stderr: string }> {
    const [{ code }, stderr] = await Promise.all([this.#child.status, this.#stderr, this.#stdout]);
    return { code, stderr };
  }

  /** Asks the process to end, which must do so cleanly, with nothing on standard error but `expected`. */
  async stop(expected = /^$/): Promise<void> {
    this.kill("SIGTERM");
    const { code, stderr } = await this.end();
    assertEquals(code, 0, stderr);
    assert(expected.test(stderr), `on standard error: ${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.end();
  }
}

/** Waits until `isSo`, looking every 50 ms. @throws {Error} It is not so after `timeout` milliseconds. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  timeout: number,
  what: string,
): Promise<number> {
  const start = performance.now();
  while (!await isSo()) {
    if (performance.now() - start > timeout) throw new Error(`Not after ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return performance.now() - start;
}

/** The number given on the command line as `--name value`. */
export function argument(name: string, standard: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? standard : Number(Deno.args[at + 1]);
}

/** Bytes, for people. */
export function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
