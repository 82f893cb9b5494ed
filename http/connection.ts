// One connection: reads requests one after another, has each one answered, and writes the responses.
//
// It is a single loop that stops whenever it has to wait and resumes when that wait is over. While an
// exchange runs, the loop waits for it to end. Whatever is read meanwhile belongs to the exchange: first its
// body, and once that is complete, one buffer ahead, so that a client's disconnect is noticed.

import * as h11 from "../h11.ts";
import { BodyReader } from "./body_reader.ts";
import type { TrustedProxies } from "./client_addr.ts";
import { type Clock, NEVER, type Watched } from "./clock.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import type { Counters } from "./counters.ts";
import { report } from "./error_log.ts";
import { Exchange } from "./exchange.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { formatAddr } from "./log.ts";
import type { Settings } from "./options.ts";
import { asyncContexts } from "./operations.ts";
import { ProxyProtocolError, readProxyHeader } from "./proxy_protocol.ts";
import { httpDate } from "./response_head.ts";
import { ClientLeft, ConnectionLost, type Receiver, Socket } from "./socket.ts";
import { type Scheme, schemeOf } from "./target.ts";
import { pollIfLong } from "./turn.ts";
import { UpgradedConn } from "./upgraded_conn.ts";

/** Milliseconds that a client may stay silent during a lingering close. */
const LINGER = 1_000;
/**
 * Upper limit for a lingering close in milliseconds: a client may send everything before it reads the
 * response.
 */
const LINGER_MAX = 5_000;
/** Milliseconds a stream may produce nothing after its client has disconnected or closed its sending half. */
const QUIET_MAX = 5_000;
/**
 * A stopping server closes a connection after more than this many consecutive checks have found it idle.
 * Until then the client may send a last request: one in transit would be lost if the connection were closed
 * at once, and a new client has not sent its first one yet. The unit is checks that the event loop has run,
 * not time, because a busy server may not have read for a while.
 */
const IDLE_CHECKS = 10;
/** Bytes read ahead while a handler runs. */
const READ_AHEAD_MAX = 16 * 1024;
/** Number of bytes of a refused request that are logged. */
const SHOWN_BYTES = 64;
/** Pipelined responses are held back, to be written together, up to this many bytes. */
const CORK_MAX = 64 * 1024;
/**
 * Pipelined requests are answered one after another. How long that has taken is checked after the fourth, and
 * then after twice as many each time. Checking the time costs a fiftieth of a request with a fast handler;
 * this schedule keeps that cost low, and however slow the handlers are, no check comes much later than the
 * one before it.
 */
const FIRST_LOOK = 4;

/** What a connection needs from its server. */
export interface ConnectionHost {
  /** The server is stopping. */
  readonly isClosing: boolean;
  /** Connections are still accepted: a stopping server listens until its backlog is empty. */
  readonly isListening: boolean;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly counters: Counters;
  /** The proxies trusted to report the client's address; null for none. */
  readonly trustedProxies: TrustedProxies | null;
  /** Answers a request; returns a promise if that takes time. */
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  /** Logs a response. */
  readonly logAnswer: (exchange: Exchange) => void;
  /** Called when a connection starts to wait for a request. */
  becameIdle(): void;
  /** Called when a connection ends, and again when its handler, if still running then, is done. */
  ended(connection: Connection): void;
  /** Logs in one line why a client was not served. */
  logRefusal(message: string): void;
}

/** Connections about to read ahead. */
let soon: Connection[] = [];

/** Which part of a request head the connection is waiting for. */
type Wait = "nothing" | "request" | "head";

