// A socket as a connection uses it: reads into as little memory as possible, and writes what is queued in as
// few writes as possible.
//
// A system read cannot be canceled. So at most one is under way, and whoever asks for data meanwhile gets the
// result of that one.

import { type Area, AreaPool } from "./area.ts";
import { type Clock, NEVER } from "./clock.ts";
import { report, type Reporting } from "./error_log.ts";
import { hasEnded, operations, ridOf } from "./operations.ts";
import { notePoll, pollIfLong } from "./turn.ts";

/** Size of the buffer an idle connection keeps; most heads fit. */
const IDLE_BUFFER = 1024;
/** The same for a connection that is new, or whose client sends more at a time. */
const LARGE_IDLE_BUFFER = 4 * 1024;
/** Size of the buffer for reading the rest of what did not fit. */
const HEAD_BUFFER = 16 * 1024;
/** Pieces up to this size are copied, to be written together with their neighbors. */
export const COPY_MAX: number = 16 * 1024;
/** Like `COPY_MAX`, for pieces whose memory can be reused once they are copied. */
export const OWN_COPY_MAX: number = 128 * 1024;
/**
 * This much of a larger piece is copied behind what precedes it, usually a head: a client that receives a
 * head on its own is woken for it, and then waits for the rest (1 MiB from memory: a quarter more responses
 * per second).
 */
const COPIED_BEGINNING = 64 * 1024;

/** Size of the area shared by small pieces of all connections. */
const AREA = 64 * 1024;
const areas = new AreaPool(AREA, true);
let area = areas.take();

/**
 * Upper limit of what is gathered for one write: four parts of 64 KiB and their framing. More parts per write
 * cost less, but are held in memory for a client that reads nothing.
 */
export const GATHERED_MAX: number = 256 * 1024 + 512;

/** For parts gathered into one write. */
const gathered = new AreaPool(GATHERED_MAX);
/** For heads and the beginnings of their bodies. */
const beginnings = new AreaPool(COPIED_BEGINNING + 4 * 1024);

/** The connection is gone: the peer closed or reset it, or we closed it. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** The reason an event's signal is aborted with if its client disconnects. */
export class ClientLeft extends DOMException {
  constructor() {
    super("The client has disconnected", "AbortError");
  }
}

/** Receives the results of reads, without a promise for each of them. Its methods must not throw. */
export interface Receiver {
  /**
   * `count` bytes at the beginning of `buffer` were read, valid until the next read; 0 is the end of the
   * stream.
   */
  received(buffer: Uint8Array, count: number): void;
  /** Nothing more can be read. */
  lost(error: ConnectionLost): void;
}

/**
 * Sockets that write, and then read, at the end of the current turn of the event loop. A turn begins with
 * data from many connections: all of them are answered, then all write, then all read. Code that runs again
 * at once is still in the processor's caches, which each system call evicts.
 */
let waiting: Socket[] = [];
let waitingSince = 0;
/**
 * Milliseconds that these sockets wait for one another at most: handlers may be slow. The clock is checked
 * for the first few sockets, which are all of them if handlers are slow, and then for every fourth.
 */
const WAIT_MAX = 2;
const LOOK_EVERY = 4;

/** The settings of a socket. */
export interface SocketSettings extends Reporting {
  /** Milliseconds a write may go without progress; 0 for no limit. */
  readonly writeTimeout: number;
}

