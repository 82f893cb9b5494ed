// A socket as a connection uses it: reads into as little memory as it can, and writes what has been
// queued in as few writes as it can.
//
// A read of the system cannot be taken back. So at most one is under way, and whoever wants more while it
// is gets what it brings.

import { type Area, AreaPool } from "./area.ts";
import type { Clock } from "./clock.ts";
import { logError } from "./log.ts";
import { hasEnded, operations, ridOf } from "./operations.ts";
import { haveLooked, lookIfLong } from "./turn.ts";

/** An idle connection keeps a buffer of this size, which most heads fit in. */
const IDLE_BUFFER = 1024;
/** One whose client sends more at a time keeps a buffer of this size. */
const LARGE_IDLE_BUFFER = 4 * 1024;
/** What did not fit in is read on into a buffer of this size. */
const HEAD_BUFFER = 16 * 1024;
/** Pieces up to this size are copied, to be written together with what comes before and after. */
export const COPY_MAX: number = 16 * 1024;
/** As `COPY_MAX`, for pieces whose memory can be used again when they are copied. */
export const OWN_COPY_MAX: number = 128 * 1024;
/**
 * So much of a larger one is copied behind what comes before it, a head mostly: who gets a head alone is woken
 * for that, and waits for the rest (1 MiB from memory: a quarter more responses per second).
 */
const COPIED_BEGINNING = 64 * 1024;

/** Bytes of the area for the small pieces of all connections. */
const AREA = 64 * 1024;
const areas = new AreaPool(AREA, true);
let area = areas.take();

/**
 * Bytes that are put together for one write at most: four parts of 64 KiB, and what frames them. More parts
 * in one write cost less, and are held for a client that reads nothing.
 */
export const GATHERED_MAX: number = 256 * 1024 + 512;

/** For what is put together. */
const gathered = new AreaPool(GATHERED_MAX);
/** For heads and the beginnings of their bodies. */
const beginnings = new AreaPool(COPIED_BEGINNING + 4 * 1024);

/** The connection is gone: the peer closed or reset it, or we closed it. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** Why the signal of an event is aborted whose client has left. */
export class ClientLeft extends DOMException {
  constructor() {
    super("The client has left", "AbortError");
  }
}

/** Who is told what comes, without a promise for each read. Its methods must not throw. */
export interface Receiver {
  /** So many bytes have come, at the beginning of `buffer`, until the next read; 0 at the end of the stream. */
  received(buffer: Uint8Array, count: number): void;
  /** Nothing can be read any more. */
  lost(error: ConnectionLost): void;
}

/**
 * Those that write, and then read, at the end of this turn of the event loop. Its beginning brings what has
 * come over many connections; one after the other is answered, then all is written, then all are read. Code
 * that runs again at once is still in the caches of the processor, which each call of the system empties.
 */
let waiting: Socket[] = [];
let waitingSince = 0;
/**
 * Milliseconds that they wait for each other: handlers may take long. The clock is checked for the first few
 * sockets, which are all of them where handlers are slow, and then for every fourth.
 */
const WAIT_MAX = 2;
const LOOK_EVERY = 4;

/** Reads from and writes to a connection. */
export class Socket {
  readonly conn: Deno.Conn;
  /** What operations know the connection by; -1 where it has to be read by its own method. */
  readonly #rid: number;
  readonly #clock: Clock;
  readonly #writeTimeout: number;
  /** When the peer must have taken some of what was written; 0 while nothing waits for it. */
  writeDeadline = 0;
  #buffer = new Uint8Array(IDLE_BUFFER);
  #idleSize = IDLE_BUFFER;
  /** Whether a read of the system is under way. */
  #isReading = false;
  /** The last read, or the one under way, has ended at once: the next one may, too. */
  #isAtOnce = false;
  /** The last read has taken all that it had room for: the next one may end at once. */
  #isFilled = false;
  /** What it reads into. */
  #into: Uint8Array = this.#buffer;
  /** Its operation, or that of the last read; null before it begins. */
  #operation: Promise<number | null> | null = null;
  /** Who is told what it brings, where that was not promised. */
  #receiver: Receiver | null = null;
  #promised: PromiseWithResolvers<Uint8Array> | null = null;
  /** Whether it is among those that wait for the end of the turn. */
  #isWaiting = false;
  #isRef = true;
  /** Bytes that wait to be written. */
  queued = 0;
  readonly #queue: Piece[] = [];
  // The piece that is being collected, after those of the queue: where it stands in its area.
  #area: Area | null = null;
  #start = 0;
  #end = 0;
  /** What is being written, and the memory it stands in, if that is ours. */
  #writing: Uint8Array | null = null;
  #writingMemory: Memory | null = null;
  #drained: PromiseWithResolvers<void> | null = null;
  #isClosed = false;
  /** Somebody else has the connection, and what a read brings that is under way. */
  isHandedOver = false;

