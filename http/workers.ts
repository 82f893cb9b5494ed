// Workers: processes of one program that share its port, and the supervisor that keeps them running.
//
// The supervisor holds the standard input of each worker and writes nothing to it: closing it asks the worker
// for a graceful shutdown. Therefore a worker also ends when its supervisor is gone, for whatever reason. And
// after Ctrl-C, which a terminal sends to all of them as SIGINT, the supervisor's request is not a second
// signal, which would end the worker at once.

import { ListenError } from "./listen.ts";
import { Pause } from "./pause.ts";

/** The environment variable that tells a worker the process ID of its supervisor. */
const SUPERVISOR = "TINY_LISTENER_SUPERVISOR";

/** Signals that stop the supervisor, with their numbers. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof SIGNALS;

/** The exit status of a worker that fails before it listens: others would, too. */
export const CANNOT_START = 78;

/** Options of {@linkcode superviseWorkers}. */
export interface SupervisorOptions {
  /** The program of a worker and its arguments. */
  command: readonly string[];
  /** The number of workers to keep running. */
  count: number;
  /** Logs a warning: a worker has ended and will be replaced. */
  log(message: string): void;
  /**
   * Whether the command is Deno's watcher, which outlives its program, and then does not notice the end of
   * standard input. If it is still running a second later, it is also sent SIGTERM.
   */
  isWatcher?: boolean | undefined;
}

/** Milliseconds in which a watcher's program must have begun to end before the watcher is sent SIGTERM. */
const WATCHER_PAUSE = 1_000;

/**
 * For programs that supervise others; a server that runs in several processes uses the option `workers`.
 *
 * Runs workers until SIGINT or SIGTERM. Then their standard input is closed to ask them to end, and they may
 * take as long as they need; a second signal kills them. A worker that ends earlier, for whatever reason, is
 * restarted after a delay. However, if one of the first workers ends with status 78, which means that it
 * cannot start, all of them are stopped.
 *
 * @example
 * ```ts ignore
 * import { isWorker, onSupervisorStop, superviseWorkers, workerCommand } from "@tiny/listener/http";
 *
 * if (isWorker()) {
 *   onSupervisorStop(() => app.stop());
 *   await app.run();
 * } else {
 *   const command = workerCommand({ address: "127.0.0.1:8000" });
 *   Deno.exit(await superviseWorkers({ command, count: 4, log: console.log }));
 * }
 * ```
 *
 * @returns The exit status for the supervisor: 0 if all workers ended cleanly when asked to; after a second
 * signal, 128 plus its number, as in a shell; otherwise 1.
 * @throws {ListenError} A worker cannot be started.
 */
