/**
 * The command: runs the listener that a module exports, whatever it listens to.
 *
 * ```sh
 * deno run --allow-net --allow-read cli.ts examples/http_web.ts:app
 * deno run --allow-net --allow-read cli.ts examples/http_web.ts:app --host 0.0.0.0 --port 8080
 * deno run --allow-net --allow-read --allow-run cli.ts examples/http_web.ts:app --workers 4
 * deno run --allow-net --allow-read --allow-run cli.ts examples/http_web.ts:app --reload
 * deno run cli.ts --help
 * ```
 *
 * A failure is one line on standard error, and exit status 1; a module that throws shows its own error.
 *
 * @module
 */

import { parseArgs } from "node:util";
import manifest from "./deno.json" with { type: "json" };
import {
  type HTTPListener,
  isWorker,
  ListenError,
  onSupervisorStop,
  type ServerOptions,
  superviseWorkers,
  workerCommand,
} from "./http_context.ts";
import { importFromString, type Listener, ListenerNotFound } from "./listener.ts";

const HELP = `Runs the listener that a module exports.

Usage: deno run --allow-net --allow-read cli.ts [options] <file>:<name>

  deno run --allow-net --allow-read cli.ts examples/http_web.ts:app --port 8080

Options:
  --host <address>    Listen on this address instead of the listener's own
  --port <number>     Listen on this port instead of the listener's own; 0 for a free one
  --workers <number>  Run this many processes on the same port, and restart those that die
  --reload            Restart when a file that the listener is loaded from changes
  --version           Print the version
  --help              Print this help

Both --workers and --reload require --allow-run.`;

/** The user asked for something that cannot be done; reported in one line. */
class CommandError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  if (values.help) return console.log(HELP);
  if (values.version) return console.log(`tiny-listener ${manifest.version}`);
  if (positionals.length !== 1) {
    throw new CommandError(
      `Cannot run ${positionals.length} listeners: expected one "<file>:<name>"; see --help`,
    );
  }
  if (values.reload && values.workers !== undefined) {
    throw new CommandError("Cannot reload with --workers: use only one of them");
  }
  if (values.reload && !isWorker()) return await watch();
  const [source] = positionals;
  const listener = await load(source);
  configure(listener, source, {
    hostname: values.host,
    port: number("port", values.port),
    workers: number("workers", values.workers),
  });
  await (values.reload ? runWatched(listener) : listener.run());
}

// deno-lint-ignore explicit-function-return-type -- parseArgs infers it from the options.
function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        host: { type: "string" },
        port: { type: "string" },
        workers: { type: "string" },
        reload: { type: "boolean" },
        version: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    // The first sentence says what is wrong; the others explain syntax that was probably not intended.
    const [reason] = (error as Error).message.split(/\.\s/);
    throw new CommandError(`Cannot read the command line: ${reason}; see --help`);
  }
}

async function load(source: string): Promise<Listener> {
  let found: unknown;
  try {
    found = await importFromString(source);
  } catch (error) {
    if (error instanceof ListenerNotFound) throw new CommandError(error.message);
    if (!(error instanceof Error)) {
      const thrown = Deno.inspect(error, { breakLength: Infinity });
      throw new CommandError(`Cannot import "${source}": the module threw ${thrown}`);
    }
    // Deno's code for whatever prevents a module from loading: a missing import, a permission, its syntax.
    if ((error as { code?: string }).code === "ERR_MODULE_NOT_FOUND") {
      throw new CommandError(`Cannot import "${source}": ${oneLine(error.message)}`);
    }
    throw error;
  }
  if (!isListener(found)) {
    throw new CommandError(
      `Cannot run "${source}": must be a Listener, got ${describe(found)}`,
    );
  }
  return found;
}

/** Reduces an error that Deno prints in several lines, with code in between, to what is wrong and where. */
function oneLine(message: string): string {
  const [what, ...others] = message.split("\n").map((line) => line.trim());
  const place = others.find((line) => line.startsWith("at "));
  return place === undefined ? what : `${what.replace(/\.$/, "")} ${place}`;
}

/** Checked by shape, not by class: the module may import another copy of this package. */
function isListener(value: unknown): value is Listener {
  return typeof value === "object" && value !== null && "listen" in value &&
    "run" in value && typeof value.run === "function";
}

function describe(value: unknown): string {
  if (typeof value === "object") return value === null ? "null" : "an object of another type";
  return typeof value === "function" ? "a function or class" : `a ${typeof value}`;
}

function number(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]+$/.test(text)) return Number(text);
  throw new CommandError(`Cannot set --${option} to "${text}": must be a non-negative integer`);
}

/** A listener that may have an address and other options. */
type Configurable = Listener & { configure?: HTTPListener["configure"] };

function configure(listener: Configurable, source: string, options: ServerOptions): void {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  if (given.length === 0) return;
  if (listener.configure === undefined) {
    const [[name]] = given;
    throw new CommandError(
      `Cannot set ${name} of "${source}": the listener does not accept this option`,
    );
  }
  try {
    listener.configure(options);
  } catch (error) {
    throw error instanceof RangeError ? new CommandError(error.message) : error;
  }
}

/** Runs this command again under Deno's watcher, which follows the imports of the program. */
async function watch(): Promise<never> {
  const command = workerCommand({ options: ["--watch"] });
  const logWarning = (message: string): void => console.log(`WARNING: ${message}`);
  try {
    Deno.exit(await superviseWorkers({ command, count: 1, log: logWarning, isWatcher: true }));
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    const { cause, message } = error;
    throw new CommandError(
      cause instanceof Deno.errors.NotCapable
        ? "Cannot reload: missing permission; run the program with --allow-run"
        : message,
    );
  }
}

/**
 * Runs the listener under Deno's watcher. The watcher outlives its program, even after `Deno.exit()`, so the
 * program has to kill this process. It does so with SIGKILL, because it may handle any other signal itself.
 */
async function runWatched(listener: Configurable): Promise<void> {
  listener.configure?.({ workers: 1 });
  let isEnd = false;
  const unwatch = onSupervisorStop(() => {
    isEnd = true;
    listener.stop().catch(() => {});
  });
  try {
    await listener.run();
  } finally {
    unwatch();
  }
  if (isEnd) Deno.kill(Deno.pid, "SIGKILL");
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.error(`ERROR: ${error.message}`);
    // A module that was loaded in vain may have timers or sockets that would keep the process alive.
    Deno.exit(1);
  }
}