/** One connection of a server. */
export class Connection implements Receiver, Watched {
  readonly host: ConnectionHost;
  readonly protocol: h11.Connection;
  readonly socket: Socket;
  #remoteAddr: Deno.Addr;
  #scheme: Scheme;
  #exchange: Exchange | null = null;
  #requests = 0;
  #bodyReader: BodyReader | null = null;
  /** The read-ahead of a running exchange; null while there is none. */
  ahead: Promise<void> | null = null;
  /** The socket read that the read-ahead is waiting for. */
  #reading: Promise<Uint8Array> | null = null;
  #wait: Wait = "nothing";
  #readDeadline = NEVER;
  /** The deadline of a head that has begun to arrive. */
  #headDeadline = NEVER;
  /** When the connection became idle, by the clock; 0 while it is in use. */
  idleSince = 0;
  /** The last response was given: whatever arrives is read and dropped. */
  isEnding = false;
  /** The connection is over. */
  #isOver = false;
  /**
   * The connection was accepted after the server had begun to stop. Its client is told to close it only when
   * the listening socket is closed. A client that is told earlier may reconnect at once: the backlog would
   * never become empty, and the connections in it would be reset in the end.
   */
  readonly #isFromBacklog: boolean;
  /** Whether no request is read after the current one. */
  #isLast = false;
  #readsAheadSoon = false;
  #openedAt = 0;
  /** The time by which a stream has to produce something after its client's end of stream. */
  #quietDeadline = NEVER;
  /**
   * The async context that the connection was accepted in. Sockets write and read together, in the context of
   * the request that came first: what a read brings must not run in that one, which may be another client's.
   */
  readonly #asyncContext = asyncContexts?.getAsyncContext();
  /** The stream watched for that, and the number of bytes it had sent at that time. */
  #quietOf: Exchange | null = null;
  #quietBytes = 0;

  constructor(host: ConnectionHost, conn: Deno.Conn) {
    const { settings } = host;
    this.host = host;
    this.#isFromBacklog = host.isClosing;
    this.socket = new Socket(conn, host.clock, settings);
    this.#remoteAddr = conn.remoteAddr;
    this.#scheme = schemeOf(conn);
    this.protocol = new h11.Connection(h11.SERVER, {
      maxIncompleteEventSize: settings.maxHeadSize,
      maxTargetSize: settings.maxTargetSize,
      maxFields: settings.maxFields,
    });
  }

  /** The peer's address, or the one given by the PROXY header. */
  get remoteAddr(): Deno.Addr {
    return this.#remoteAddr;
  }

  /** That address as text. First asked for when a request arrives; it does not change after that. */
  get peer(): string {
    return this.#peer ??= formatAddr(this.#remoteAddr);
  }
  #peer: string | null = null;

  /** The scheme of the requests, by TLS or the PROXY header. */
  get scheme(): Scheme {
    return this.#scheme;
  }

  /** Reads the request bodies; created on first use. */
  get bodyReader(): BodyReader {
    return this.#bodyReader ??= new BodyReader(this);
  }

  /** A snapshot of the connection. */
  get info(): ConnectionInfo {
    const { ourState, theirState, bufferedSize } = this.protocol;
    const { now } = this.host.clock;
    const exchange = this.isEnding ? null : this.#exchange;
    return {
      remoteAddr: this.remoteAddr,
      state: this.isEnding
        ? "closing"
        : exchange === null
        ? (bufferedSize > 0 ? "receiving" : "idle")
        : exchange.isUpgraded
        ? "upgraded"
        : exchange.sending !== null
        ? "sending"
        : "handling",
      protocol: [ourState, theirState],
      requests: this.#requests,
      age: now - this.#openedAt,
      idle: this.idleSince === 0 ? 0 : now - this.idleSince,
      method: exchange?.request.method ?? null,
      target: exchange?.request.target ?? null,
    };
  }

