// One connection: reads requests one after the other, has each of them answered, and writes the answers.
//
// It is one loop with one reader. While an exchange runs, the loop waits for its end, and what is read is
// read for the exchange's body.

import * as h11 from "../h11.ts";
import { Exchange, type ExchangeHost } from "./exchange.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { formatAddr } from "./log.ts";
import { ConnectionLost, Socket } from "./socket.ts";

/** Bytes of an unread body that are read and dropped, so that the connection can be used again. */
const DRAIN_MAX = 64 * 1024;
/** Milliseconds that draining, or a close that lets the client read the last answer, may take. */
const LINGER = 1_000;
/** Answers are held back to be written together up to this many bytes. */
const CORK_MAX = 64 * 1024;

/** What a connection needs of its server. */
export interface ConnectionHost {
  /** The server is stopping. */
  readonly isClosing: boolean;
  /** Limits on what the peer may send. */
  readonly limits: h11.ConnectionOptions;
  /** The most that the buffering readers of a body take. */
  readonly maxBodySize: number;
  /** Has a request answered; returns a promise where that takes time. */
  handle(exchange: Exchange): void | Promise<void>;
  /** Writes a line to the log, if there is one. */
  log(line: string): void;
}

/** One connection of a server. */
export class Connection implements ExchangeHost {
  readonly protocol: h11.Connection;
  readonly socket: Socket;
  readonly #host: ConnectionHost;
  readonly #peer: string;
  #exchange: Exchange | null = null;
  /** A part of the body that was read when the request was. */
  #bodyPart: Uint8Array | null = null;
  isCorked = false;

  constructor(host: ConnectionHost, conn: Deno.Conn) {
    this.#host = host;
    this.socket = new Socket(conn);
    this.#peer = formatAddr(conn.remoteAddr);
    this.protocol = new h11.Connection(h11.SERVER, host.limits);
  }

  get isClosing(): boolean {
    return this.#host.isClosing;
  }

  get maxBodySize(): number {
    return this.#host.maxBodySize;
  }

  /** Takes no more requests: closes now where none is under way, else after its answer. */
  close(): void {
    if (this.#exchange === null) this.socket.close();
  }

  /** Ends the connection at once. */
  abort(reason: unknown): void {
    this.#exchange?.event?.abort(reason);
    this.socket.close();
  }

  /** Serves the connection until it ends; never rejects. */
  async serve(): Promise<void> {
    try {
      await this.#serve();
    } catch (error) {
      if (!(error instanceof ConnectionLost)) {
        console.error(`Cannot go on with the connection of ${this.#peer}:`, error);
      }
    } finally {
      this.socket.close();
    }
  }

  async #serve(): Promise<void> {
    const { protocol, socket } = this;
    for (;;) {
      let request: ReturnType<h11.Connection["nextEvent"]>;
      try {
        request = protocol.nextEvent();
        if (request === h11.NEED_DATA) {
          await socket.flush();
          protocol.receiveData(await socket.read());
          continue;
        }
        if (request === h11.PAUSED || request.type !== "Request") break;
        this.#readOn();
      } catch (error) {
        return await this.#refuse(error);
      }
      const exchange = new Exchange(this, request);
      this.#exchange = exchange;
      this.isCorked = true;
      const running = this.#host.handle(exchange);
      if (running !== undefined || socket.queued > CORK_MAX) {
        this.isCorked = false;
        socket.flush().catch(() => {});
        await running;
      }
      this.isCorked = false;
      exchange.isOver = true;
      this.#log(exchange);
      if (!this.#isReusable() && !await this.#drain()) return await this.#end();
      this.#exchange = null;
      if (this.isClosing) return await this.#end();
      protocol.startNextCycle();
    }
    await socket.flush();
  }

  /** Reads what comes right after a head: the end of a request without a body, or its first part. */
  #readOn(): void {
    const event = this.protocol.nextEvent();
    this.#bodyPart = typeof event === "object" && event.type === "Data" ? event.data : null;
  }

