// The body of a request as it comes over its connection: read in parts when one is asked for, with a limit
// to how long each may take, or dropped.

import * as h11 from "../h11.ts";
import { BodyBuffer } from "./body_buffer.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { HTTPError } from "./http_error.ts";
import { BODY_RATE_AFTER, LEAST_BODY_RATE } from "./options.ts";
import type { ConnectionLost, Receiver } from "./socket.ts";

/** Bytes of an unread body that are read and dropped, so that the connection can be used again. */
const DRAIN_MAX = 64 * 1024;

const NO_TRAILERS = new h11.Headers();

/** What is read into, or was read; null for none. */
export type View = Uint8Array<ArrayBuffer> | null;

/** A reader that waits for a part, where it wants it, and whether the socket may read into that. */
interface Waiting extends PromiseWithResolvers<View> {
  readonly exchange: Exchange;
  readonly view: View;
  readonly isDirect: boolean;
}

/** Reads the bodies of a connection's requests, one after the other. */
export class BodyReader implements Receiver {
  readonly #connection: Connection;
  readonly #buffer = new BodyBuffer();
  /** A part that was read and nobody has got: with the head, or more than a reader had room for. */
  #part: Uint8Array | null = null;
  /** What is wrong with what follows that part. */
  #error: unknown = null;
  /** Why nothing more of the body is read. */
  #failure: HTTPError | ConnectionLost | null = null;
  /** What came behind the body, for who reads that to its end. */
  #trailers: h11.Headers | null = null;
  /** Bytes that events of the body were read from: its own, and the framing of those after the first part. */
  #received = 0;
  /** Milliseconds that were spent waiting for them. */
  #waited = 0;
  #waitingSince = 0;
  /** When a part that is waited for must have come; 0 while none is, or where there is no limit. */
  #deadline = 0;
  #waiting: Waiting | null = null;
  /** Where a read of the socket for a body brings what comes, while one is under way. */
  #room: Uint8Array | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** A body has begun, and its first part is there. */
  begin(part: Uint8Array): void {
    this.#part = part;
    this.#received = part.length;
  }

  /** The body has ended, and nothing is left to read but its trailers. */
  finish(trailers: h11.Headers): void {
    this.#trailers = trailers;
  }

  /** What comes next is not as it has to be, which is told to the one who reads it. */
  fail(error: unknown): void {
    this.#error = error;
  }

  /** Whether a read of the exchange's body waits for what the client sends. */
  isWaitingFor(exchange: Exchange): boolean {
    return this.#waiting?.exchange === exchange;
  }

  /** Whether somebody waits for more of a body, or a read of the socket for one is under way. */
  get isReading(): boolean {
    return this.#waiting !== null || this.#room !== null;
  }

  /** The exchange is over: nothing more of its body is read. */
  end(): void {
    this.#leave();
    this.#part = this.#trailers = null;
    this.#error = this.#failure = null;
    this.#received = this.#waited = 0;
    this.#buffer.release();
  }

