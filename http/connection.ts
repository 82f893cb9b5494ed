// One connection: reads requests one after the other, has each of them answered, and writes the answers.
//
// It is one loop, which ends where there is something to wait for and goes on when that is there. While an
// exchange runs, that is its end, and what is read is read for the exchange: its body, and when that is
// complete one buffer ahead, which tells when the client leaves.

import * as h11 from "../h11.ts";
import { BodyReader } from "./body_reader.ts";
import type { TrustedProxies } from "./client_addr.ts";
import type { Clock, Watched } from "./clock.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import type { Counters } from "./counters.ts";
import { Exchange } from "./exchange.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { formatAddr, logError } from "./log.ts";
import type { Settings } from "./options.ts";
import { ProxyProtocolError, readProxyHeader } from "./proxy_protocol.ts";
import { httpDate } from "./response_head.ts";
import { ClientLeft, ConnectionLost, type Receiver, Socket } from "./socket.ts";
import { lookIfLong } from "./turn.ts";
import { UpgradedConn } from "./upgraded_conn.ts";

/** Milliseconds that draining may take, or a client may say nothing before a close that lets it read on. */
const LINGER = 1_000;
/** Milliseconds in all before that close: a client may send all it has before it reads its last answer. */
const LINGER_MAX = 5_000;
/** Milliseconds that a stream may give nothing when its client has left, or only sends no more. */
const QUIET_MAX = 5_000;
/**
 * Ticks of the server that stops in which a connection may bring a last request. One that is on its way as the
 * connection is closed would be lost, and a client that has just connected has not sent one yet. Ticks that the
 * event loop has come to, and not time, as a busy server may not have read for a while.
 */
const LAST_TURNS = 10;
/** Bytes that are read ahead while a handler works. */
const READ_AHEAD_MAX = 16 * 1024;
/** So many bytes of a request that is refused are logged. */
const SHOWN_BYTES = 64;
/** Answers are held back to be written together up to this many bytes. */
const CORK_MAX = 64 * 1024;
/**
 * Requests that have come together are answered one after the other. Whether that takes long is looked at after the
 * fourth, and then after twice as many each time: no look is much later than the one before, however long a handler
 * takes, and to ask for the time takes a fiftieth of a request with a quick one.
 */
const FIRST_LOOK = 4;

/** What a connection needs of its server. */
export interface ConnectionHost {
  /** The server is stopping. */
  readonly isClosing: boolean;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly counters: Counters;
  /** The proxies whose word about the client's address is trusted; null for none. */
  readonly trustedProxies: TrustedProxies | null;
  /** Has a request answered; returns a promise where that takes time. */
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  /** Logs an answer. */
  readonly logAnswer: (exchange: Exchange) => void;
  /** A connection waits for a request. */
  becameIdle(): void;
  /** A connection has ended; its handler may go on, and then it is told again. */
  ended(connection: Connection): void;
  /** Logs why a client was not served, in one line. */
  logRefusal(line: string): void;
}

/** Those that read ahead soon. */
let soon: Connection[] = [];

/** What of a head is waited for from the client. */
type Wait = "nothing" | "request" | "head";

/** One connection of a server. */
export class Connection implements Receiver, Watched {
  readonly host: ConnectionHost;
  readonly protocol: h11.Connection;
  readonly socket: Socket;
  #remoteAddr: Deno.Addr;
  #exchange: Exchange | null = null;
  #requests = 0;
  #bodyReader: BodyReader | null = null;
  /** What is read while an exchange runs that has no more body. */
  ahead: Promise<void> | null = null;
  /** The read of the socket that it waits for. */
  #reading: Promise<Uint8Array> | null = null;
  #wait: Wait = "nothing";
  #readDeadline = 0;
  #headDeadline = 0;
  /** The client was too late with a body: the connection ends with the answer. */
  #bodyTimedOut = false;
  /** When the connection became idle, by the clock; 0 while it is not. */
  idleSince = 0;
  /** Its last answer was given: what comes is read and dropped. */
  isEnding = false;
  /** Nothing goes on any more. */
  #isOver = false;
  /** Whether no request is read after the one that is handled. */
  #isLast = false;
  #readsAheadSoon = false;
  #openedAt = 0;
  /** Until when a stream has to give something to a client that sends no more; 0 for no limit. */
  #quietDeadline = 0;
  /** The stream that is watched for that, and what it had given then. */
  #quietOf: Exchange | null = null;
  #quietBytes = 0;