export async function superviseWorkers(options: SupervisorOptions): Promise<number> {
  return await new Supervisor(options).run();
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #running = new Set<Deno.ChildProcess>();
  readonly #stop = new AbortController();
  #status = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const removers: (() => void)[] = [];
    try {
      const workers = Array.from({ length: this.#options.count }, () => this.#start());
      for (const signal of Object.keys(SIGNALS) as Signal[]) {
        removers.push(onSignal(signal, () => this.#onSignal(signal)));
      }
      await Promise.all(workers.map((worker) => this.#keepRunning(worker)));
    } finally {
      for (const remove of removers) remove();
      // If a worker cannot be started, those started before it are left.
      for (const worker of this.#running) kill(worker);
    }
    return this.#status;
  }

  #start(): Deno.ChildProcess {
    const [program, ...args] = this.#options.command;
    const env = { [SUPERVISOR]: String(Deno.pid) };
    try {
      // A terminal sends SIGINT to the whole process group: a worker disregards it, but a watcher would kill
      // its program, so it gets a group of its own.
      const detached = this.#options.isWatcher === true;
      const worker = new Deno.Command(program, { args, env, stdin: "piped", detached }).spawn();
      this.#running.add(worker);
      return worker;
    } catch (cause) {
      const reason = cause instanceof Deno.errors.NotCapable
        ? "missing permission; run the program with --allow-run"
        : (cause as Error).message;
      throw new ListenError(`Cannot start a worker: ${reason}`, { cause });
    }
  }

  async #keepRunning(worker: Deno.ChildProcess): Promise<void> {
    const backoff = new Backoff();
    const pause = new Pause();
    const { signal } = this.#stop;
    signal.addEventListener("abort", () => pause.end());
    let life = this.#live(worker);
    for (let isFirst = true;; isFirst = false) {
      const startedAt = performance.now();
      const { how, code } = await life;
      if (signal.aborted) return;
      // A worker that replaces another may find the address free again.
      if (isFirst && code === CANNOT_START) return this.#giveUp();
      const delay = backoff.next(performance.now() - startedAt);
      this.#options.log(`${how}; starting another in ${delay} ms`);
      await pause.wait(delay);
      if (signal.aborted) return;
      life = this.#live().catch((error) => ({ how: error.message, code: 1 }));
    }
  }

  /**
   * Waits for a worker to end; starts it if none is given.
   *
   * @returns How it ended, and with which status.
   */
  async #live(worker = this.#start()): Promise<{ how: string; code: number }> {
    const { success, signal, code } = await worker.status;
    this.#running.delete(worker);
    // These signals end a worker that does not listen for them yet, which is a clean end, too. A watcher is
    // killed by its program with SIGKILL.
    const isClean = success || signal !== null && signal in SIGNALS ||
      this.#options.isWatcher && signal === "SIGKILL";
    if (this.#stop.signal.aborted && !isClean) this.#status ||= 1;
    const how = signal === null ? `exited with status ${code}` : `was killed by ${signal}`;
    return { how: `worker ${worker.pid} ${how}`, code };
  }

  /** Stops the other workers as well: none of them can listen. */
  #giveUp(): void {
    this.#status = 1;
    this.#stop.abort();
    for (const worker of this.#running) this.#askToEnd(worker);
  }

  #onSignal(signal: Signal): void {
    const isSecond = this.#stop.signal.aborted;
    this.#stop.abort();
    if (isSecond) this.#status = 128 + SIGNALS[signal];
    for (const worker of this.#running) {
      if (isSecond) kill(worker);
      else this.#askToEnd(worker);
    }
  }

  #askToEnd(worker: Deno.ChildProcess): void {
    // A worker that has ended has closed it already.
    worker.stdin.close().catch(() => {});
    if (!this.#options.isWatcher) return;
    // If the program failed to start, nothing reads the watcher's standard input. If the program is running,
    // it has begun to end by then, and SIGTERM changes nothing. Sent at once, SIGTERM might arrive before the
    // end of standard input, and the watcher would start the program again.
    const timer = setTimeout(() => kill(worker, "SIGTERM"), WATCHER_PAUSE);
    void worker.status.then(() => clearTimeout(timer));
  }
}

/** How long to wait before a worker is restarted: longer each time, until one has lived for a while. */
export class Backoff {
  /** The first delay in milliseconds. */
  static readonly FIRST = 100;
  /** The longest delay in milliseconds. */
  static readonly MAX = 10_000;
  /** The lifetime in milliseconds after which the delays start over. */
  static readonly STEADY = 10_000;
  #delay = Backoff.FIRST;

  /** Milliseconds to wait after a worker that lived for `lived` milliseconds. */
  next(lived: number): number {
    if (lived >= Backoff.STEADY) this.#delay = Backoff.FIRST;
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, Backoff.MAX);
    return delay;
  }
}

/**
 * Calls `listener` on each `signal`, if the system has it.
 *
 * @returns A function that removes the listener.
 */
function onSignal(signal: Signal, listener: () => void): () => void {
  try {
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  } catch {
    // Windows has no SIGTERM.
    return () => {};
  }
}

function kill(worker: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    worker.kill(signal);
  } catch {
    // It has already ended.
  }
}

/** For programs that supervise others: whether this process is a worker. */
export function isWorker(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: SUPERVISOR });
  // A program that a worker runs inherits the variable, but has another parent.
  return state === "granted" && Deno.env.get(SUPERVISOR) === String(Deno.ppid);
}

