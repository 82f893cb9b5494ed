// Workers: processes of one program that share its port, and the supervisor that keeps them running.
//
// The supervisor holds the standard input of each worker and writes nothing to it: its end asks the worker
// for a graceful end. So a worker ends also when its supervisor is gone, however that went; and Ctrl-C, a
// SIGINT that a terminal sends to all of them, is not a second request, which would end it at once.

import { ListenError } from "./listen.ts";

/** The environment variable that tells a worker its supervisor's process id. */
const SUPERVISOR = "TINY_LISTENER_SUPERVISOR";

/** Signals that end the supervisor, with their numbers. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof SIGNALS;

/** The exit status of a worker that cannot listen on its address: others could not either. */
export const CANNOT_LISTEN = 78;

/** What is supervised: options of {@linkcode superviseWorkers}. */
export interface SupervisorOptions {
  /** The program of a worker, and its arguments. */
  command: readonly string[];
  /** How many workers run at a time. */
  count: number;
  /** Writes a line to the log. */
  log(line: string): void;
  /**
   * Whether the command is Deno's watcher, which outlives its program and then nobody tells of the end of standard
   * input. One that goes on for a second is told by SIGTERM, too.
   */
  isWatcher?: boolean | undefined;
}

/** Milliseconds that a watcher's program has for the beginning of its end, before the watcher is told by SIGTERM. */
const WATCHER_PAUSE = 1_000;

/**
 * For programs that supervise others; a server that is to run in several processes has the option `workers`.
 *
 * Runs workers until SIGINT or SIGTERM. They are told by the end of their standard input, and get all the time they
 * take; a second signal kills them. One that ends before, in whatever way, is started again after a while; but where
 * the first ones end with status 78, as they do that cannot listen on their address, all end.
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
 * @returns The exit status for the supervisor: 0 if all workers ended cleanly when they were asked to, else
 * 1, or what a shell gives to the second signal.
 * @throws {ListenError} They cannot be started.
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
      // Those that were started before one could not be.
      for (const worker of this.#running) kill(worker);
    }
    return this.#status;
  }

  #start(): Deno.ChildProcess {
    const [program, ...args] = this.#options.command;
    const env = { [SUPERVISOR]: String(Deno.pid) };
    try {
      const worker = new Deno.Command(program, { args, env, stdin: "piped" }).spawn();
      this.#running.add(worker);
      return worker;
    } catch (cause) {
      const reason = cause instanceof Deno.errors.NotCapable
        ? "the program has no permission; run it with --allow-run"
        : (cause as Error).message;
      throw new ListenError(`Cannot start a worker: ${reason}`, { cause });
    }
  }

  async #keepRunning(worker: Deno.ChildProcess): Promise<void> {
    const backoff = new Backoff();
    const { signal } = this.#stop;
    let life = this.#live(worker);
    for (let isFirst = true;; isFirst = false) {
      const startedAt = performance.now();
      const { how, code } = await life;
      if (signal.aborted) return;
      // One that is started for another may find the address free again.
      if (isFirst && code === CANNOT_LISTEN) return this.#giveUp();
      const delay = backoff.next(performance.now() - startedAt);
      this.#options.log(`WARNING: ${how}; starting another in ${delay} ms`);
      await pause(delay, signal);
      if (signal.aborted) return;
      life = this.#live().catch((error) => ({ how: error.message, code: 1 }));
    }
  }

  /** Waits for the end of a worker, a new one if not given. @returns How it ended, and with which status. */
  async #live(worker = this.#start()): Promise<{ how: string; code: number }> {
    const { success, signal, code } = await worker.status;
    this.#running.delete(worker);
    // By these signals it ends before it listens to them: that is clean, too.
    const isClean = success || signal !== null && signal in SIGNALS;
    if (this.#stop.signal.aborted && !isClean) this.#status ||= 1;
    const how = signal === null ? `with status ${code}` : `by ${signal}`;
    return { how: `worker ${worker.pid} ended ${how}`, code };
  }

  /** Ends with the others: none can do what it is for. */
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
    // A worker that has just ended has closed it already.
    worker.stdin.close().catch(() => {});
    if (!this.#options.isWatcher) return;
    // It has a program that reads no standard input where that has failed. Where the program runs, its end has begun
    // by then, and SIGTERM changes nothing: sent at once, it might come before the end of standard input, and the
    // watcher would start the program again.
    const timer = setTimeout(() => kill(worker, "SIGTERM"), WATCHER_PAUSE);
    void worker.status.then(() => clearTimeout(timer));
  }
}

/** How long to wait before a worker is started again: longer each time, until one has lived for a while. */
export class Backoff {
  /** Milliseconds at first, ... */
  static readonly FIRST = 100;
  /** ... at most, ... */
  static readonly MAX = 10_000;
  /** ... and those of a life after which it begins anew. */
  static readonly STEADY = 10_000;
  #delay = Backoff.FIRST;

  /** Milliseconds to wait after a worker has lived for `lived` milliseconds. */
  next(lived: number): number {
    if (lived >= Backoff.STEADY) this.#delay = Backoff.FIRST;
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, Backoff.MAX);
    return delay;
  }
}

/** Calls `listener` at each `signal`, where the system has it. @returns Stops it. */
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
    // It has just ended.
  }
}

/** Resolves after `milliseconds`, or when `signal` aborts. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const timer = setTimeout(end, milliseconds);
  signal.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", end);
}

/** For programs that supervise others: whether this process is a worker. */
export function isWorker(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: SUPERVISOR });
  // A program that a worker runs has the variable, but another parent.
  return state === "granted" && Deno.env.get(SUPERVISOR) === String(Deno.ppid);
}

/** For programs that supervise others: in a worker, calls `stop` when the supervisor asks for the end, or is gone. @returns Stops it. */
export function onSupervisorStop(stop: () => void): () => void {
  void readToEnd().then(stop, () => {});
  return () => {
    try {
      // It ends the read, too, which would keep the process going.
      Deno.stdin.close();
    } catch {
      // It was closed by somebody else.
    }
  };
}

async function readToEnd(): Promise<void> {
  while (await Deno.stdin.read(new Uint8Array(1)) !== null);
}

/** Options of {@linkcode workerCommand}. */
export interface WorkerCommandOptions {
  /** The address that the program listens on, `host:port`, where it may have no permission for others. */
  address?: string | undefined;
  /** Options of `deno run` besides permissions. */
  options?: readonly string[] | undefined;
  /** The program's arguments; its own if not given. */
  args?: readonly string[] | undefined;
}

/**
 * For programs that supervise others: the command that runs this program again, as a worker.
 *
 * It gets the permissions that this process has in full, and those parts that can be asked for: the
 * network at `address`, the files of the current folder. What else Deno was told on the command line (a
 * configuration file, unstable features) it does not get; a worker finds it in `deno.json`.
 *
 * @throws {ListenError} The program does not come from a module, and so cannot be run again.
 */
export function workerCommand(
  { address, options = [], args = Deno.args }: WorkerCommandOptions = {},
): string[] {
  if (Deno.build.standalone) return [Deno.execPath(), ...args];
  const module = Deno.mainModule;
  if (module.includes("$deno$")) {
    throw new ListenError(`Cannot start a worker: the program must be a module, not ${module}`);
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

/** Permissions: the flag for all of it, and the part that is asked for where not all is granted. */
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

/** Whether it is granted with nothing in it denied. */
function isGranted(permission: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(permission);
  return state === "granted" && !partial;
}