  constructor(host: ConnectionHost, conn: Deno.Conn) {
    const { settings } = host;
    this.host = host;
    this.socket = new Socket(conn, host.clock, settings.writeTimeout);
    this.#remoteAddr = conn.remoteAddr;
    this.protocol = new h11.Connection(h11.SERVER, {
      maxIncompleteEventSize: settings.maxHeadSize,
      maxTargetSize: settings.maxTargetSize,
      maxFields: settings.maxFields,
    });
  }

  /** The address of the peer, or the one that the PROXY header gives. */
  get remoteAddr(): Deno.Addr {
    return this.#remoteAddr;
  }

  /** That address as text; asked for when requests come, it stays as it is. */
  get peer(): string {
    return this.#peer ??= formatAddr(this.#remoteAddr);
  }
  #peer: string | null = null;

  /** Reads the bodies of the requests; made for the first. */
  get bodyReader(): BodyReader {
    return this.#bodyReader ??= new BodyReader(this);
  }

  /** The connection as it is now. */
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

  /** Whether the exchange under way is the last. */
  get isClosing(): boolean {
    const { maxRequestsPerConnection } = this.host.settings;
    return this.host.isClosing || this.#bodyTimedOut ||
      (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection);
  }

  /** The server stops: a stream of events that is under way is to end. */
  stop(): void {
    if (this.#exchange !== null && this.#exchange.sending !== null) this.#exchange.endStream();
  }

  /**
   * The server stops and has looked for what has come: a connection that stays idle ends.
   *
   * @param isBusy Others still bring requests.
   */
  countTurn(isBusy: boolean): void {
    // A head that has begun is read to its end, and answered.
    const isIdle = this.#exchange === null && this.protocol.bufferedSize === 0 && !this.isEnding;
    this.#idleTurns = isIdle && !isBusy ? this.#idleTurns + 1 : 0;
    if (this.#idleTurns > LAST_TURNS) this.#end();
  }
  #idleTurns = 0;

  /** Ends the connection at once, also one whose handler speaks another protocol. */
  abort(reason: unknown): void {
    this.#exchange?.event?.abort(reason);
    this.#exchange?.cancel(reason);
    this.socket.cut();
  }

  /** Looks whether the client has kept what is waited for waiting too long. */
  checkDeadlines(now: number): void {
    const { counters, settings } = this.host;
    const { writeDeadline } = this.socket;
    if (writeDeadline !== 0 && now >= writeDeadline) {
      counters.writeTimeouts++;
      this.#logRefusal(`cut: it took nothing for ${settings.writeTimeout} ms`);
      return this.abort(new DOMException("The client takes nothing", "TimeoutError"));
    }
    const isLate = this.#readDeadline !== 0 && now >= this.#readDeadline;
    if (this.#wait === "request" && isLate) {
      counters.idleTimeouts++;
      this.socket.close();
    } else if (this.#wait === "head" && isLate) {
      counters.headerTimeouts++;
      this.#waitForNothing();
      this.#refuse(408, "The head did not come in time");
    } else if (this.#isHandling && this.#bodyReader?.isLate(now)) {
      counters.bodyTimeouts++;
      this.#bodyTimedOut = true;
      const cause = new Error("The body did not come in time");
      this.#bodyReader.giveUp(new HTTPError(408, undefined, { cause }));
    }
    if (this.#quietDeadline !== 0 && now >= this.#quietDeadline) this.#checkQuietStream();
  }

  /**
   * A client that has left and one that only closed its sending half look the same until something is written. A
   * stream that gives nothing for long would keep the connection for ever.
   */
  #checkQuietStream(): void {
    const exchange = this.#exchange;
    const isQuiet = exchange !== null && exchange === this.#quietOf &&
      exchange.bytes === this.#quietBytes && this.socket.queued === 0;
    if (isQuiet) exchange.cancel(new Error("The client sends no more"));
    else this.#watchQuietStream();
  }

  #watchQuietStream(): void {
    const { clock, settings: { idleTimeout } } = this.host;
    const exchange = this.#exchange;
    this.#quietDeadline = clock.after(Math.min(idleTimeout || QUIET_MAX, QUIET_MAX));
    this.#quietOf = exchange !== null && exchange.sending !== null ? exchange : null;
    this.#quietBytes = this.#quietOf?.bytes ?? 0;
  }

  /** Serves the connection until it ends, of which its host is told. */
  serve(): void {
    const { clock, settings } = this.host;
    clock.watch(this);
    this.#openedAt = clock.now;
    if (!settings.proxyProtocol) return this.#goOn();
    this.#readProxyHeader().then((isThere) => isThere ? this.#goOn() : this.#over(), this.#over);
  }

  /** Ends everything. `error` says why, unless this is a normal end. */
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

  /** Tells why the connection ended, where its client does not know. */
  #reportEnd(error: unknown): void {
    if (!(error instanceof ConnectionLost)) {
      logError(`Cannot go on with the connection of ${this.peer}:`, error);
    } else if (error.cause instanceof Deno.errors.InvalidData) {
      this.#logRefusal(`closed: TLS failed (${error.cause.message})`);
    }
  }

