// A socket as a connection uses it: reads into as little memory as it can, and writes what has been
// queued in as few writes as it can.
//
// A read of the system cannot be taken back. So one that is interrupted goes on, and the next call of
// `read` gets what it brings: at most one is under way.

import type { Clock } from "./clock.ts";

/** An idle connection keeps a buffer of this size, which most heads fit in. */
const IDLE_BUFFER = 4 * 1024;
/** While a body flows, buffers of this size go to the one who reads it. */
const BODY_BUFFER = 64 * 1024;
/** Less room than this in a body's buffer is not worth a read. */
const LEAST_ROOM = 16 * 1024;
/** Queued pieces up to this size in all are put together for one write. */
const JOIN_MAX = 64 * 1024;

const NOTHING = new Uint8Array(0);

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
  #interrupt: ((reason: unknown) => void) | null = null;
  #queue: Uint8Array[] = [];
  #queued = 0;
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

  /** Whether a read is under way. */
  get isReading(): boolean {
    return this.#reading !== null;
  }

  /**
   * Reads what there is, at least one byte; empty at the end of the stream. The bytes are overwritten by
   * the next read.
   *
   * It rejects with {@linkcode ConnectionLost}, or with what {@linkcode Socket.interrupt} was given.
   */
  read(): Promise<Uint8Array> {
    if (this.#reading === null) this.#body = NOTHING;
    return this.#wait(this.#reading ?? this.#readInto(this.#idle));
  }

  /** As `read`, with bytes that stay, but for those of a read that was under way. */
  readBody(): Promise<Uint8Array> {
    if (this.#reading !== null) return this.#wait(this.#reading);
    if (this.#body.length < LEAST_ROOM) this.#body = new Uint8Array(BODY_BUFFER);
    return this.#wait(this.#readInto(this.#body));
  }

  #readInto(area: Uint8Array): Promise<Uint8Array> {
    return this.#reading = this.conn.read(area).then(
      (count) => {
        this.#reading = null;
        if (count === null) return NOTHING;
        if (area === this.#body) this.#body = area.subarray(count);
        return area.subarray(0, count);
      },
      (cause) => {
        this.#reading = null;
        throw new ConnectionLost("Cannot read: the connection is gone", { cause });
      },
    );
  }

  #wait(reading: Promise<Uint8Array>): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      reading.then(resolve, reject);
    });
  }

  /** Makes the read that is waited for reject. */
  interrupt(reason: unknown): void {
    this.#interrupt?.(reason);
  }

  /** Whether `bytes` are ones that the next `read()` overwrites. */
  willOverwrite(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#idle.buffer;
  }

  /** Queues bytes to be written. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#isClosed) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
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
      while (this.#queue.length > 0) {
        const bytes = this.#takeQueued();
        for (let at = 0; at < bytes.length;) {
          if (this.#writeTimeout > 0) this.writeDeadline = this.#clock.after(this.#writeTimeout);
          at += await this.conn.write(at === 0 ? bytes : bytes.subarray(at));
        }
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

  /** The next bytes to write: all that is queued, or the first piece where that is large. */
  #takeQueued(): Uint8Array {
    if (this.#queue.length === 1 || this.#queue[0].length > JOIN_MAX) {
      const first = this.#queue.shift()!;
      this.#queued -= first.length;
      return first;
    }
    let count = 0, length = 0;
    while (count < this.#queue.length && length + this.#queue[count].length <= JOIN_MAX) {
      length += this.#queue[count++].length;
    }
    const joined = new Uint8Array(length);
    let at = 0;
    for (const piece of this.#queue.splice(0, count)) {
      joined.set(piece, at);
      at += piece.length;
    }
    this.#queued -= length;
    return joined;
  }

  /**
   * Ends the connection so that the peer can read what was sent: a close with unread bytes would reset
   * it and take the last answer along (RFC 9112 9.6). Reads and drops for `milliseconds` at most.
   */
  async linger(milliseconds: number): Promise<void> {
    if (this.#isClosed) return;
    const timer = setTimeout(() => this.close(), milliseconds);
    try {
      await this.conn.closeWrite();
      while ((await this.read()).length > 0);
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
    try {
      this.conn.close();
    } catch {
      // It was closed from outside.
    }
  }
}

const DONE = Promise.resolve();
