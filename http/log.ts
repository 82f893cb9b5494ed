// The server's log: the access log and what the server tells about itself, on standard output.
//
// A line is queued and written when the one before it is out; what comes meanwhile goes out in one
// write. So no answer waits for the log, and a log that nobody reads costs bounded memory.

const encoder = new TextEncoder();

/** Lines that are queued at most; more are dropped, and their number is told. */
const MAX_QUEUED = 10_000;

/** Somewhere to write to: a file, standard output, a pipe. */
export interface LogSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Writes lines to a sink, in order, without keeping anybody waiting. */
export class Log {
  readonly #sink: LogSink;
  #lines: string[] = [];
  #dropped = 0;
  #writing: Promise<void> | null = null;

  constructor(sink: LogSink = Deno.stdout) {
    this.#sink = sink;
  }

  /** Adds a line. Control characters in it are escaped: what a client sends cannot forge a line. */
  line(text: string): void {
    if (this.#lines.length >= MAX_QUEUED) {
      this.#dropped++;
      return;
    }
    this.#lines.push(escape(text));
    this.#writing ??= this.#write();
  }

  /** Resolves when all lines are written, or cannot be. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        if (this.#dropped > 0) {
          this.#lines.push(`WARNING: ${this.#dropped} lines of the log were dropped`);
          this.#dropped = 0;
        }
        const bytes = encoder.encode(this.#lines.join("\n") + "\n");
        this.#lines = [];
        for (let at = 0; at < bytes.length;) at += await this.#sink.write(bytes.subarray(at));
      }
    } catch {
      // A closed pipe or a full disk behind the log is no reason to stop serving.
      this.#lines = [];
    } finally {
      this.#writing = null;
    }
  }
}

function escape(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** The server's log. */
export const log = new Log();

/** `host:port` of a TCP address, or the path of a Unix one. */
export function formatAddr(addr: Deno.Addr): string {
  if (!("hostname" in addr)) return "path" in addr ? addr.path ?? "unix" : "unknown";
  return addr.hostname.includes(":")
    ? `[${addr.hostname}]:${addr.port}`
    : `${addr.hostname}:${addr.port}`;
}
