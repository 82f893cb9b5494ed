// A socket as a connection uses it: reads into as little memory as it can, and writes what has been
// queued in as few writes as it can.
//
// A read of the system cannot be taken back. So at most one is under way, and whoever reads while it is
// gets what it brings.

import type { Clock } from "./clock.ts";

/** An idle connection keeps a buffer of this size, which most heads fit in. */
const IDLE_BUFFER = 4 * 1024;
/** While a body flows, buffers of this size go to the one who reads it. */
const BODY_BUFFER = 64 * 1024;
/** Less room than this in a body's buffer is not worth a read. */
const LEAST_ROOM = 16 * 1024;
/** Pieces up to this size are copied, to be written together with what comes before and after. */
const COPY_MAX = 16 * 1024;

const NOTHING = new Uint8Array(0);

// Small pieces of all connections are collected in one area, one after the other: an array of its own
// for each answer costs more than writing the answer into it does. The area is filled once and then left
// to the writes that are under way.
const AREA = 64 * 1024;
let area = new Uint8Array(AREA);
let areaUsed = 0;

/** The connection is gone: the peer closed or reset it, or we closed it. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** Reads from and writes to a connection. */
export class Socket {
  readonly conn: Deno.Conn;
  readonly #clock: Clock;
  readonly #writeTimeout: number;
  /** When the peer must have taken some of what was written; 0 while nothing waits for it. */
  writeDeadline = 0;
  readonly #idle = new Uint8Array(IDLE_BUFFER);
  #body: Uint8Array = NOTHING;
  /** The read of the system that is under way. */
  #reading: Promise<Uint8Array> | null = null;
  #queue: Uint8Array[] = [];
  #queued = 0;
  // The piece that is being collected, at the end of the queue: where it stands in its area.
  #area: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #writing: Promise<void> | null = null;
  #isClosed = false;
  #isHandedOver = false;

  /** @param writeTimeout Milliseconds that a write may make no progress, 0 for no limit. */
  constructor(conn: Deno.Conn, clock: Clock, writeTimeout: number) {
    this.conn = conn;
    this.#clock = clock;
    this.#writeTimeout = writeTimeout;
  }

  /** Bytes that wait to be written. */
  get queued(): number {
    return this.#queued;
  }

  /** Whether nothing can be written any more. */
  get isLost(): boolean {
    return this.#isClosed;
  }

  /**
   * Reads what there is, at least one byte; empty at the end of the stream. The bytes are overwritten by
   * the next read.
   *
   * It rejects with {@linkcode ConnectionLost}.
   */
  read(): Promise<Uint8Array> {
    if (this.#reading !== null) return this.#reading;
    this.#body = NOTHING;
    return this.#reading = this.#readInto(this.#idle);
  }

  /** As `read`, with bytes that stay, but for those of a read that was under way. */
  readBody(): Promise<Uint8Array> {
    if (this.#reading !== null) return this.#reading;
    if (this.#body.length < LEAST_ROOM) this.#body = new Uint8Array(BODY_BUFFER);
    return this.#reading = this.#readInto(this.#body);
  }

  async #readInto(buffer: Uint8Array): Promise<Uint8Array> {
    try {
      const count = await this.conn.read(buffer);
      if (count === null) return NOTHING;
      if (buffer === this.#body) this.#body = buffer.subarray(count);
      return buffer.subarray(0, count);
    } catch (cause) {
      throw new ConnectionLost("Cannot read: the connection is gone", { cause });
    } finally {
      this.#reading = null;
    }
  }

  /** Whether `bytes` are ones that the next `read()` overwrites. */
  willOverwrite(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#idle.buffer;
  }

  /** Queues bytes to be written. Large ones are not copied. */
  write(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length === 0 || this.#isClosed) return;
    this.#queued += length;
    if (length > COPY_MAX) {
      this.#closePiece();
      this.#queue.push(bytes);
      return;
    }
    const continues = this.#area === area && this.#end === areaUsed && this.#start !== this.#end;
    if (!continues || areaUsed + length > AREA) {
      this.#closePiece();
      if (areaUsed + length > AREA) {
        area = new Uint8Array(AREA);
        areaUsed = 0;
      }
      this.#area = area;
      this.#start = areaUsed;
    }
    area.set(bytes, areaUsed);
    this.#end = areaUsed += length;
  }

  /** Moves the piece that is being collected, if there is one, into the queue. */
  #closePiece(): void {
    if (this.#start === this.#end) return;
    this.#queue.push(this.#area.subarray(this.#start, this.#end));
    // An idle connection holds on to no area.
    this.#area = NOTHING;
    this.#start = this.#end = 0;
  }

  /**
   * Writes what is queued; resolves when all is written, also what is queued meanwhile.
   *
   * It rejects with {@linkcode ConnectionLost} where that cannot be.
   */
  flush(): Promise<void> {
    if (this.#queued === 0 && this.#writing === null && !this.#isClosed) return DONE;
    return this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      for (;;) {
        this.#closePiece();
        const bytes = this.#queue.shift();
        if (bytes === undefined) break;
        for (let at = 0; at < bytes.length;) {
          if (this.#writeTimeout > 0) this.writeDeadline = this.#clock.after(this.#writeTimeout);
          at += await this.conn.write(at === 0 ? bytes : bytes.subarray(at));
        }
        this.#queued -= bytes.length;
      }
    } catch (cause) {
      this.close();
      throw new ConnectionLost("Cannot write: the connection is gone", { cause });
    } finally {
      this.#writing = null;
      this.writeDeadline = 0;
    }
    if (this.#isClosed) throw new ConnectionLost("Cannot write: the connection was closed");
  }

  /**
   * Ends the connection so that the peer can read what was sent: a close with unread bytes would reset
   * it and take the last answer along (RFC 9112 9.6). Reads and drops as long as something comes.
   *
   * @param quiet Milliseconds without a byte at most.
   * @param most Milliseconds in all at most.
   */
  async linger(quiet: number, most: number): Promise<void> {
    if (this.#isClosed) return;
    const close = (): void => this.close();
    const end = performance.now() + most;
    let timer = setTimeout(close, quiet);
    try {
      await this.conn.closeWrite();
      while ((await this.read()).length > 0) {
        clearTimeout(timer);
        timer = setTimeout(close, Math.min(quiet, end - performance.now()));
      }
    } catch {
      // The peer is gone, or the time is over.
    } finally {
      clearTimeout(timer);
      this.close();
    }
  }

  /** Leaves the connection to somebody else: nothing here touches it any more. */
  handOver(): Deno.Conn {
    this.#isHandedOver = true;
    return this.conn;
  }

  /** Closes the connection at once. */
  close(): void {
    if (this.#isClosed || this.#isHandedOver) return;
    this.#isClosed = true;
    this.#queue = [];
    this.#queued = 0;
    this.#start = this.#end = 0;
    try {
      this.conn.close();
    } catch {
      // It was closed from outside.
    }
  }
}

const DONE = Promise.resolve();
