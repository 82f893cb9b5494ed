// The error log: everything that the server reports, except the access log, which is in access_log.ts.

import type { HTTPContext } from "./context.ts";
import { log, oneLine } from "./log.ts";

/** A report of the server, passed to {@linkcode ServerOptions.errorLog}. */
export interface ErrorLogEntry {
  /**
   * `"error"`: a handler, a hook or the server failed. `"warning"`: a client was refused or disconnected,
   * requests were aborted because `shutdownGrace` expired, or a worker was replaced. `"info"`: the server is
   * listening.
   */
  readonly level: "error" | "warning" | "info";
  /** What happened, on a single line. Control characters, which a client may have sent, are escaped. */
  readonly message: string;
  /** The value that was thrown, if any; otherwise absent. */
  readonly error?: unknown;
  /** The context of the request; null if the report does not belong to one. */
  readonly ctx: HTTPContext | null;
}

/** The settings that determine where reports go, and whether any are written to standard output. */
export interface Reporting {
  readonly accessLog: unknown;
  readonly errorLog?: ((entry: ErrorLogEntry) => void) | undefined;
}

/**
 * Passes a report to `errorLog`. If that is not set, errors are printed on standard error, and the other
 * reports on standard output, among the lines of the access log. Never throws.
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

/** Prints `text` on standard error. If that fails, as on a full disk, the server keeps running. */
export function printError(text: string): void {
  try {
    console.error(text);
  } catch {
    // There is nowhere left to report to.
  }
}

/**
 * An error as text. It may quote a client, so only its first line may look like the beginning of a log entry.
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