  /** Whoever waits gets nothing any more, and a read of the socket that is under way is not for a body. */
  #leave(): void {
    this.#room = null;
    this.#rejectWaiting(exchangeOver);
  }

  /**
   * Ends the wait for a part. Bytes that come later go to a buffer that nobody else can see.
   *
   * @param reason Makes the error where somebody waits: that takes longer than all else that a body ends with.
   */
  #rejectWaiting(reason: () => Error): void {
    this.#connection.socket.keepTarget();
    this.#stopWaiting()?.reject(reason());
  }

  /** Whether the client has kept a reader waiting too long, or sends too slowly. */
  isLate(now: number): boolean {
    if (this.#deadline === 0) return false;
    const waited = this.#waited + now - this.#waitingSince;
    const received = this.#received + this.#connection.protocol.bufferedSize;
    return now >= this.#deadline ||
      (waited > BODY_RATE_AFTER && received < waited / 1000 * LEAST_BODY_RATE);
  }

  /** Ends the wait for a part, which rejects with `error`, as what is read of the body after that does. */
  giveUp(error: HTTPError | ConnectionLost): void {
    this.#failure = error;
    this.#rejectWaiting(() => error);
  }

  /** Nobody wants what the exchange waits for any more. What comes stays with the protocol. */
  cancel(exchange: Exchange): void {
    if (!this.isWaitingFor(exchange)) return;
    this.#rejectWaiting(() => new DOMException("The body is not wanted any more", "AbortError"));
  }

  /** Whether what is left of the body is too much to be read and dropped, or may never come. */
  cannotDrain(exchange: Exchange): boolean {
    const length = exchange.request.contentLength ?? 0;
    return this.#connection.protocol.theyAreWaitingFor100Continue ||
      length - this.#received > DRAIN_MAX;
  }

  /** Reads and drops what is left, up to a bound, or until the connection ends. */
  async drain(): Promise<void> {
    const connection = this.#connection;
    // A handler that is over may have left a read under way, which is ours now.
    this.#leave();
    for (let dropped = 0; dropped <= DRAIN_MAX && !connection.isEnding;) {
      const event = connection.protocol.nextEvent();
      if (event === h11.NEED_DATA) await connection.receive();
      else if (event !== h11.PAUSED && event.type === "Data") dropped += event.data.length;
      else break;
    }
  }

  /** All of the body, where it has come whole and nothing was read; bytes that stay until the caller returns. */
  takeWhole(exchange: Exchange): Uint8Array<ArrayBuffer> | null {
    const { protocol } = this.#connection;
    const part = this.#part;
    if (exchange.isOver || part?.length !== exchange.request.contentLength) return null;
    this.#part = null;
    exchange.body.trailers = this.#trailers ?? (protocol.nextEvent() as h11.EndOfMessage).headers;
    this.#connection.readAheadLater();
    return part as Uint8Array<ArrayBuffer>;
  }

  /**
   * The next part of the body: at the beginning of `view`, where there is one, or else in a buffer of its
   * own; null at the end. A promise where it has to be waited for.
   *
   * No other read may wait.
   *
   * @param view Its length is not 0.
   * @param isDirect Whether the socket may read into `view`, whose buffer is taken away where it may still do so
   * when the promise rejects.
   * @throws {TypeError} The exchange is over.
   * @throws {HTTPError} What comes is not as it has to be.
   */
  read(exchange: Exchange, view: View, isDirect: boolean): View | Promise<View> {
    const part = this.#next(exchange, view);
    if (part !== undefined) return part;
    const waiting = Object.assign(Promise.withResolvers<View>(), { exchange, view, isDirect });
    this.#wait(waiting);
    return waiting.promise;
  }

  /** As `read`; undefined where more has to come. */
  #next(exchange: Exchange, view: View): View | undefined {
    const connection = this.#connection;
    const { protocol } = connection;
    if (exchange.isOver) throw exchangeOver();
    if (this.#failure !== null) throw this.#failure;
    if (this.#part !== null) return this.#give(this.#part, view);
    try {
      const error = this.#error;
      this.#error = null;
      if (error !== null) throw error;
      if (protocol.theyAreWaitingFor100Continue) exchange.inviteBody();
      while (protocol.theirState === h11.SEND_BODY) {
        const event = this.#nextEvent();
        if (event === h11.NEED_DATA) return undefined;
        if (event === h11.PAUSED) continue;
        if (event.type === "Data") return this.#give(this.#gather(event.data), view);
        if (event.type === "EndOfMessage") this.finish(event.headers);
      }
    } catch (error) {
      if (!(error instanceof h11.RemoteProtocolError)) throw error;
      connection.countRefusal(error.errorStatusHint, error.message);
      throw new HTTPError(error.errorStatusHint, undefined, { cause: error });
    }
    if (protocol.theirState === h11.ERROR) throw new HTTPError(400);
    exchange.body.trailers ??= this.#trailers ?? NO_TRAILERS;
    this.#buffer.release();
    connection.readAheadLater();
    return null;
  }

  /** The next event of the body, however what it is read from has come. */
  #nextEvent(): ReturnType<h11.Connection["nextEvent"]> {
    const { protocol } = this.#connection;
    const { bufferedSize } = protocol;
    const event = protocol.nextEvent();
    this.#received += bufferedSize - protocol.bufferedSize;
    return event;
  }

  /** `first` with the data of the chunks that came with it, moved together where they stand. */
  #gather(first: Uint8Array): Uint8Array {
    const place = this.#buffer.from(first);
    if (place === null) return first;
    const { protocol } = this.#connection;
    let length = first.length;
    try {
      while (protocol.theirState === h11.SEND_BODY) {
        const event = this.#nextEvent();
        if (typeof event === "string") break;
        if (event.type === "Data") {
          place.set(event.data, length);
          length += event.data.length;
        } else if (event.type === "EndOfMessage") {
          this.finish(event.headers);
        }
      }
    } catch (error) {
      this.#error = error;
    }
    return place.subarray(0, length);
  }

  /** A part as its reader gets it: in `view`, or in a buffer of its own. */
  #give(part: Uint8Array, view: View): Uint8Array<ArrayBuffer> {
    this.#part = null;
    // What is buffered may stand beside it.
    if (view === null) {
      return this.#buffer.own(part, this.#connection.protocol.bufferedSize === 0);
    }
    if (part.length > view.length) this.#part = part.subarray(view.length);
    const given = view.subarray(0, part.length);
    if (part.buffer !== view.buffer) given.set(part.subarray(0, given.length));
    return given;
  }

  /** Has `waiting` wait for what the client sends next. */
  #wait(waiting: Waiting): void {
    const { ahead, host: { clock, settings }, socket } = this.#connection;
    if (this.#room === null) {
      if (ahead !== null) ahead.then(this.#goOn);
      else socket.receiveInto(this.#room = this.#makeRoom(waiting), this);
    }
    this.#waiting = waiting;
    this.#waitingSince = clock.now;
    this.#deadline = settings.bodyTimeout > 0 ? clock.after(settings.bodyTimeout) : 0;
  }

  /** Where the socket reads to: what its reader has brought, as long as that can hold no more than the body. */
  #makeRoom({ exchange, view, isDirect }: Waiting): Uint8Array {
    const { contentLength } = exchange.request;
    // Of chunks more may come than the view takes, and framing with them.
    if (contentLength === null) return this.#buffer.room(Infinity);
    const left = contentLength - this.#received;
    return view !== null && isDirect ? view.subarray(0, left) : this.#buffer.room(left);
  }

  received(buffer: Uint8Array, count: number): void {
    const room = this.#room;
    // The exchange is over, and the connection ends.
    if (room === null) return;
    this.#room = null;
    this.#buffer.adapt(count, room);
    const connection = this.#connection;
    connection.protocol.receiveData(buffer, count);
    // Told before the read rejects: its error alone does not show a client that has left.
    if (count === 0) connection.tellEnd();
    this.#goOn();
  }

  lost(error: ConnectionLost): void {
    this.#room = null;
    this.#connection.tellLoss();
    this.giveUp(error);
  }

  /** The protocol has more: gives the one who waits his part, or has him wait on. */
  readonly #goOn = (): void => {
    const waiting = this.#stopWaiting();
    if (waiting === null) return;
    try {
      const part = this.#next(waiting.exchange, waiting.view);
      if (part === undefined) this.#wait(waiting);
      else waiting.resolve(part);
    } catch (error) {
      waiting.reject(error);
    }
  };

  /** @returns Who has waited until now. */
  #stopWaiting(): Waiting | null {
    const waiting = this.#waiting;
    if (waiting === null) return null;
    this.#waiting = null;
    this.#waited += this.#connection.host.clock.now - this.#waitingSince;
    this.#deadline = 0;
    return waiting;
  }
}

function exchangeOver(): TypeError {
  return new TypeError(
    "Cannot read the request's body: the exchange is over; read it before the response ends",
  );
}