  /** Whether the current exchange is the last one. */
  get isClosing(): boolean {
    const { isClosing, isListening, settings: { maxRequestsPerConnection } } = this.host;
    return (isClosing && !(isListening && this.#isFromBacklog)) || this.#isLast ||
      (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection);
  }

  /** Reads no request after the current one, even if the response has not announced that. */
  readNoMore(): void {
    this.#isLast = true;
  }

  /** Called when the server stops: ends a stream of events that is being sent. */
  stop(): void {
    if (this.#exchange !== null && this.#exchange.sending !== null) this.#exchange.endStream();
  }

  /**
   * Called periodically by a stopping server whose backlog is empty: ends a connection that stays idle.
   *
   * @param isBusy Whether other connections still bring requests.
   */
  checkIdle(isBusy: boolean): void {
    // A request head that has begun to arrive is read to its end and answered.
    const isIdle = this.#exchange === null && this.protocol.bufferedSize === 0 && !this.isEnding;
    this.#idleChecks = isIdle && !isBusy ? this.#idleChecks + 1 : 0;
    if (this.#idleChecks <= IDLE_CHECKS) return;
    // If the client has been given its last response by then, there is no need to wait until it closes, which
    // a browser does only when it looks at its idle connections. A connection on which a response is still
    // queued, or that waits for its PROXY header, is not idle.
    const isLongIdle = this.idleSince !== 0 && this.host.clock.now - this.idleSince >= LINGER;
    if (isLongIdle) this.socket.close();
    else this.#end();
  }
  #idleChecks = 0;

  /** Ends the connection at once, even if it was upgraded to another protocol. */
  abort(reason: unknown): void {
    this.#exchange?.event?.abort(reason);
    this.#exchange?.cancel(reason);
    this.socket.cut();
  }

  /** Checks whether the client has exceeded the timeout of what is being waited for. */
  checkDeadlines(now: number): void {
    const { counters, settings } = this.host;
    // A client is not idle while it still reads its last response.
    if (this.#wait === "request" && this.socket.queued > 0) this.#beginIdleTime();
    if (now >= this.socket.writeDeadline) {
      counters.writeTimeouts++;
      this.#logRefusal(`closed: it read nothing for ${settings.writeTimeout} ms`);
      return this.abort(new DOMException("The client is not reading", "TimeoutError"));
    }
    const isLate = now >= this.#readDeadline;
    if (this.#wait === "request" && isLate) {
      counters.idleTimeouts++;
      this.socket.close();
    } else if (this.#wait === "head" && isLate) {
      counters.headerTimeouts++;
      this.#waitForNothing();
      this.#refuse(408, "The request head did not arrive in time");
    } else if (this.#isHandling && this.#bodyReader?.isLate(now)) {
      counters.bodyTimeouts++;
      this.readNoMore();
      const cause = new Error("The request body did not arrive in time");
      this.#bodyReader.giveUp(new HTTPError(408, undefined, { cause }));
    }
    if (now >= this.#quietDeadline) this.#checkQuietStream();
  }

  /**
   * A client that disconnected and one that only closed its sending half look the same until something is
   * written. Without a limit, a stream that produces nothing would keep the connection open forever.
   */
  #checkQuietStream(): void {
    const exchange = this.#exchange;
    const isQuiet = exchange !== null && exchange === this.#quietOf &&
      exchange.bytes === this.#quietBytes && this.socket.queued === 0;
    if (isQuiet) exchange.cancel(new Error("The client stopped sending, and the response is idle"));
    else this.#watchQuietStream();
  }

  #watchQuietStream(): void {
    const { clock, settings: { idleTimeout } } = this.host;
    const exchange = this.#exchange;
    this.#quietDeadline = clock.after(Math.min(idleTimeout || QUIET_MAX, QUIET_MAX));
    this.#quietOf = exchange !== null && exchange.sending !== null ? exchange : null;
    this.#quietBytes = this.#quietOf?.bytes ?? 0;
  }

  /** Serves the connection until it ends, and then notifies the host. */
  serve(): void {
    const { clock, settings } = this.host;
    clock.watch(this);
    this.#openedAt = clock.now;
    if (!settings.proxyProtocol) return this.#goOn();
    this.#readProxyHeader().then((isThere) => isThere ? this.#goOn() : this.#over(), this.#over);
  }

  /** Ends everything. `error` is the reason, unless the connection ended normally. */
  readonly #over = (error?: unknown): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    if (error !== undefined) this.#reportEnd(error);
    this.host.clock.unwatch(this);
    this.socket.close();
    this.#exchange?.cancel(error);
    this.#exchange?.end();
    this.host.ended(this);
  };

  /** Logs an internal error or a TLS failure that ended the connection. A plain disconnect is not logged. */
  #reportEnd(error: unknown): void {
    if (!(error instanceof ConnectionLost)) {
      const ctx = this.#exchange?.context ?? null;
      const message = `Cannot continue serving ${this.peer}`;
      report(this.host.settings, { level: "error", message, error, ctx });
    } else if (error.cause instanceof Deno.errors.InvalidData) {
      this.#logRefusal(`closed: TLS failed (${error.cause.message})`);
    }
  }

  /** Reads the PROXY protocol header. @returns Whether there is one; if not, the connection is over. */
  async #readProxyHeader(): Promise<boolean> {
    const { protocol, socket } = this;
    const { clock, settings } = this.host;
    // A peer that does not send the header gets no response: HTTP has not begun.
    this.#wait = "request";
    // The header has no timeout of its own, so a silent peer gets the one that applies without the protocol.
    this.#readDeadline = clock.after(settings.headerTimeout || settings.idleTimeout);
    const read = async (): Promise<Uint8Array> => {
      const data = await socket.read();
      // While the connection is ending, whatever arrives is dropped.
      return this.isEnding ? new Uint8Array(0) : data;
    };
    try {
      const found = await readProxyHeader(read, settings.maxHeadSize);
      if (found === null) return false;
      const { source, isTls, rest } = found;
      if (source !== null) this.#remoteAddr = source;
      if (isTls) this.#scheme = "https";
      if (rest.length > 0) protocol.receiveData(rest);
      return true;
    } catch (error) {
      if (!(error instanceof ProxyProtocolError)) throw error;
      this.#logRefusal(`closed: ${error.message}`);
      return false;
    }
  }

  /** Resumes after a wait, until there is something to wait for again. */
  readonly #goOn = (): void => {
    if (this.isEnding) return;
    this.#waitForNothing();
    try {
      this.#serve()?.then(this.#goOn, this.#over);
    } catch (error) {
      this.#over(error);
    }
  };