/** Reads from and writes to a connection. */
export class Socket {
  readonly conn: Deno.Conn;
  /** The resource ID that operations use; -1 if the connection has to use its own methods. */
  readonly #rid: number;
  readonly #clock: Clock;
  readonly #settings: SocketSettings;
  /** The time by which the peer must have accepted some of the queued bytes. */
  writeDeadline: number = NEVER;
  #buffer = new Uint8Array(LARGE_IDLE_BUFFER);
  #idleSize = IDLE_BUFFER;
  /** Whether a system read is under way. */
  #isReading = false;
  /** The last read, or the current one, completed at once: the next one may do so, too. */
  #isAtOnce = false;
  /** The last read filled its buffer: the next one may complete at once. */
  #isFilled = false;
  /** The buffer of the current read, or of the next one. */
  #into: Uint8Array = this.#buffer;
  /** The operation of the current or last read; null before the operation begins. */
  #operation: Promise<number | null> | null = null;
  /** Gets the result of the current read, unless that was promised. */
  #receiver: Receiver | null = null;
  #promised: PromiseWithResolvers<Uint8Array> | null = null;
  /** Whether this socket is among those that wait for the end of the turn. */
  #isWaiting = false;
  #isRef = true;
  /** Number of bytes waiting to be written. */
  queued = 0;
  readonly #queue: Piece[] = [];
  // The piece that is being collected, to follow those in the queue, and its place in its area.
  #area: Area | null = null;
  #start = 0;
  #end = 0;
  /** The bytes being written, and their memory if that is ours. */
  #writing: Uint8Array | null = null;
  #writingMemory: Memory | null = null;
  #drained: PromiseWithResolvers<void> | null = null;
  #isClosed = false;
  /** The connection was handed over, along with the result of a pending read. */
  isHandedOver = false;