  /** Reads the PROXY protocol's header. @returns Whether there is one; else the connection is over. */
  async #readProxyHeader(): Promise<boolean> {
    const { protocol, socket } = this;
    const { clock, settings } = this.host;
    // To one who does not send it there is nothing to say: no byte of HTTP has been exchanged.
    this.#wait = "request";
    // One that is silent ends as it does without the protocol, where a header has no limit of its own.
    const timeout = settings.headerTimeout || settings.idleTimeout;
    this.#readDeadline = timeout > 0 ? clock.after(timeout) : 0;
    const read = async (): Promise<Uint8Array> => {
      const data = await socket.read();
      // While the connection ends, what comes is dropped.
      return this.isEnding ? new Uint8Array(0) : data;
    };
    try {
      const found = await readProxyHeader(read, settings.maxHeadSize);
      if (found === null) return false;
      const { header, rest } = found;
      if (header.source !== null) this.#remoteAddr = header.source;
      if (rest.length > 0) protocol.receiveData(rest);
      this.#waitForNothing();
      return true;
    } catch (error) {
      if (!(error instanceof ProxyProtocolError)) throw error;
      this.#logRefusal(`closed: ${error.message}`);
      return false;
    }
  }

  /** Goes on after what was waited for, until there is something to wait for again. */
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

  /** Answers the requests that have come. @returns What has to be waited for, where that is not data. */
  #serve(): Promise<void> | void {
    const { host, protocol } = this;
    // After a handler that has waited, though maybe for nothing from outside, the time is asked for at once.
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
      if (!this.#isReusable()) return this.#drain();
      const waiting = this.#startNext();
      if (waiting !== undefined || this.isEnding) return waiting;
      if (count === look && protocol.bufferedSize > 0) {
        look *= 2;
        const looking = lookIfLong(Socket.waitingSince);
        if (looking !== null) return this.#giveWay(looking);
      }
    }
  }

  /** Lets others go on, to whom the event loop comes when it looks. */
  async #giveWay(looking: Promise<void>): Promise<void> {
    await looking;
    // What it has sent is not handled any more where the connection was cut meanwhile.
    if (this.socket.isLost) throw new ConnectionLost("Cannot go on: the connection is gone");
  }

  /** Makes the exchange of the next request, where its head has come; null where none comes any more. */
  #nextRequest(): Exchange | typeof h11.NEED_DATA | null {
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
      this.socket.drained().then(() => this.#over(), this.#over);
      return null;
    }
    this.#readOn();
    this.#requests++;
    return this.#exchange = new Exchange(this, event);
  }

  /** Ends the exchange, which is handled. @returns Whether the connection speaks another protocol now. */
  #finish(): boolean {
    const exchange = this.#exchange!;
    exchange.end();
    this.host.counters.requests++;
    this.host.logAnswer(exchange);
    return exchange.isUpgraded;
  }

  /** The connection is used again. @returns What has to be waited for before. */
  #startNext(): Promise<void> | void {
    // An answer that had begun before the server stops has not told that the connection ends: the client may
    // have sent another request meanwhile.
    if (this.#isLast || this.#bodyTimedOut) return this.#end();
    this.#bodyReader?.end();
    this.#exchange = null;
    this.protocol.startNextCycle();
    const { socket } = this;
    if (socket.queued > CORK_MAX) return socket.drained();
  }

  /** The connection waits for a request, or for the rest of its head. */
  #waitForData(): Promise<void> | void {
    const { clock, settings } = this.host;
    if (this.protocol.bufferedSize > 0) {
      if (this.#headDeadline === 0 && settings.headerTimeout > 0) {
        this.#headDeadline = clock.after(settings.headerTimeout);
      }
      this.#wait = "head";
      this.#readDeadline = this.#headDeadline;
    } else {
      this.#wait = "request";
      this.#headDeadline = 0;
      this.#readDeadline = settings.idleTimeout > 0 ? clock.after(settings.idleTimeout) : 0;
      this.idleSince = clock.now;
      this.host.becameIdle();
    }
    if (this.ahead !== null) return this.ahead;
    this.socket.receive(this);
  }

  #waitForNothing(): void {
    this.#wait = "nothing";
    this.#readDeadline = 0;
    this.idleSince = 0;
  }

  /**
   * Reads what comes right after a head: the end of a request without a body, or its first part. What is
   * wrong with it is told to the one who reads the body, as it is where it comes later.
   */
  #readOn(): void {
    this.#headDeadline = 0;
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
   * Reads ahead when the event loop has done what it does now, if the exchange still runs then: most handlers
   * that wait, wait for what is there.
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
        if (connection.#isHandling) connection.#readAhead();
      }
    });
  }

  /**
   * Reads on while an exchange runs and nobody waits for its body, up to a bound, to notice when the client
   * leaves. The end of the stream aborts the event's signal, and a client that only closed its sending half
   * gets its answer all the same; where the connection is gone, nothing more is sent.
   */
  #readAhead(): void {
    if (this.ahead !== null || !this.#canReadAhead) return;
    // What is buffered stands where the next read goes: asked for an event, the protocol keeps it.
    // After the last request of a connection nothing of it is read any more.
    const { protocol, socket } = this;
    if (protocol.theirState === h11.SEND_BODY) socket.keepBuffer();
    else if (protocol.bufferedSize > 0 && protocol.theirState === h11.DONE) protocol.nextEvent();
    // It must not finish before it is stored in `ahead`: whoever waits would never be woken.
    if (protocol.bufferedSize < READ_AHEAD_MAX) this.ahead = this.#keepReading();
  }

  /**
   * What comes next is of the request's body, which nobody waits for, or follows the request. A request for another
   * protocol is followed by bytes of that protocol, which are not ours to read.
   */
  get #canReadAhead(): boolean {
    const { theirState } = this.protocol;
    if (theirState !== h11.SEND_BODY) {
      return theirState === h11.DONE || theirState === h11.MUST_CLOSE;
    }
    const { method, headers } = this.#exchange!.request;
    return method !== "CONNECT" && !headers.has("upgrade") && this.#bodyReader?.isReading !== true;
  }

  get #isHandling(): boolean {
    return this.#exchange !== null && !this.#exchange.isOver;
  }

  /** Tells the handler that its client has left. @returns Why its signal is aborted. */
  #clientLeft(): ClientLeft {
    const reason = new ClientLeft();
    if (this.#isHandling) this.#exchange!.event?.abort(reason);
    return reason;
  }

  /** The client has left, or only closed its sending half. */
  tellEnd(): void {
    this.#clientLeft();
    this.#watchQuietStream();
  }

  /** The connection is gone. */
  tellLoss(): void {
    const reason = this.#clientLeft();
    if (this.#isHandling) this.#exchange!.cancel(reason);
    // A handler that goes on keeps no descriptor, and no place of another client.
    this.socket.close();
    this.host.ended(this);
  }

  async #keepReading(): Promise<void> {
    const { protocol, socket } = this;
    try {
      while (protocol.bufferedSize < READ_AHEAD_MAX) {
        const data = await (this.#reading = socket.read());
        if (socket.isHandedOver) return;
        // After the last request of a connection nothing keeps it.
        const isNext = protocol.theirState === h11.DONE;
        protocol.receiveData(isNext ? data : data.slice());
        if (data.length === 0) this.tellEnd();
        if (data.length === 0 || !this.#isHandling || !this.#canReadAhead) return;
        // It stands where the next read goes: asked for an event, the protocol keeps it.
        if (isNext) protocol.nextEvent();
      }
    } catch {
      if (!socket.isHandedOver) this.tellLoss();
    } finally {
      this.ahead = this.#reading = null;
    }
  }

  /** Leaves the connection to another protocol, and to it what a read brings that is under way. */
  handOver(): Deno.Conn {
    const conn = this.socket.handOver();
    return this.#reading === null ? conn : new UpgradedConn(this.socket, this.#reading);
  }

  /** Gives the protocol more of what the client sends. */
  async receive(): Promise<void> {
    if (this.ahead !== null) await this.ahead;
    else this.protocol.receiveData(await this.socket.read());
  }

  #isReusable(): boolean {
    const { ourState, theirState } = this.protocol;
    return ourState === h11.DONE && theirState === h11.DONE && !this.socket.isLost;
  }

  /** Reads and drops what is left of a body; else the connection ends. */
  async #drain(): Promise<void> {
    const { protocol, socket } = this;
    const mayGoOn = protocol.ourState === h11.DONE && protocol.theirState === h11.SEND_BODY &&
      !socket.isLost && !this.#bodyTimedOut;
    if (!mayGoOn) return this.#end();
    socket.flush();
    const timer = setTimeout(() => this.#end(), LINGER);
    try {
      await this.bodyReader.drain();
    } catch (error) {
      if (!(error instanceof h11.RemoteProtocolError)) throw error;
    } finally {
      clearTimeout(timer);
    }
    if (this.isEnding || !this.#isReusable()) return this.#end();
    await this.#startNext();
  }

  /** Ends the connection after its last answer. */
  #end(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.#bodyReader?.end();
    const { socket } = this;
    socket.drained().then(() => socket.linger(LINGER, LINGER_MAX))
      .then(() => this.#over(), this.#over);
  }

  /** Answers what is not a request, or not in time, with the status that fits, and ends the connection. */
  #refuse(status: number, why: string): void {
    const { protocol, socket } = this;
    this.host.counters.requests++;
    this.countRefusal(status, why);
    if (protocol.ourState === h11.IDLE || protocol.ourState === h11.SEND_RESPONSE) {
      const reason = reasonPhrase(status);
      // A client of HEAD takes what follows the head for the next answer (RFC 9110 9.3.2).
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

  /** Counts and logs a request that is refused, with the first bytes of what was not read. */
  countRefusal(status: number, why: string): void {
    const { refused } = this.host.counters;
    refused[status] = (refused[status] ?? 0) + 1;
    const [bytes] = this.protocol.trailingData;
    const first = String.fromCharCode(...bytes.subarray(0, SHOWN_BYTES));
    const received = first && `; received ${JSON.stringify(first)}`;
    this.#logRefusal(`refused with ${status}: ${why}${received}`);
  }

  #logRefusal(what: string): void {
    this.host.logRefusal(`WARNING: ${this.peer} - ${what}`);
  }
}

/** Whether a head that cannot be read is that of a HEAD. */
function startsWithHead(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 5)) === "HEAD ";
}