  #isReusable(): boolean {
    const { ourState, theirState } = this.protocol;
    return ourState === h11.DONE && theirState === h11.DONE && !this.socket.isLost;
  }

  /** Reads and drops what is left of a body. @returns Whether the connection can be used again. */
  async #drain(): Promise<boolean> {
    const { protocol, socket } = this;
    // A client that waits for a 100 that it never got may send the body, or not.
    const mayGoOn = protocol.ourState === h11.DONE && protocol.theirState === h11.SEND_BODY &&
      !protocol.theyAreWaitingFor100Continue && !socket.isLost;
    if (!mayGoOn) return false;
    await socket.flush();
    const timer = setTimeout(() => socket.close(), LINGER);
    try {
      for (let dropped = this.#bodyPart?.length ?? 0; dropped <= DRAIN_MAX;) {
        const event = protocol.nextEvent();
        if (event === h11.NEED_DATA) protocol.receiveData(await socket.read());
        else if (event === h11.PAUSED) return false;
        else if (event.type === "Data") dropped += event.data.length;
        else break;
      }
    } catch (error) {
      if (error instanceof h11.RemoteProtocolError) return false;
      throw error;
    } finally {
      clearTimeout(timer);
      this.#bodyPart = null;
    }
    return this.#isReusable();
  }

  /** Ends the connection after its last answer. */
  async #end(): Promise<void> {
    const { protocol, socket } = this;
    if (socket.isLost) return;
    await socket.flush();
    // Where the peer has nothing more to say it has not to be listened to.
    if (protocol.theirState === h11.CLOSED) return;
    await socket.linger(LINGER);
  }

  /** Answers what is not HTTP/1.1 with the status that fits, and ends the connection. */
  async #refuse(error: unknown): Promise<void> {
    if (!(error instanceof h11.RemoteProtocolError)) throw error;
    const { protocol, socket } = this;
    const { errorStatusHint: statusCode, message } = error;
    this.#host.log(`WARNING: ${this.#peer} - refused with ${statusCode}: ${message}`);
    if (protocol.ourState === h11.IDLE || protocol.ourState === h11.SEND_RESPONSE) {
      const reason = reasonPhrase(statusCode);
      const headers: [string, string][] = [
        ["Content-Type", "text/plain; charset=utf-8"],
        ["Content-Length", String(reason.length)],
        ["Date", new Date().toUTCString()],
        ["Connection", "close"],
      ];
      socket.write(protocol.send(new h11.Response({ statusCode, reason, headers }))!);
      const data = new TextEncoder().encode(reason);
      socket.write(protocol.send(new h11.Data({ data }))!);
      protocol.send(new h11.EndOfMessage());
    }
    await socket.flush();
    await socket.linger(LINGER);
  }

  /** The next part of the body, for `exchange`; null at its end. */
  async readBody(exchange: Exchange): Promise<Uint8Array<ArrayBuffer> | null> {
    const { protocol, socket } = this;
    if (exchange !== this.#exchange || exchange.isOver) {
      throw new TypeError("Cannot read the request's body: the exchange is over");
    }
    if (this.#bodyPart !== null) {
      const part = this.#bodyPart;
      this.#bodyPart = null;
      return part.slice();
    }
    if (protocol.theyAreWaitingFor100Continue && !exchange.isResponded) exchange.inform(100, []);
    try {
      while (protocol.theirState === h11.SEND_BODY) {
        const event = protocol.nextEvent();
        if (event === h11.NEED_DATA) {
          protocol.receiveData(await socket.readBody());
        } else if (event !== h11.PAUSED && event.type === "Data") {
          const { data } = event;
          return (socket.willOverwrite(data) ? data.slice() : data) as Uint8Array<ArrayBuffer>;
        } else if (event !== h11.PAUSED && event.type === "EndOfMessage") {
          exchange.body.trailers = event.headers;
        }
      }
    } catch (error) {
      if (!(error instanceof h11.RemoteProtocolError)) throw error;
      throw new HTTPError(error.errorStatusHint, undefined, { cause: error });
    }
    if (protocol.theirState === h11.ERROR) throw new HTTPError(400);
    return null;
  }

  #log({ request, status }: Exchange): void {
    const { method, target, httpVersion } = request;
    this.#host.log(`INFO: ${this.#peer} - "${method} ${target} HTTP/${httpVersion}" ${status}`);
  }
}
