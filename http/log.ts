// The server's log on standard output: the access log, and messages about the server itself.
//
// Lines are collected and written together: the first at once, the following ones some milliseconds later, as
// a write in the background costs as much as serving several requests (measured: 0.05 ms). So no answer waits
// for the log, and a log that nobody reads takes a limited amount of memory.

import { Pause } from "./pause.ts";

const encoder = new TextEncoder();

/** Milliseconds between two writes at least. */
const PAUSE = 10;
/** Bytes that are queued at most, for ASCII; further lines are dropped, and their number is reported. */
const MAX_QUEUED = 4 * 1024 * 1024;
/** Bytes of the queue that is kept for reuse. */
const USUAL_QUEUE = 64 * 1024;
/**
 * Maximum size in bytes of an atomic write to a pipe, which other writers cannot split: PIPE_BUF on Linux.
 */
const PIPE_PIECE = 4096;
/** Text up to this length is copied in a loop, which is faster than calling the encoder. */
const SHORT_MAX = 64;
const LF = 0x0a;
const NOTHING = new Uint8Array(0);

/** A destination: a file, standard output, a pipe. */
export interface LogSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Writes lines to a sink, in order, without making anybody wait. */
export class Log {
  readonly #sink: LogSink;
  /** Whole lines up to `#end`, and the line that was begun up to `#at`. */
  #queue = new Uint8Array(USUAL_QUEUE);
  #end = 0;
  #at = 0;
  /** The queue that was taken last, to be reused for the lines after those that are queued now. */
  #other: Uint8Array<ArrayBuffer> | null = null;
  #dropped = 0;
  /** What was taken from the queue but is not written yet. */
  #unwritten: Uint8Array = NOTHING;
  #writing: Promise<void> | null = null;
  #lastWrite = -Infinity;
  #flushes = 0;
  #isShared = false;
  readonly #pause = new Pause();

  constructor(sink: LogSink = Deno.stdout) {
    this.#sink = sink;
  }

  /**
   * Called if other processes write to the same sink. If it is a pipe that is full, a write over `PIPE_PIECE`
   * bytes is split, and lines of other processes may end up in the middle of ours. From now on, each write
   * contains only as many lines as fit in an atomic write.
   */
  share(): void {
    this.#isShared = true;
  }

  /**
   * Adds a line. Control characters other than HTAB are escaped, so that it remains a single line that shows
   * what a client sent.
   */
  line(text: string): void {
    this.plainLine(oneLine(text));
  }

  /** Adds a line without control characters. */
  plainLine(text: string): void {
    if (!this.begin(text.length)) return;
    this.put(text);
    this.end();
  }

  /**
   * Begins a line that is assembled from parts, without creating a string for it.
   *
   * @param size Its length in code units.
   * @returns Whether there is room for it; if not, it is left out.
   */
  begin(size: number): boolean {
    if (this.#end + size > MAX_QUEUED) {
      this.#dropped++;
      return false;
    }
    this.#at = this.#end;
    return true;
  }