  received(buffer: Uint8Array, count: number): void {
    if (this.isEnding) return;
    this.protocol.receiveData(buffer, count);
    this.#goOn();
  }

  lost(error: ConnectionLost): void {
    this.#over(error);
  }

  /** Answers the requests that have arrived. @returns What to wait for, unless that is data. */
  #serve(): Promise<void> | void {
    const { host, protocol } = this;
    // After a handler that has waited, check the time at once: it may not have waited for anything external.
    let look = this.#exchange === null ? FIRST_LOOK : 1;
    for (let count = 1;; count++) {
      if (this.#exchange === null) {
        const request = this.#nextRequest();
        if (request === h11.NEED_DATA) return this.#waitForData();
        if (request === null) return;
        this.#isLast = this.isClosing;
        const running = host.handle(request);
        if (running !== undefined) {
          this.readAheadLater();
          return running;
        }
      }
      if (this.#finish()) return this.#over();
      if (!this.#isReusable()) return this.#end();
      const waiting = this.#startNext();
      if (waiting !== undefined || this.isEnding) return waiting;
      if (count === look && protocol.bufferedSize > 0) {
        look *= 2;
        const polling = pollIfLong(Socket.waitingSince);
        if (polling !== null) return this.#giveWay(polling);
      }
    }
  }

  /** Lets the event loop serve other connections. */
  async #giveWay(polling: Promise<void>): Promise<void> {
    await polling;
    // If the connection was cut meanwhile, requests it has already sent are not handled any more.
    if (this.socket.isLost) throw new ConnectionLost("Cannot continue: the connection was lost");
  }

  /**
   * Creates the exchange of the next request if its head has arrived; null if there is no further request.
   */
  #nextRequest(): Exchange | typeof h11.NEED_DATA | null {
    asyncContexts?.setAsyncContext(this.#asyncContext);
    let event: ReturnType<h11.Connection["nextEvent"]>;
    try {
      event = this.protocol.nextEvent();
    } catch (error) {
      if (!(error instanceof h11.RemoteProtocolError)) throw error;
      this.#refuse(error.errorStatusHint, error.message);
      return null;
    }
    if (event === h11.NEED_DATA) return event;
    if (typeof event === "string" || event.type !== "Request") {
      this.socket.drained().then(this.#over, this.#over);
      return null;
    }
    this.#readOn();
    this.#requests++;
    return this.#exchange = new Exchange(this, event);
  }

  /** Ends the exchange once it was handled. @returns Whether the connection was upgraded. */
  #finish(): boolean {
    const exchange = this.#exchange!;
    exchange.end();
    this.host.counters.requests++;
    this.host.logAnswer(exchange);
    return exchange.isUpgraded;
  }

