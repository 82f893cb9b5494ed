// A socket as an exchange uses it: reads into as little memory as it can, and writes what has been
// queued in as few writes as it can.

/** An idle connection keeps a buffer of this size, which most heads fit in. */
const IDLE_BUFFER = 4 * 1024;
/** While a body flows, buffers of this size go to the one who reads it. */
const BODY_BUFFER = 64 * 1024;
/** Less room than this in a body's buffer is not worth a read. */
const LEAST_ROOM = 16 * 1024;
/** Queued pieces up to this size in all are put together for one write. */
const JOIN_MAX = 64 * 1024;

const NOTHING = new Uint8Array(0);

/** The peer's end is gone: it closed, or reset the connection, or we closed ours. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** Reads from and writes to a connection. */
export class Socket {
  readonly conn: Deno.Conn;
  readonly #idle = new Uint8Array(IDLE_BUFFER);
  #body: Uint8Array = NOTHING;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #writing: Promise<void> | null = null;
  #isLost = false;

  constructor(conn: Deno.Conn) {
    this.conn = conn;
  }

  /** Bytes that wait to be written. */
  get queued(): number {
    return this.#queued;
  }

  /** Whether writing has failed, or `close()` was called. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Reads what there is, at least one byte; empty at the end of the stream. The bytes are overwritten by
   * the next call.
   */
  async read(): Promise<Uint8Array> {
    this.#body = NOTHING;
    const count = await this.#readInto(this.#idle);
    return count === null ? NOTHING : this.#idle.subarray(0, count);
  }

  /** As `read`, with bytes that are never overwritten. */
  async readBody(): Promise<Uint8Array> {
    if (this.#body.length < LEAST_ROOM) this.#body = new Uint8Array(BODY_BUFFER);
    const area = this.#body;
    const count = await this.#readInto(area);
    if (count === null) return NOTHING;
    this.#body = area.subarray(count);
    return area.subarray(0, count);
  }

  async #readInto(area: Uint8Array): Promise<number | null> {
    try {
      return await this.conn.read(area);
    } catch (cause) {
      throw new ConnectionLost("Cannot read: the connection is gone", { cause });
    }
  }

  /** Whether `bytes` are ones that the next `read()` overwrites. */
  willOverwrite(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#idle.buffer;
  }

  /** Queues bytes to be written. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#isLost) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
  }

  /**
   * Writes what is queued; resolves when all is written, also what is queued meanwhile.
   *
   * It rejects with {@linkcode ConnectionLost} where that cannot be.
   */
  flush(): Promise<void> {
    if (this.#queued === 0 && this.#writing === null && !this.#isLost) return DONE;
    return this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const bytes = this.#takeQueued();
        for (let at = 0; at < bytes.length;) {
          at += await this.conn.write(at === 0 ? bytes : bytes.subarray(at));
        }
      }
    } catch (cause) {
      this.#isLost = true;
      this.#queue = [];
      this.#queued = 0;
      throw new ConnectionLost("Cannot write: the connection is gone", { cause });
    } finally {
      this.#writing = null;
    }
    if (this.#isLost) throw new ConnectionLost("Cannot write: the connection was closed");
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
    const timer = setTimeout(() => this.close(), milliseconds);
    try {
      await this.conn.closeWrite();
      while (await this.conn.read(this.#idle) !== null);
    } catch {
      // The peer is gone, or the time is over.
    } finally {
      clearTimeout(timer);
      this.close();
    }
  }

  /** Closes the connection at once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = this.#isLost = true;
    try {
      this.conn.close();
    } catch {
      // It was closed from outside.
    }
  }
  #isClosed = false;
}

const DONE = Promise.resolve();
