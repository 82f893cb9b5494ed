/**
 * The command: runs the listener that a module exports, whatever it listens to.
 *
 * ```sh
 * deno run --allow-net --allow-read cli.ts examples/http_web.ts:app
 * deno run --allow-net --allow-read cli.ts examples/http_web.ts:app --host 0.0.0.0 --port 8080
 * deno run cli.ts --help
 * ```
 *
 * What cannot be done is one line on standard error, and status 1; a module that throws shows its own error.
 *
 * @module
 */

import { parseArgs } from "node:util";
import manifest from "./deno.json" with { type: "json" };
import type { HTTPListener } from "./http_context.ts";
import { importFromString, type Listener, ListenerNotFound } from "./listener.ts";

const HELP = `Runs the listener that a module exports.

Usage: deno run --allow-net --allow-read cli.ts [options] <file>:<name>

  deno run --allow-net --allow-read cli.ts examples/http_web.ts:app --port 8080

Options:
  --host <address>  Listen on this address instead of the listener's own
  --port <number>   Listen on this port instead of the listener's own; 0 for a free one
  --version         Print the version
  --help            Print this text`;

/** What the user asked for cannot be done: shown as one line. */
class CommandError extends Error {}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  if (values.help) return console.log(HELP);
  if (values.version) return console.log(`tiny-listener ${manifest.version}`);
  if (positionals.length !== 1) {
    throw new CommandError(
      `Cannot run ${positionals.length} listeners: give one "<file>:<name>"; see --help`,
    );
  }
  const [source] = positionals;
  const listener = await load(source);
  if (values.host !== undefined || values.port !== undefined) {
    setAddress(listener, source, values);
  }
  await listener.run();
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
        version: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    // The first sentence says what is wrong, the others how to write what was hardly meant.
    const [reason] = (error as Error).message.split(/\.\s/);
    throw new CommandError(`Cannot read the command line: ${reason}; see --help`);
  }
}

async function load(source: string): Promise<Listener> {
  let found: unknown;
  try {
    found = await importFromString(source);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (error instanceof ListenerNotFound) throw new CommandError(message);
    // Deno's code for all that keeps it from loading a module: a missing import, a permission, its syntax.
    if (code === "ERR_MODULE_NOT_FOUND") {
      throw new CommandError(`Cannot import "${source}": ${message}`);
    }
    throw error;
  }
  if (!isListener(found)) {
    throw new CommandError(
      `Cannot run "${source}": must be a Listener, but it is ${describe(found)}`,
    );
  }
  return found;
}

/** By its shape, not its class: the module may import another copy of this package. */
function isListener(value: unknown): value is Listener {
  return typeof value === "object" && value !== null && "listen" in value &&
    "run" in value && typeof value.run === "function";
}

function describe(value: unknown): string {
  if (typeof value === "object") return value === null ? "null" : "an object of another kind";
  return typeof value === "function" ? "a function or class" : `a ${typeof value}`;
}

function setAddress(
  listener: Listener & { configure?: HTTPListener["configure"] },
  source: string,
  { host: hostname, port }: { host?: string; port?: string },
): void {
  if (listener.configure === undefined) {
    throw new CommandError(`Cannot set the address of "${source}": it is a listener without one`);
  }
  if (port !== undefined && !/^[0-9]+$/.test(port)) {
    throw new CommandError(`Cannot set --port to "${port}": must be a whole number`);
  }
  try {
    listener.configure({ hostname, port: port === undefined ? undefined : Number(port) });
  } catch (error) {
    throw error instanceof RangeError ? new CommandError(error.message) : error;
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.error(`ERROR: ${error.message}`);
    // A module that was loaded in vain may have timers or sockets that would keep the program going.
    Deno.exit(1);
  }
}