  constructor(conn: Deno.Conn, clock: Clock, settings: SocketSettings) {
    this.conn = conn;
    this.#rid = ridOf(conn);
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Whether nothing more can be written. */
  get isLost(): boolean {
    return this.#isClosed;
  }

  /** Sets whether reading from the connection keeps the process alive; it does by default. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    // TLS connections have neither method.
    const conn = this.conn as Partial<Pick<Deno.TcpConn, "ref" | "unref">>;
    if (isRef) conn.ref?.();
    else conn.unref?.();
    if (this.#isReading) this.#refOperation();
  }

  #refOperation(): void {
    if (this.#rid < 0 || this.#operation === null) return;
    if (this.#isRef) operations!.refOpPromise(this.#operation);
    else operations!.unrefOpPromise(this.#operation);
  }

  /** Begins a read. */
  #read(into: Uint8Array): void {
    this.#isReading = true;
    this.#into = into;
    const polling = this.#isAtOnce || this.#isFilled ? pollIfLong() : null;
    if (polling === null) return this.#beginOperation();
    this.#operation = null;
    polling.then(() => this.#beginOperation());
  }

  #beginOperation(): void {
    const into = this.#into;
    const operation = this.#rid < 0 ? this.conn.read(into) : operations!.read(this.#rid, into);
    this.#operation = operation;
    if (this.#rid >= 0) this.#isAtOnce = hasEnded(operation);
    if (!this.#isRef) this.#refOperation();
    operation.then(this.#took, this.#cannotRead);
  }

  readonly #took = (result: number | null): void => {
    this.#isReading = false;
    const count = result ?? 0;
    const into = this.#into;
    if (!this.#isAtOnce && !this.#isFilled) notePoll();
    this.#isFilled = count === into.length;
    if (into.length < count) {
      this.close();
      return this.#cannotRead(this.#transferred(TRANSFERRED_READ));
    }
    const buffer = this.#buffer;
    if (into === buffer) {
      // A filled buffer means that more is waiting. An idle connection goes back to a small one.
      const isFilled = count === buffer.length;
      if (count >= IDLE_BUFFER) this.#idleSize = LARGE_IDLE_BUFFER;
      const size = isFilled ? HEAD_BUFFER : this.#idleSize;
      if (buffer.length !== size) this.#buffer = new Uint8Array(size);
    }
    this.#into = this.#buffer;
    const receiver = this.#receiver;
    if (receiver !== null) {
      this.#receiver = null;
      return receiver.received(into, count);
    }
    const promised = this.#promised!;
    this.#promised = null;
    promised.resolve(into.subarray(0, count));
  };

  readonly #cannotRead = (cause: unknown): void => {
    this.#isReading = false;
    this.#into = this.#buffer;
    const error = new ConnectionLost("Cannot read: the connection was lost", { cause });
    const receiver = this.#receiver;
    if (receiver !== null) {
      this.#receiver = null;
      return receiver.lost(error);
    }
    const promised = this.#promised!;
    this.#promised = null;
    promised.reject(error);
  };

  /** Delivers the next read to `receiver`, unless `read()` is called first. */
  receive(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#waitForEndOfTurn();
  }

  /** Like `receive()`, but reads at once, and into `view` if no read is under way. */
  receiveInto(view: Uint8Array, receiver: Receiver): void {
    this.#receiver = receiver;
    if (!this.#isReading) this.#read(view);
  }

  /** Leaves the bytes of the last read intact for whoever holds them: the next read uses another buffer. */
  keepBuffer(): void {
    if (!this.#isReading) this.#into = this.#buffer = new Uint8Array(this.#idleSize);
  }

  /**
   * Whether the buffer of a pending read can be taken away: that of a system read can, an in-memory one's
   * cannot.
   */
  get canKeepTarget(): boolean {
    return this.#rid >= 0;
  }

  /** Takes the buffer of a pending read away from its owner by transferring it. */
  keepTarget(): void {
    const into = this.#into;
    if (!this.#isReading || into === this.#buffer || !this.canKeepTarget) return;
    const { byteOffset, length } = into;
    try {
      this.#into = new Uint8Array((into.buffer as ArrayBuffer).transfer(), byteOffset, length);
    } catch {
      // The buffer of a WebAssembly.Memory cannot be transferred.
    }
  }

  /**
   * Reads what is available, at least one byte; empty at the end of the stream. The next read overwrites the
   * bytes. A waiting receiver is no longer notified.
   *
   * Rejects with {@linkcode ConnectionLost}.
   */
  read(): Promise<Uint8Array> {
    if (this.#promised === null) {
      this.#receiver = null;
      this.#promised = Promise.withResolvers();
      if (!this.#isReading) this.#read(this.#buffer);
    }
    return this.#promised.promise;
  }

  /**
   * When the first of the sockets waiting for the end of this turn, or else of the last one, began to wait.
   */
  static get waitingSince(): number {
    return waitingSince;
  }

  #waitForEndOfTurn(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const others = waiting.length;
    if (others === 0) {
      waitingSince = Date.now();
      DONE.then(Socket.#endTurn);
    } else if (
      (others < LOOK_EVERY || others % LOOK_EVERY === 0) && Date.now() - waitingSince >= WAIT_MAX
    ) {
      Socket.#endTurn();
      waitingSince = Date.now();
    }
    waiting.push(this);
  }

  static #endTurn(this: void): void {
    const sockets = waiting;
    waiting = [];
    for (let i = 0; i < sockets.length; i++) {
      const socket = sockets[i];
      socket.#isWaiting = false;
      socket.flush();
    }
    for (let i = 0; i < sockets.length; i++) {
      const socket = sockets[i];
      if (socket.#receiver !== null && !socket.#isReading) socket.#read(socket.#buffer);
    }
  }

  /**
   * Queues bytes to be written. Of large arrays, only the beginning is copied.
   *
   * @param isOurs Whether nobody else holds the buffer. Up to {@linkcode OWN_COPY_MAX} bytes are copied; a
   * larger buffer is freed as soon as it is written, without waiting for garbage collection.
   */
  write(bytes: Uint8Array, isOurs = false): void {
    const { length } = bytes;
    if (length === 0 || this.#isClosed) return;
    if (length > COPY_MAX) {
      if (!isOurs) return this.#writeLarge(bytes, null);
      if (length > OWN_COPY_MAX) return this.#writeLarge(bytes, new GivenBuffer(bytes));
      return this.#gather([bytes], length, gathered);
    }
    const at = this.reserve(length);
    area.bytes.set(bytes, at);
    this.append(at + length);
  }

  #writeLarge(bytes: Uint8Array, memory: Memory | null): void {
    let rest = bytes;
    // Clients that read nothing must not make this hold more areas than the pool keeps.
    if (this.#area !== null && !beginnings.isExhausted) {
      const beginning = bytes.subarray(0, COPIED_BEGINNING);
      this.#gather([beginning], beginning.length, beginnings);
      rest = bytes.subarray(beginning.length);
      if (rest.length === 0) return memory?.release();
    }
    this.queued += rest.length;
    this.#closePiece();
    this.#queue.push({ bytes: rest, memory });
  }

  /**
   * Reserves room for `size` bytes in an array to be written to directly: `target`, until the next call.
   *
   * @returns The offset of the first byte.
   */
  reserve(size: number): number {
    if (area.used + size > AREA) {
      area.release();
      area = areas.take();
    }
    return area.used;
  }

  /** The array in which `reserve()` found room. */
  get target(): Uint8Array {
    return area.bytes;
  }

  /** Queues the bytes written from where `reserve()` said up to `end`. */
  append(end: number): void {
    if (this.#isClosed) return;
    const start = area.used;
    this.queued += end - start;
    // Pieces of other connections may follow ours in the area.
    if (this.#area !== area || this.#end !== start) {
      this.#closePiece();
      area.pieces++;
      this.#area = area;
      this.#start = start;
    }
    this.#end = area.used = end;
  }

  /**
   * Queues parts that belong together. They are written at once, together with what was queued before, up to
   * {@linkcode GATHERED_MAX} bytes.
   *
   * @returns Whether the parts were copied; if not, their arrays must not change until everything is written.
   */
  writeTogether(parts: Uint8Array[]): boolean {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const isTooLong = length > GATHERED_MAX;
    if ((this.#area === null && length <= COPY_MAX) || isTooLong) {
      for (const part of parts) this.write(part);
      return !isTooLong;
    }
    if (this.#isClosed) return true;
    // Copying them costs less than more writes.
    this.#gather(parts, length, gathered);
    return true;
  }

  /**
   * An unshared area with room for `length` bytes behind the piece being collected: the current one, or one
   * of `pool`.
   */
  #ownArea(pool: AreaPool, length: number): Area {
    const before = this.#area;
    if (before !== null && !before.pool.isShared && this.#end + length <= before.bytes.length) {
      return before;
    }
    const own = pool.take();
    if (before !== null && this.#end - this.#start + length <= pool.size) {
      own.append(before.bytes.subarray(this.#start, this.#end));
      before.release();
    } else {
      this.#closePiece();
    }
    this.#area = own;
    this.#start = 0;
    return own;
  }

  /** Appends `parts`, `length` bytes in all, to the piece being collected, in an area of `pool`. */
  #gather(parts: Uint8Array[], length: number, pool: AreaPool): void {
    const own = this.#ownArea(pool, length);
    for (const part of parts) own.append(part);
    this.#end = own.used;
    this.queued += length;
  }

  /** Moves the piece being collected, if any, to the queue. */
  #closePiece(): void {
    const area = this.#area;
    if (area === null) return;
    this.#queue.push({ bytes: area.bytes.subarray(this.#start, this.#end), memory: area });
    this.#area = null;
  }

  /** Like `flush()`, but at the end of the current turn of the event loop. */
  flushSoon(): void {
    if (this.#writing === null) this.#waitForEndOfTurn();
  }

  /** Begins to write what is queued, and continues until the queue is empty. */
  flush(): void {
    if (this.#writing === null && !this.#isClosed) this.#writeNext();
  }

  #writeNext(): void {
    // It is nearly always empty, and `shift()` is a call even then.
    const piece = this.#queue.length === 0 ? undefined : this.#queue.shift();
    const area = this.#area;
    if (piece !== undefined) {
      this.#writingMemory = piece.memory;
      return this.#write(piece.bytes);
    }
    if (area !== null) {
      this.#area = null;
      this.#writingMemory = area;
      return this.#write(area.view(this.#start, this.#end));
    }
    this.#writing = null;
    this.writeDeadline = NEVER;
    this.#drained?.resolve();
    this.#drained = null;
  }

  #write(bytes: Uint8Array): void {
    // Empty arrays are never queued: this one belongs to the caller, who has transferred its buffer.
    if (bytes.length === 0) return this.#failed(this.#transferred(TRANSFERRED_SEND));
    this.#writing = bytes;
    this.writeDeadline = this.#clock.after(this.#settings.writeTimeout);
    (this.#rid < 0 ? this.conn.write(bytes) : operations!.write(this.#rid, bytes)).then(
      this.#wrote,
      this.#failed,
    );
  }

  readonly #wrote = (count: number): void => {
    const bytes = this.#writing!;
    const isWhole = count === bytes.length;
    if (isWhole || this.#isClosed) this.#writingMemory?.release();
    if (this.#isClosed) return;
    this.queued -= count;
    if (isWhole) this.#writeNext();
    else if (bytes.length === 0) this.#failed(this.#transferred(TRANSFERRED_SEND));
    else this.#write(bytes.subarray(count));
  };

  /** Reports a mistake in the handler: it transferred the buffer of an array that it had passed in. */
  #transferred(message: string): TypeError {
    const error = new TypeError(message);
    report(this.#settings, { level: "error", message: "Cannot complete a body", error, ctx: null });
    return error;
  }

  readonly #failed = (cause: unknown): void => {
    this.#writingMemory?.release();
    this.#cause = cause;
    this.close();
  };
  #cause: unknown = undefined;

  /**
   * Resolves when the queue is empty, including what is queued meanwhile.
   *
   * Rejects with {@linkcode ConnectionLost} if it cannot be written.
   */
  drained(): Promise<void> {
    if (this.#isClosed) return Promise.reject(this.#lost());
    this.flush();
    if (this.#writing === null) return DONE;
    return (this.#drained ??= Promise.withResolvers()).promise;
  }

  #lost(): ConnectionLost {
    return new ConnectionLost("Cannot write: the connection was lost", { cause: this.#cause });
  }

  /**
   * Ends the connection with a lingering close, so that the peer can read what was sent: closing with unread
   * bytes would reset the connection and lose the last response (RFC 9112 9.6). Until the peer stops sending,
   * what arrives is read and dropped.
   *
   * @param quiet Maximum number of milliseconds without a byte.
   * @param most Maximum number of milliseconds in all.
   */
  async linger(quiet: number, most: number): Promise<void> {
    if (this.#isClosed) return;
    const close = (): void => this.close();
    const end = performance.now() + most;
    let timer = setTimeout(close, quiet);
    try {
      await this.conn.closeWrite();
      // A client that keeps sending would postpone the timer again and again, even when it is due.
      while ((await this.read()).length > 0 && performance.now() < end) {
        clearTimeout(timer);
        timer = setTimeout(close, Math.max(0, Math.min(quiet, end - performance.now())));
      }
    } catch {
      // The connection is lost, or the time is up.
    } finally {
      clearTimeout(timer);
      this.close();
    }
  }

  /** Hands the connection over: it is not touched here any more. */
  handOver(): Deno.Conn {
    this.isHandedOver = true;
    return this.conn;
  }

  /** Closes the connection at once. */
  close(): void {
    if (this.#isClosed || this.isHandedOver) return;
    this.#isClosed = true;
    // The area of a write under way is released when that ends.
    this.#area?.release();
    for (const { memory } of this.#queue) memory?.release();
    this.#area = null;
    this.#queue.length = this.queued = 0;
    this.writeDeadline = NEVER;
    this.#closeConn();
    this.#drained?.promise.catch(() => {});
    this.#drained?.reject(this.#lost());
  }

  /** Closes the connection at once, even if it was handed over. */
  cut(): void {
    if (this.isHandedOver) this.#closeConn();
    else this.close();
  }

  #closeConn(): void {
    try {
      this.conn.close();
    } catch {
      // It was already closed from outside.
    }
  }
}

/** Memory that can be reused when the bytes in it have been written. */
interface Memory {
  release(): void;
}

/** A buffer that nobody else holds. */
class GivenBuffer implements Memory {
  readonly #buffer: ArrayBufferLike;

  constructor({ buffer }: Uint8Array) {
    this.#buffer = buffer;
  }

  release(): void {
    if (this.#buffer instanceof ArrayBuffer) this.#buffer.transfer(0);
  }
}

/** Bytes to be written, and their memory if that is ours. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly memory: Memory | null;
}

const TRANSFERRED_READ = "Cannot read the whole body: its buffer was transferred during the read";
const TRANSFERRED_SEND =
  "Cannot send the whole body: its buffer was transferred before all of it was sent";

const DONE = Promise.resolve();
