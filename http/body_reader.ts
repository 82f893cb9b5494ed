// Reads the body of a request from its connection: part by part as the handler asks for it, with a timeout
// for each part, or to be dropped.

import * as h11 from "../h11.ts";
import { BodyBuffer } from "./body_buffer.ts";
import { NEVER } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { HTTPError } from "./http_error.ts";
import { BODY_RATE_AFTER, LEAST_BODY_RATE } from "./options.ts";
import type { ConnectionLost, Receiver } from "./socket.ts";

const NO_BYTES = new Uint8Array(0);
const NO_TRAILERS = new h11.Headers();

/** The view to read into, or that was read; null for none. */
export type View = Uint8Array<ArrayBuffer> | null;

/**
 * A read that waits for a part: the view it wants filled, and whether the socket may read into that directly.
 */
interface Waiting extends PromiseWithResolvers<View> {
  readonly exchange: Exchange;
  readonly view: View;
  readonly isDirect: boolean;
}

/** Reads the bodies of a connection's requests, one after another. */
export class BodyReader implements Receiver {
  readonly #connection: Connection;
  readonly #buffer = new BodyBuffer();
  /** A part that nobody has taken yet: it came with the head, or did not fit into the reader's view. */
  #part: Uint8Array | null = null;
  /** The protocol error that follows that part. */
  #error: unknown = null;
  /** Why nothing more of the body is read. */
  #failure: HTTPError | ConnectionLost | null = null;
  /** The trailer section behind the body, for whoever reads the body to its end. */
  #trailers: h11.Headers | null = null;
  /** Bytes consumed for body events: the body itself, and the framing of everything after the first part. */
  #received = 0;
  /** Milliseconds spent waiting for them. */
  #waited = 0;
  #waitingSince = 0;
  /** The time by which an awaited part must arrive. */
  #deadline = NEVER;
  #waiting: Waiting | null = null;
  /** The buffer of a pending socket read for a body; null while there is none. */
  #room: Uint8Array | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The body has begun: its first part arrived with the head. */
  begin(part: Uint8Array): void {
    this.#part = part;
    this.#received = part.length;
  }

  /** The body has ended: only its trailers are left to read. */
  finish(trailers: h11.Headers): void {
    this.#trailers = trailers;
  }

  /** What comes next is malformed; the error is thrown to whoever reads it. */
  fail(error: unknown): void {
    this.#error = error;
  }

  /** Whether a read of this exchange's body is waiting for the client. */
  isWaitingFor(exchange: Exchange): boolean {
    return this.#waiting?.exchange === exchange;
  }

  /** Whether a reader is waiting, or a socket read for a body is under way. */
  get isReading(): boolean {
    return this.#waiting !== null || this.#room !== null;
  }

  /** The exchange is over: no more of its body is read. */
  end(): void {
    // A pending socket read no longer belongs to a body.
    this.#room = null;
    this.#rejectWaiting(exchangeOver);
    this.#part = this.#trailers = null;
    this.#error = this.#failure = null;
    this.#received = this.#waited = 0;
    this.#buffer.release();
  }

