// The error log: what the server reports besides requests. The access log has a file of its own.

import type { HTTPContext } from "./context.ts";
import { log, oneLine } from "./log.ts";

/** What the server reports, for {@linkcode ServerOptions.errorLog}. */
export interface ErrorLogEntry {
  /**
   * `"error"`: something failed, in a handler, a hook or the server. `"warning"`: a client was refused or
   * disconnected, or a worker replaced. `"info"`: the server listens.
   */
  readonly level: "error" | "warning" | "info";
  /** What happened, on a single line; control characters of a client's text are escaped. */
  readonly message: string;
  /** What was thrown; absent if nothing was. */
  readonly error?: unknown;
  /** The context of the request; null if the entry belongs to none. */
  readonly ctx: HTTPContext | null;
}

/** Where reports go, and whether there are any on standard output. */
export interface Reporting {
  readonly accessLog: unknown;
  readonly errorLog?: ((entry: ErrorLogEntry) => void) | undefined;
}

/**
 * Reports `entry`: to the error log of the settings, or else an error as text on standard error, and the
 * others as lines among those of the access log. Never throws.
 */
export function report({ accessLog, errorLog }: Reporting, given: ErrorLogEntry): void {
  const entry = { ...given, message: oneLine(given.message) };
  if (errorLog === undefined) {
    if (entry.level === "error" || accessLog !== false) print(entry);
    return;
  }
  const fail = (error: unknown): void => {
    print(entry);
    print({ level: "error", message: "Cannot report this: errorLog failed", error, ctx: null });
  };
  try {
    const result: unknown = errorLog(entry);
    if (result instanceof Promise) result.catch(fail);
  } catch (error) {
    fail(error);
  }
}

function print(entry: ErrorLogEntry): void {
  const { level, message, error } = entry;
  if (level !== "error") return log.line(`${level.toUpperCase()}: ${message}`);
  printError("error" in entry ? `${message}: ${shown(error)}` : message);
}

/** Prints `text` on standard error. A full disk behind it is no reason to stop serving. */
export function printError(text: string): void {
  try {
    console.error(text);
  } catch {
    // There is nowhere left to report to.
  }
}

/**
 * An error as text. It may quote a client: only its first line may look like the beginning of a log entry.
 */
function shown(error: unknown): string {
  const text = typeof error === "string" ? error : inspected(error);
  const [first, ...others] = text.split("\n").map(oneLine);
  return [first, ...others.map((line) => line.startsWith(" ") ? line : `    ${line}`)].join("\n");
}

function inspected(value: unknown): string {
  try {
    return Deno.inspect(value, { colors: false });
  } catch {
    return "the thrown value cannot be shown";
  }
}