  /** Reuses the connection for the next request. @returns What to wait for first. */
  #startNext(): Promise<void> | void {
    // A response that began before the server stopped did not announce the close: the client may have sent
    // another request meanwhile.
    if (this.#isLast) return this.#end();
    this.#bodyReader?.end();
    this.#exchange = null;
    this.protocol.startNextCycle();
    const { socket } = this;
    if (socket.queued > CORK_MAX) return socket.drained();
  }

  /** Waits for a request, or for the rest of its head. */
  #waitForData(): Promise<void> | void {
    const { clock, settings } = this.host;
    if (this.protocol.bufferedSize > 0) {
      if (this.#headDeadline === NEVER) this.#headDeadline = clock.after(settings.headerTimeout);
      this.#wait = "head";
      this.#readDeadline = this.#headDeadline;
    } else {
      this.#wait = "request";
      this.#headDeadline = NEVER;
      this.#beginIdleTime();
      this.host.becameIdle();
    }
    if (this.ahead !== null) return this.ahead;
    this.socket.receive(this);
  }

  #beginIdleTime(): void {
    const { clock, settings } = this.host;
    this.#readDeadline = clock.after(settings.idleTimeout);
    this.idleSince = clock.now;
  }

  #waitForNothing(): void {
    this.#wait = "nothing";
    this.#readDeadline = NEVER;
    this.idleSince = 0;
  }

  /**
   * Reads what arrived right behind a request head: the end of a request without a body, or the first part of
   * the body. An error in it is reported to the reader of the body, just as one that arrives later.
   */
  #readOn(): void {
    this.#headDeadline = NEVER;
    try {
      const event = this.protocol.nextEvent();
      if (typeof event === "string") return;
      if (event.type === "Data") this.bodyReader.begin(event.data);
      else if (event.type === "EndOfMessage" && event.headers.length > 0) {
        this.bodyReader.finish(event.headers);
      }
    } catch (error) {
      this.bodyReader.fail(error);
    }
  }

  /**
   * Reads ahead after the current turn of the event loop, if the exchange is still running by then: most
   * handlers that await something await what is already there.
   */
  readAheadLater(): void {
    if (this.#readsAheadSoon) return;
    this.#readsAheadSoon = true;
    if (soon.push(this) > 1) return;
    setImmediate(() => {
      const connections = soon;
      soon = [];
      for (const connection of connections) {
        connection.#readsAheadSoon = false;
        if (!connection.#isHandling) continue;
        asyncContexts?.setAsyncContext(connection.#asyncContext);
        connection.#readAhead();
      }
    });
  }

  /**
   * Keeps reading, up to a limit, while an exchange runs and is not reading its body, to notice when the
   * client disconnects. The end of the stream aborts the event's signal; a client that only closed its
   * sending half still gets its response. If the connection is lost, nothing more is sent.
   */
  #readAhead(): void {
    if (this.ahead !== null || !this.#canReadAhead) return;
    // The next read would overwrite the buffered bytes; `nextEvent()` makes the protocol keep a copy of them.
    // After the last request of a connection nothing more is parsed, so there is nothing to keep.
    const { protocol, socket } = this;
    if (protocol.theirState === h11.SEND_BODY) socket.keepBuffer();
    else if (protocol.bufferedSize > 0 && protocol.theirState === h11.DONE) protocol.nextEvent();
    // The read must not finish before it is stored in `ahead`: a waiting reader would never be resumed.
    if (protocol.bufferedSize < READ_AHEAD_MAX) this.ahead = this.#keepReading();
  }

  /**
   * Whether what comes next belongs to a body that is not being read, or follows the request. When a request
   * to upgrade is complete, it is followed by bytes of the other protocol, which are not ours to read.
   */
  get #canReadAhead(): boolean {
    const { theirState } = this.protocol;
    return theirState === h11.DONE || theirState === h11.MUST_CLOSE ||
      (theirState === h11.SEND_BODY && this.#bodyReader?.isReading !== true);
  }

  get #isHandling(): boolean {
    return this.#exchange !== null && !this.#exchange.isOver;
  }

  /** Tells the handler that its client has disconnected. @returns The reason its signal is aborted with. */
  #clientLeft(): ClientLeft {
    const reason = new ClientLeft();
    if (this.#isHandling) this.#exchange!.event?.abort(reason);
    return reason;
  }

  /** Called at the end of the stream: the client has disconnected, or only closed its sending half. */
  tellEnd(): void {
    this.#clientLeft();
    this.#watchQuietStream();
  }

  /** Called when the connection is lost. */
  tellLoss(): void {
    const reason = this.#clientLeft();
    if (this.#isHandling) this.#exchange!.cancel(reason);
    // A handler that keeps running must not hold a descriptor, or a place that another client could take.
    this.socket.close();
    this.host.ended(this);
  }

  async #keepReading(): Promise<void> {
    const { protocol, socket } = this;
    try {
      while (protocol.bufferedSize < READ_AHEAD_MAX) {
        const data = await (this.#reading = socket.read());
        if (socket.isHandedOver) return;
        // After the last request of a connection the protocol does not hold on to the bytes.
        const isNext = protocol.theirState === h11.DONE;
        protocol.receiveData(isNext ? data : data.slice());
        if (data.length === 0) this.tellEnd();
        if (data.length === 0 || !this.#isHandling || !this.#canReadAhead) return;
        // The next read would overwrite it; `nextEvent()` makes the protocol keep a copy.
        if (isNext) protocol.nextEvent();
      }
    } catch {
      if (!socket.isHandedOver) this.tellLoss();
    } finally {
      this.ahead = this.#reading = null;
    }
  }

  /** Hands the connection over to another protocol, along with what a pending read brings. */
  handOver(): Deno.Conn {
    const conn = this.socket.handOver();
    return this.#reading === null ? conn : new UpgradedConn(this.socket, this.#reading);
  }

  /** Whether some of the request's body has not arrived. */
  lacksBody(): boolean {
    return this.protocol.theirState === h11.SEND_BODY && !this.bodyReader.hasRest();
  }

  /** Whether another request can follow: the rest of a body that has not arrived is not waited for. */
  #isReusable(): boolean {
    const { protocol } = this;
    return protocol.ourState === h11.DONE && !this.socket.isLost && !this.lacksBody() &&
      protocol.theirState === h11.DONE;
  }

  /** Ends the connection after its last response. */
  #end(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.#bodyReader?.end();
    const { socket } = this;
    socket.drained().then(() => socket.linger(LINGER, LINGER_MAX))
      .then(() => this.#over(), this.#over);
  }

  /** Answers a malformed or late request with the matching status, and ends the connection. */
  #refuse(status: number, why: string): void {
    const { protocol, socket } = this;
    this.host.counters.requests++;
    this.countRefusal(status, why);
    if (protocol.ourState === h11.IDLE || protocol.ourState === h11.SEND_RESPONSE) {
      const reason = reasonPhrase(status);
      // The client of a HEAD request would take a body for the next response (RFC 9110 9.3.2).
      const body = startsWithHead(protocol.trailingData[0]) ? "" : reason;
      const headers: [string, string][] = [
        ["Content-Type", "text/plain; charset=utf-8"],
        ["Content-Length", String(body.length)],
        ["Date", httpDate(this.host.clock.now)],
        ["Connection", "close"],
      ];
      const response = new h11.Response({ statusCode: status, reason, headers });
      const bytes = new TextEncoder().encode(body);
      for (const part of protocol.sendWhole(response, bytes)) socket.write(part);
    }
    this.#end();
  }

  /** Counts and logs a refused request, with the first of the bytes that were not read. */
  countRefusal(status: number, why: string): void {
    const { refused } = this.host.counters;
    refused[status] = (refused[status] ?? 0) + 1;
    const [bytes] = this.protocol.trailingData;
    const first = String.fromCharCode(...bytes.subarray(0, SHOWN_BYTES));
    const received = first && `; received ${JSON.stringify(first)}`;
    this.#logRefusal(`refused with ${status}: ${why}${received}`);
  }

  #logRefusal(what: string): void {
    this.host.logRefusal(`${this.peer} - ${what}`);
  }
}

/** Whether an unreadable request head is that of a HEAD request. */
function startsWithHead(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 5)) === "HEAD ";
}