  /**
   * Ends the wait for a part. Bytes that arrive later go to a buffer that nobody else can see.
   *
   * @param reason Creates the error, if a reader is waiting: doing so always would take longer than all other
   * work at the end of a body.
   */
  #rejectWaiting(reason: () => Error): void {
    this.#connection.socket.keepTarget();
    this.#stopWaiting()?.reject(reason());
  }

  /** Whether the client has kept a reader waiting for too long, or sends too slowly. */
  isLate(now: number): boolean {
    if (this.#deadline === NEVER) return false;
    const waited = this.#waited + now - this.#waitingSince;
    const received = this.#received + this.#connection.protocol.bufferedSize;
    return now >= this.#deadline ||
      (waited > BODY_RATE_AFTER && received < waited / 1000 * LEAST_BODY_RATE);
  }

  /** Rejects the waiting read with `error`, and all later reads of the body as well. */
  giveUp(error: HTTPError | ConnectionLost): void {
    this.#failure = error;
    this.#rejectWaiting(() => error);
  }

  /** Cancels the exchange's waiting read. What arrives later stays with the protocol. */
  cancel(exchange: Exchange): void {
    if (!this.isWaitingFor(exchange)) return;
    this.#rejectWaiting(() => new DOMException("The body is no longer needed", "AbortError"));
  }

  /** Whether the rest of the body has arrived. It can still be read. */
  hasRest(): boolean {
    const { protocol } = this.#connection;
    const first = this.#part ?? NO_BYTES;
    // Copied: once the body has ended, the next read of the socket overwrites its bytes.
    const place = new Uint8Array(first.length + protocol.bufferedSize);
    place.set(first);
    const part = this.#gather(first, place);
    this.#part = part.length > 0 ? part : null;
    return protocol.theirState !== h11.SEND_BODY;
  }

  /**
   * The whole body, if it arrived complete and none of it was read; the bytes are valid until the caller
   * returns.
   */
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
   * Reads the next part of the body: into the beginning of `view` if there is one, otherwise into a buffer of
   * its own; null at the end. Returns a promise if the part has to be waited for.
   *
   * No other read may be waiting.
   *
   * @param view Must not be empty.
   * @param isDirect Whether the socket may read into `view`. If the promise rejects while such a read is
   * pending, the buffer of `view` is taken away.
   * @throws {TypeError} The exchange is over.
   * @throws {HTTPError} The body is malformed.
   */
  read(exchange: Exchange, view: View, isDirect: boolean): View | Promise<View> {
    const part = this.#next(exchange, view);
    if (part !== undefined) return part;
    const waiting = Object.assign(Promise.withResolvers<View>(), { exchange, view, isDirect });
    this.#wait(waiting);
    return waiting.promise;
  }

  /** Like `read()`, but returns undefined if more has to arrive first. */
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
        if (typeof event === "string") return undefined;
        if (event.type === "Data") {
          const { data } = event;
          // In place: what follows comes from farther back in the same buffer, and nobody holds what is
          // overwritten, the framing and data that were consumed.
          return this.#give(this.#gather(data, new Uint8Array(data.buffer, data.byteOffset)), view);
        }
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

  /** The next event of the body, with the bytes it consumed counted. */
  #nextEvent(): ReturnType<h11.Connection["nextEvent"]> {
    const { protocol } = this.#connection;
    const { bufferedSize } = protocol;
    const event = protocol.nextEvent();
    this.#received += bufferedSize - protocol.bufferedSize;
    return event;
  }

  /**
   * `first`, joined with the data that arrived together with it.
   *
   * @param place Begins with `first`, and has room for that data.
   */
  #gather(first: Uint8Array, place: Uint8Array): Uint8Array {
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

  /** The part as its reader gets it: in `view`, or in a buffer of its own. */
  #give(part: Uint8Array, view: View): Uint8Array<ArrayBuffer> {
    this.#part = null;
    // Buffered bytes may share its buffer.
    if (view === null) {
      return this.#buffer.own(part, this.#connection.protocol.bufferedSize === 0);
    }
    if (part.length > view.length) this.#part = part.subarray(view.length);
    const given = view.subarray(0, part.length);
    if (part.buffer !== view.buffer) given.set(part.subarray(0, given.length));
    return given;
  }

  /** Makes `waiting` wait for what the client sends next. */
  #wait(waiting: Waiting): void {
    const { ahead, host: { clock, settings }, socket } = this.#connection;
    if (this.#room === null) {
      if (ahead !== null) ahead.then(this.#goOn);
      else socket.receiveInto(this.#room = this.#makeRoom(waiting), this);
    }
    this.#waiting = waiting;
    this.#waitingSince = clock.now;
    this.#deadline = clock.after(settings.bodyTimeout);
  }

  /** The buffer for a socket read: the reader's own view if that cannot receive more than the body. */
  #makeRoom({ exchange, view, isDirect }: Waiting): Uint8Array {
    const { contentLength } = exchange.request;
    // A read of a chunked body may bring more than the view holds, and its framing as well.
    if (contentLength === null) return this.#buffer.room(Infinity);
    const left = contentLength - this.#received;
    return view !== null && isDirect ? view.subarray(0, left) : this.#buffer.room(left);
  }

  received(buffer: Uint8Array, count: number): void {
    const room = this.#room;
    // The exchange is over, and the connection is ending.
    if (room === null) return;
    this.#room = null;
    this.#buffer.adapt(count, room);
    const connection = this.#connection;
    connection.protocol.receiveData(buffer, count);
    // Reported before the read rejects: the read's error alone does not show that the client has
    // disconnected.
    if (count === 0) connection.tellEnd();
    this.#goOn();
  }

  lost(error: ConnectionLost): void {
    this.#room = null;
    this.#connection.tellLoss();
    this.giveUp(error);
  }

  /** The protocol has more data: gives the waiting reader its part, or makes it wait on. */
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

  /** @returns The reader that was waiting until now. */
  #stopWaiting(): Waiting | null {
    const waiting = this.#waiting;
    if (waiting === null) return null;
    this.#waiting = null;
    this.#waited += this.#connection.host.clock.now - this.#waitingSince;
    this.#deadline = NEVER;
    return waiting;
  }
}

function exchangeOver(): TypeError {
  return new TypeError(
    "Cannot read the request body: the exchange is over; read it before the response ends",
  );
}