/**
 * For programs that supervise others: in a worker, calls `stop` when the supervisor asks the worker to end,
 * or is gone.
 *
 * @returns A function that stops waiting for that, and closes standard input.
 */
export function onSupervisorStop(stop: () => void): () => void {
  void readToEnd().then(stop, () => {});
  return () => {
    try {
      // This also ends the pending read, which would keep the process alive.
      Deno.stdin.close();
    } catch {
      // Something else has closed it.
    }
  };
}

async function readToEnd(): Promise<void> {
  while (await Deno.stdin.read(new Uint8Array(1)) !== null);
}

/** Options of {@linkcode workerCommand}. */
export interface WorkerCommandOptions {
  /**
   * The address that the program listens on, as `host:port`, for a program whose network permission is
   * limited to it.
   */
  address?: string | undefined;
  /** Options of `deno run` other than permissions. */
  options?: readonly string[] | undefined;
  /** The arguments of the program; by default, those of this process. */
  args?: readonly string[] | undefined;
}

/**
 * For programs that supervise others: the command that runs this program again, as a worker.
 *
 * The worker gets the permissions that this process has in full, and of the others the parts that can be
 * queried: the network at `address`, and the files of the current folder. It does not get the other options
 * of Deno's command line, such as a configuration file or unstable features; it reads those from `deno.json`.
 *
 * A program made by `deno compile` is run again as it is: it needs `--unstable-net`, and `--allow-env` for the
 * variable `TINY_LISTENER_SUPERVISOR`, when it is compiled.
 *
 * @throws {ListenError} The program does not come from a module, or is compiled without that permission, and
 * so cannot be run again.
 */
export function workerCommand(
  { address, options = [], args = Deno.args }: WorkerCommandOptions = {},
): string[] {
  if (Deno.build.standalone) {
    // Its permissions are fixed, and a worker that cannot read the variable would start workers of its own.
    if (!isGranted({ name: "env", variable: SUPERVISOR })) {
      throw new ListenError(
        `Cannot start a worker: missing permission; compile the program with --allow-env=${SUPERVISOR}`,
      );
    }
    return [Deno.execPath(), ...args];
  }
  const module = Deno.mainModule;
  if (module.includes("$deno$")) {
    throw new ListenError(`Cannot start a worker: the program must be a module, got ${module}`);
  }
  return [
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--unstable-net",
    ...permissionFlags(address),
    ...options,
    module,
    ...args,
  ];
}

/** Permission flags: for all of a permission granted in full, otherwise for the part that can be queried. */
function permissionFlags(address: string | undefined): string[] {
  const asked: [
    all: Deno.PermissionDescriptor,
    part?: string | undefined,
    partial?: Deno.PermissionDescriptor,
  ][] = [
    [{ name: "net" }, address, { name: "net", ...(address && { host: address }) }],
    [{ name: "read" }, ".", { name: "read", path: "." }],
    [{ name: "write" }, ".", { name: "write", path: "." }],
    [{ name: "env" }, SUPERVISOR],
    [{ name: "sys" }],
    [{ name: "run" }],
    [{ name: "ffi" }],
    [{ name: "import" }],
  ];
  if (asked.every(([all]) => isGranted(all))) return ["--allow-all"];
  return asked.flatMap(([all, part, partial]) => {
    if (isGranted(all)) return `--allow-${all.name}`;
    if (part === undefined || partial !== undefined && !isGranted(partial)) return [];
    return `--allow-${all.name}=${part}`;
  });
}

/** Whether a permission is granted in full, with no part of it denied. */
function isGranted(permission: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(permission);
  return state === "granted" && !partial;
}
