// Programs under test that run as child processes: what they print, how they end.

/** How a program ended. */
export interface Ending {
  /** Its exit status. */
  code: number;
  /** What it printed and `nextLine()` did not take. */
  stdout: string;
  /** What it printed on standard error. */
  stderr: string;
}

/** Milliseconds after which a program that goes on is killed, and its test fails. */
const DEADLINE = 60_000;

/** A child process, killed at the end of the scope that uses it. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #printed = "";

  /** Starts `deno` with these arguments, in the repository's root. */
  constructor(...args: string[]);
  /** Starts it as a terminal does, in a process group of its own. */
  constructor(terminal: { detached: true }, ...args: string[]);
  constructor(...given: (string | { detached: true })[]) {
    const args = given.filter((it) => typeof it === "string");
    this.#child = new Deno.Command(Deno.execPath(), {
      args,
      detached: args.length < given.length,
      cwd: new URL("..", import.meta.url),
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = new Response(this.#child.stderr).text();
    this.#deadline = setTimeout(() => this.#kill(), DEADLINE);
  }

  /** The next line on standard output. @throws {Error} The program ended before. */
  async nextLine(): Promise<string> {
    for (;;) {
      const end = this.#printed.indexOf("\n");
      if (end >= 0) {
        const line = this.#printed.slice(0, end);
        this.#printed = this.#printed.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#stdout.read();
      if (done) throw new Error(`Cannot read a line: the program ended: ${await this.#stderr}`);
      this.#printed += value;
    }
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Sends a signal to it and to all of its process group, as Ctrl-C in a terminal does. */
  signalGroup(signal: Deno.Signal): void {
    Deno.kill(-this.#child.pid, signal);
  }

  /** Waits until the program ends. */
  async end(): Promise<Ending> {
    for (;;) {
      const { value, done } = await this.#stdout.read();
      if (done) break;
      this.#printed += value;
    }
    const [{ code }, stderr] = await Promise.all([this.#child.status, this.#stderr]);
    clearTimeout(this.#deadline);
    return { code, stdout: this.#printed, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.end();
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** Runs `deno` with these arguments to its end. */
export async function run(...args: string[]): Promise<Ending> {
  await using program = new Program(...args);
  return await program.end();
}