  /** @param writeTimeout Milliseconds that a write may make no progress, 0 for no limit. */
  constructor(conn: Deno.Conn, clock: Clock, writeTimeout: number) {
    this.conn = conn;
    this.#rid = ridOf(conn);
    this.#clock = clock;
    this.#writeTimeout = writeTimeout;
  }

  /** Whether nothing can be written any more. */
  get isLost(): boolean {
    return this.#isClosed;
  }

  /** Sets whether reading the connection keeps the process alive; it does if nothing was set. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    // Those of TLS have none.
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
    const look = this.#isAtOnce || this.#isFilled ? lookIfLong() : null;
    if (look === null) return this.#beginOperation();
    this.#operation = null;
    look.then(() => this.#beginOperation());
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
    if (!this.#isAtOnce && !this.#isFilled) haveLooked();
    this.#isFilled = count === into.length;
    if (into.length < count) {
      this.close();
      return this.#cannotRead(transferred(TRANSFERRED_READ));
    }
    const buffer = this.#buffer;
    if (into === buffer) {
      // Where a read fills the buffer more is waiting. An idle connection goes back to a small one.
      const isFilled = count === buffer.length;
      if (isFilled) this.#idleSize = LARGE_IDLE_BUFFER;
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
    const error = new ConnectionLost("Cannot read: the connection is gone", { cause });
    const receiver = this.#receiver;
    if (receiver !== null) {
      this.#receiver = null;
      return receiver.lost(error);
    }
    const promised = this.#promised!;
    this.#promised = null;
    promised.reject(error);
  };

  /** Has `receiver` told of what comes next, unless it is read otherwise before. */
  receive(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#waitForEndOfTurn();
  }

