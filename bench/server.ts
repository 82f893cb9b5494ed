// A server under measurement: a process of its own, and what the operating system tells of it.

import type { ProgramOptions } from "./peers/program.ts";

/** Milliseconds in which a server has to come up, and to end. */
const DEADLINE = 60_000;
/** Milliseconds between two looks whether it is up. */
const LOOK_EVERY = 2;
/** Ticks a second in `/proc/<pid>/stat`, the same on all Linux systems (USER_HZ). */
const TICKS = 100;

/** A running server; `await using` ends it. */
export class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: string;
  #status: Deno.CommandStatus | null = null;
  readonly #deadline = performance.now() + DEADLINE;
  #port = 0;
  /** The processes that `pause()` has stopped. */
  #paused: number[] = [];

  private constructor(command: string[], options: ProgramOptions) {
    this.#output = Deno.makeTempFileSync({ prefix: "bench-", suffix: ".log" });
    // What it prints goes to a file: a pipe would cost the reader's time, and the log of a server that
    // nobody takes is no log.
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", 'exec "$@" >"$OUTPUT" 2>&1', "sh", ...command, JSON.stringify(options)],
      env: { OUTPUT: this.#output, NO_COLOR: "1" },
      stdin: "null",
    }).spawn();
    this.#child.status.then((status) => this.#status = status);
  }

  /** Starts a program, and waits until it says that it listens. */
  static async start(command: string[], options: ProgramOptions): Promise<Server> {
    const server = new Server(command, options);
    try {
      server.#port = await server.#listening();
      // The supervisor of workers tells the port before they listen on it.
      while (!await isListening(server.#port)) await server.#pause();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The port it listens on. */
  get port(): number {
    return this.#port;
  }

  /** Waits for the line that tells the port. */
  async #listening(): Promise<number> {
    for (;;) {
      const port = /^listening on (\d+)$/m.exec(await Deno.readTextFile(this.#output))?.[1];
      if (port !== undefined) return Number(port);
      await this.#pause();
    }
  }

  /** Waits a little, where there is hope. */
  async #pause(): Promise<void> {
    if (this.#status !== null || performance.now() > this.#deadline) {
      const state = this.#status === null ? "does not listen" : "has ended";
      throw new Error(
        `Cannot use the server: it ${state}: ${await Deno.readTextFile(this.#output)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }

  /** Stops all its processes until `resume()`. */
  pause(): void {
    this.#paused = processes(this.#child.pid);
    for (const pid of this.#paused) Deno.kill(pid, "SIGSTOP");
  }

  /** Lets it run again after `pause()`. */
  resume(): void {
    for (const pid of this.#paused) Deno.kill(pid, "SIGCONT");
    this.#paused = [];
  }

  /** Seconds of CPU time that it has used: of all its threads, and of its children. */
  cpuTime(): number {
    return sum(processes(this.#child.pid).map(cpuTicks)) / TICKS;
  }

  /** The most memory it has held, in MiB: of its children too. */
  peakMemory(): number {
    return sum(processes(this.#child.pid).map(peakKibibytes)) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const kill = (signal: Deno.Signal): void => {
      try {
        if (this.#status === null) this.#child.kill(signal);
      } catch {
        // It has ended.
      }
    };
    kill("SIGTERM");
    this.resume();
    const timer = setTimeout(() => kill("SIGKILL"), DEADLINE);
    await this.#child.status;
    clearTimeout(timer);
    await Deno.remove(this.#output);
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** A process and all that descend from it. */
function processes(pid: number): number[] {
  const children: number[] = [];
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${tid}/children`);
    children.push(...text.split(" ").filter(Boolean).map(Number));
  }
  return [pid, ...children.flatMap(processes)];
}

/** The ticks a process has run, with those of its children that have ended (proc_pid_stat(5)). */
function cpuTicks(pid: number): number {
  // The name, which may hold anything, ends with the last parenthesis; field 3 follows.
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  return utime + stime + cutime + cstime;
}

function peakKibibytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);
}
