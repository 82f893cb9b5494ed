// A server in a process that may open few files, and more clients than that.

import type { Needs } from "../needs.ts";
import { RawClient } from "./raw_client.ts";

/** What a test with it needs. */
export const FEW_FILES: Needs = { permissions: ["net", "run", "read"], programs: ["/bin/sh"] };

/** Files that the process may have open: Deno takes some twenty of them for itself. */
const MAX_FILES = 64;

/** A server that runs out of file descriptors. */
export class FewFiles implements AsyncDisposable {
  readonly hostname = "127.0.0.1";
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #errors: Promise<string>;
  readonly #failed: Promise<unknown>;
  #port = 0;

  /** @param program One of this folder's programs, whose first line ends with its port. */
  constructor(program: string) {
    this.#child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `ulimit -n ${MAX_FILES} && exec "$0" run --no-prompt --allow-net "tests/http/$1"`,
        Deno.execPath(),
        program,
      ],
      cwd: new URL("../..", import.meta.url),
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const [all, first] = this.#child.stderr.tee();
    this.#errors = new Response(all).text();
    this.#failed = first.getReader().read();
  }

  /** Resolves when the server listens. */
  async listening(): Promise<void> {
    const { value } = await this.#output.read();
    this.#port = Number(/:(\d+)\n$/.exec(value!)![1]);
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
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

  /** Resolves when the server has printed something on standard error. */
  async failed(): Promise<void> {
    await this.#failed;
  }

  /** Waits for the end of the process. @returns Its status and what it printed on standard error. */
  async end(): Promise<{ code: number; stderr: string }> {
    const [{ code }, stderr] = await Promise.all([this.#child.status, this.#errors]);
    return { code, stderr };
  }

  /** Asks it to end. */
  stop(): void {
    this.#child.kill("SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#output.cancel();
    await this.end();
  }
}