  /** Appends text without control characters to the line. */
  put(text: string): void {
    const { length } = text;
    if (length > SHORT_MAX) return this.#putEncoded(text);
    const queue = this.#roomFor(length), at = this.#at;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) return this.#putEncoded(text);
      queue[at + i] = unit;
    }
    this.#at = at + length;
  }

  #putEncoded(text: string): void {
    // In UTF-8 a code unit takes up to three bytes.
    const queue = this.#roomFor(3 * text.length);
    this.#at += encoder.encodeInto(text, queue.subarray(this.#at)).written;
  }

  /** Appends the first `length` of `units`, which are ASCII, to the line. */
  putUnits(units: Uint16Array, length: number): void {
    const queue = this.#roomFor(length), at = this.#at;
    for (let i = 0; i < length; i++) queue[at + i] = units[i];
    this.#at = at + length;
  }

  /** Ends the line. */
  end(): void {
    this.#endLine();
    this.#writing ??= this.#write();
  }

  #endLine(): void {
    this.#roomFor(1)[this.#at++] = LF;
    this.#end = this.#at;
  }

  /** The queue, with room for `size` more bytes of the line. */
  #roomFor(size: number): Uint8Array {
    const needed = this.#at + size;
    if (needed > this.#queue.length) {
      const usual = Math.min(2 * this.#queue.length, MAX_QUEUED);
      const queue = new Uint8Array(Math.max(usual, needed));
      queue.set(this.#queue.subarray(0, this.#at));
      this.#queue = queue;
    }
    return this.#queue;
  }

  /**
   * Waits until all lines are written, or cannot be. It waits for `timeout` at most: a pipe that nobody reads
   * from may take forever.
   *
   * @param timeout Milliseconds; the default is 1,000.
   * @returns Whether all lines are written.
   */
  async flush(timeout = 1_000): Promise<boolean> {
    this.#flushes++;
    if (!this.#isEmpty) this.#writing ??= this.#write();
    this.#pause.end();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, timeout));
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
    this.#flushes--;
    return this.#isEmpty;
  }

  get #isEmpty(): boolean {
    return this.#end === 0 && this.#unwritten.length === 0;
  }

  async #write(): Promise<void> {
    try {
      while (!this.#isEmpty) {
        const early = this.#lastWrite + PAUSE - performance.now();
        // Lets lines accumulate, unless somebody waits for them.
        if (early > 0 && this.#flushes === 0) await this.#pause.wait(early);
        this.#take();
        while (this.#unwritten.length > 0) {
          this.#unwritten = this.#unwritten.subarray(await this.#sink.write(this.#piece()));
        }
        this.#unwritten = NOTHING;
        this.#lastWrite = performance.now();
      }
    } catch {
      // A closed pipe or a full disk is no reason to stop serving. What could not be written is retried
      // before the next line, after a pause.
      this.#lastWrite = performance.now();
    } finally {
      this.#writing = null;
    }
  }

  /** What to write next: everything, or, if the sink is shared, the lines that fit in an atomic write. */
  #piece(): Uint8Array {
    const all = this.#unwritten;
    if (!this.#isShared || all.length <= PIPE_PIECE) return all;
    // A single line that is too long for that is written alone.
    const end = all.lastIndexOf(LF, PIPE_PIECE - 1);
    return all.subarray(0, (end === -1 ? all.indexOf(LF, PIPE_PIECE) : end) + 1);
  }

  /** Takes the queued lines to be written, unless a failure has left something to write first. */
  #take(): void {
    if (this.#unwritten.length > 0) return;
    if (this.#dropped > 0) {
      this.#at = this.#end;
      this.put(`WARNING: ${this.#dropped} log lines were dropped`);
      this.#endLine();
      this.#dropped = 0;
    }
    this.#unwritten = this.#queue.subarray(0, this.#end);
    const free = this.#other;
    this.#other = this.#queue.length === USUAL_QUEUE ? this.#queue : null;
    this.#queue = free ?? new Uint8Array(USUAL_QUEUE);
    this.#end = 0;
  }
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/;
const EVERY_CONTROL = new RegExp(CONTROL, "g");

/** `text` with its control characters escaped, except for HTAB, so that it remains a single line. */
export function oneLine(text: string): string {
  if (!CONTROL.test(text)) return text;
  return text.replace(EVERY_CONTROL, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** The server's log. */
export const log: Log = new Log();

/**
 * An address as the log shows it, on a single line: `host:port` for TCP, with an IPv6 address in brackets, or
 * the path of a Unix socket. An unknown port, as that of a client behind a proxy may be, is 0 and left out.
 */
export function formatAddr(addr: Deno.Addr): string {
  if (!("hostname" in addr)) return "path" in addr ? oneLine(addr.path || "unix") : "unknown";
  const { hostname, port } = addr;
  if (port === 0) return hostname;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