  /** As `receive`, at once and into `view`, where no read is under way. */
  receiveInto(view: Uint8Array, receiver: Receiver): void {
    this.#receiver = receiver;
    if (!this.#isReading) this.#read(view);
  }

  /** Leaves what was read as it is, for as long as somebody holds it: the next read goes to another buffer. */
  keepBuffer(): void {
    if (!this.#isReading) this.#into = this.#buffer = new Uint8Array(this.#idleSize);
  }

  /** Whether a buffer that is read into can be taken away: reads are the system's, and not of a connection in memory. */
  get canKeepTarget(): boolean {
    return this.#rid >= 0;
  }

  /** Takes what the read that is under way reads into away from who has it: the buffer is transferred. */
  keepTarget(): void {
    const into = this.#into;
    if (!this.#isReading || into === this.#buffer || !this.canKeepTarget) return;
    const { byteOffset, length } = into;
    try {
      this.#into = new Uint8Array((into.buffer as ArrayBuffer).transfer(), byteOffset, length);
    } catch {
      // That of a WebAssembly.Memory stays.
    }
  }

  /**
   * Reads what there is, at least one byte; empty at the end of the stream. The bytes are overwritten by
   * the next read. Where a receiver waits, it is told no more.
   *
   * It rejects with {@linkcode ConnectionLost}.
   */
  read(): Promise<Uint8Array> {
    if (this.#promised === null) {
      this.#receiver = null;
      this.#promised = Promise.withResolvers();
      if (!this.#isReading) this.#read(this.#buffer);
    }
    return this.#promised.promise;
  }

  /** When the first of those that wait for the end of this turn was answered, or of the last turn. */
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
   * Queues bytes to be written. Of large ones no more than the beginning is copied.
   *
   * @param isOurs Nobody else has their buffer. Up to {@linkcode OWN_COPY_MAX} they are copied; the memory of more
   * is free when they are written, and does not wait to be collected as garbage.
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
    // For clients that take nothing, no more is held than the pool keeps areas.
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
   * Finds room for `size` bytes in an array that is to be written to, which is `target` until then.
   *
   * @returns Where they begin.
   */
  reserve(size: number): number {
    if (area.used + size > AREA) {
      area.release();
      area = areas.take();
    }
    return area.used;
  }

  /** What `reserve` found room in. */
  get target(): Uint8Array {
    return area.bytes;
  }

  /** Queues what was written where `reserve` said, up to `end`. */
  append(end: number): void {
    if (this.#isClosed) return;
    const start = area.used;
    this.queued += end - start;
    // Pieces of other connections may stand behind ours.
    if (this.#area !== area || this.#end !== start) {
      this.#closePiece();
      area.pieces++;
      this.#area = area;
      this.#start = start;
    }
    this.#end = area.used = end;
  }

  /**
   * Queues parts that belong together, and with what was queued before: in one write, as far as that has
   * {@linkcode GATHERED_MAX} bytes at most.
   *
   * @returns Whether they were copied: else their arrays must stay as they are until all is written.
   */
  writeTogether(parts: Uint8Array[]): boolean {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const isTooLong = length > GATHERED_MAX;
    if ((this.#area === null && length <= COPY_MAX) || isTooLong) {
      for (const part of parts) this.write(part);
      return !isTooLong;
    }
    if (this.#isClosed) return true;
    // To copy them costs less than more writes.
    this.#gather(parts, length, gathered);
    return true;
  }

  /** An area of ours alone with room for `length` bytes after what is being collected: that, or one of `pool`. */
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

  /** Appends `parts`, of `length` bytes together, to what is being collected, in an area of `pool`. */
  #gather(parts: Uint8Array[], length: number, pool: AreaPool): void {
    const own = this.#ownArea(pool, length);
    for (const part of parts) own.append(part);
    this.#end = own.used;
    this.queued += length;
  }

  /** Moves the piece that is being collected, if there is one, into the queue. */
  #closePiece(): void {
    const area = this.#area;
    if (area === null) return;
    this.#queue.push({ bytes: area.bytes.subarray(this.#start, this.#end), memory: area });
    this.#area = null;
  }

  /** As `flush`, at the end of this turn of the event loop. */
  flushSoon(): void {
    if (this.#writing === null) this.#waitForEndOfTurn();
  }

  /** Begins to write what is queued, and goes on until all is written, also what is queued meanwhile. */
  flush(): void {
    if (this.#writing === null && !this.#isClosed) this.#writeNext();
  }

  #writeNext(): void {
    const piece = this.#queue.shift();
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
    this.writeDeadline = 0;
    this.#drained?.resolve();
    this.#drained = null;
  }

  #write(bytes: Uint8Array): void {
    // Nothing is queued that is empty: it was, or is, an array of the caller's whose buffer was given away.
    if (bytes.length === 0) return this.#failed(transferred(TRANSFERRED_SEND));
    this.#writing = bytes;
    if (this.#writeTimeout > 0) this.writeDeadline = this.#clock.after(this.#writeTimeout);
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
    else if (bytes.length === 0) this.#failed(transferred(TRANSFERRED_SEND));
    else this.#write(bytes.subarray(count));
  };

  readonly #failed = (cause: unknown): void => {
    this.#writingMemory?.release();
    this.#cause = cause;
    this.close();
  };
  #cause: unknown = undefined;

  /**
   * Resolves when all that is queued is written, also what is queued meanwhile.
   *
   * It rejects with {@linkcode ConnectionLost} where that cannot be.
   */
  drained(): Promise<void> {
    if (this.#isClosed) return Promise.reject(this.#lost());
    this.flush();
    if (this.#writing === null) return DONE;
    return (this.#drained ??= Promise.withResolvers()).promise;
  }

  #lost(): ConnectionLost {
    return new ConnectionLost("Cannot write: the connection is gone", { cause: this.#cause });
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
      // One that always sends at once would have the timer put off again and again, also as that is due.
      while ((await this.read()).length > 0 && performance.now() < end) {
        clearTimeout(timer);
        timer = setTimeout(close, Math.max(0, Math.min(quiet, end - performance.now())));
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
    this.isHandedOver = true;
    return this.conn;
  }

  /** Closes the connection at once. */
  close(): void {
    if (this.#isClosed || this.isHandedOver) return;
    this.#isClosed = true;
    // An area that a write under way still stands in is left to it.
    this.#area?.release();
    for (const { memory } of this.#queue) memory?.release();
    this.#area = null;
    this.#queue.length = this.queued = this.writeDeadline = 0;
    this.#closeConn();
    this.#drained?.promise.catch(() => {});
    this.#drained?.reject(this.#lost());
  }

  /** Closes the connection at once, also where somebody else has it. */
  cut(): void {
    if (this.isHandedOver) this.#closeConn();
    else this.close();
  }

  #closeConn(): void {
    try {
      this.conn.close();
    } catch {
      // It was closed from outside.
    }
  }
}

/** Memory that can be used again when what stands in it is written. */
interface Memory {
  release(): void;
}

/** A buffer that nobody else has. */
class GivenBuffer implements Memory {
  readonly #buffer: ArrayBufferLike;

  constructor({ buffer }: Uint8Array) {
    this.#buffer = buffer;
  }

  release(): void {
    if (this.#buffer instanceof ArrayBuffer) this.#buffer.transfer(0);
  }
}

/** Bytes to be written, and the memory they stand in, if that is ours. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly memory: Memory | null;
}

/** What the handler did wrong that gave the array. */
function transferred(message: string): TypeError {
  const error = new TypeError(message);
  logError("Cannot finish with a body:", error);
  return error;
}
const TRANSFERRED_READ =
  "Cannot read the whole body: its buffer was transferred while it was read into";
const TRANSFERRED_SEND =
  "Cannot send the whole body: its buffer was transferred before it was sent";

const DONE = Promise.resolve();
