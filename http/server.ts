// The socket that is listened on and its connections: how many there may be, and how they end.

import { TrustedProxies } from "./client_addr.ts";
import { Clock } from "./clock.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { type Counters, newCounters } from "./counters.ts";
import type { Exchange } from "./exchange.ts";
import { bind } from "./listen.ts";
import { formatAddr, log } from "./log.ts";
import type { Settings } from "./options.ts";

/** Milliseconds to wait before accepting again after a failure: twice as long each time, up to a bound. */
const ACCEPT_PAUSE = 5;
const ACCEPT_PAUSE_MAX = 1_000;

/** Lines about refused clients in a second at most; the rest are counted and told in one. */
const REFUSALS_MAX = 10;

/** What a server needs of the one who answers its requests. */
export interface ServerHost {
  readonly settings: Settings;
  /** Has a request answered; returns a promise where that takes time. */
  handle(exchange: Exchange): void | Promise<void>;
  /** Logs an answer. */
  logAnswer(exchange: Exchange): void;
}

/** A socket that is listened on, and its connections. */
export class Server implements ConnectionHost {
  readonly settings: Settings;
  readonly clock = new Clock();
  readonly counters: Counters = newCounters();
  readonly trustedProxies: TrustedProxies | null;
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  readonly logAnswer: (exchange: Exchange) => void;
  readonly #listener: Deno.Listener;
  readonly #connections = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  /** Resolved when a connection ends, for those who wait for room. */
  #roomMade: PromiseWithResolvers<void> | null = null;
  #refusals = { second: 0, count: 0 };
  #isRef = true;
  isClosing = false;

  /** @throws {ListenError} It cannot listen on its address. */
  constructor(host: ServerHost) {
    this.settings = host.settings;
    this.handle = (exchange) => host.handle(exchange);
    this.logAnswer = (exchange) => {
      this.counters.requests++;
      host.logAnswer(exchange);
    };
    const { trustedProxies } = host.settings;
    this.trustedProxies = trustedProxies.length > 0 ? new TrustedProxies(trustedProxies) : null;
    this.#listener = bind(host.settings);
  }

  /** The address it listens on. */
  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  /** Keeps the process alive while the server listens and has connections, or does not. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    if (isRef) this.#listener.ref();
    else this.#listener.unref();
    for (const { socket } of this.#connections) setRef(socket.conn, isRef);
  }

  /** Accepts connections and serves them; resolves when the last one has ended after `close()`. */
  async serve(): Promise<void> {
    const serving = new Set<Promise<void>>();
    let pause = ACCEPT_PAUSE;
    while (!this.isClosing) {
      if (!this.#hasRoom()) await this.#makeRoom();
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
        pause = ACCEPT_PAUSE;
      } catch (error) {
        if (this.isClosing) break;
        await this.#recover(error, pause);
        pause = Math.min(2 * pause, ACCEPT_PAUSE_MAX);
        continue;
      }
      const served = this.#serveOne(conn).finally(() => serving.delete(served));
      serving.add(served);
    }
    await Promise.all(serving);
    await log.flush();
  }

  async #serveOne(conn: Deno.Conn): Promise<void> {
    const { counters, settings } = this;
    const { remoteAddr } = conn;
    const address = "hostname" in remoteAddr ? remoteAddr.hostname : "";
    const fromAddress = (this.#perAddress.get(address) ?? 0) + 1;
    counters.accepted++;
    if (settings.maxConnectionsPerAddress > 0 && fromAddress > settings.maxConnectionsPerAddress) {
      counters.overAddressLimit++;
      this.logRefusal(
        `WARNING: ${formatAddr(remoteAddr)} - closed: its address has ` +
          `${settings.maxConnectionsPerAddress} connections`,
      );
      conn.close();
      return;
    }
    this.#perAddress.set(address, fromAddress);
    counters.open++;
    // What is written is complete, so there is nothing to wait for before it is sent.
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
    if (!this.#isRef) setRef(conn, false);
    const connection = new Connection(this, conn);
    this.#connections.add(connection);
    try {
      await connection.serve();
    } finally {
      this.#connections.delete(connection);
      counters.open--;
      const left = this.#perAddress.get(address)! - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
      this.#roomMade?.resolve();
    }
  }

  #hasRoom(): boolean {
    const { maxConnections } = this.settings;
    return maxConnections === 0 || this.#connections.size < maxConnections;
  }

  /** Closes the connection that is idle longest; where none is, waits for one to end. */
  async #makeRoom(): Promise<void> {
    while (!this.#hasRoom() && !this.isClosing) {
      this.#roomMade = Promise.withResolvers();
      this.#shed();
      await this.#roomMade.promise;
    }
    this.#roomMade = null;
  }

  #shed(): void {
    let oldest: Connection | null = null;
    for (const connection of this.#connections) {
      if (connection.idleSince === 0) continue;
      if (oldest === null || connection.idleSince < oldest.idleSince) oldest = connection;
    }
    if (oldest === null) return;
    this.counters.shed++;
    oldest.close();
  }

  /** After a failure to accept, for want of descriptors say: makes room and waits a little. */
  async #recover(error: unknown, pause: number): Promise<void> {
    this.counters.acceptFailures++;
    // One line for a row of failures.
    if (pause === ACCEPT_PAUSE) console.error("Cannot accept connections for now:", error);
    this.#shed();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }

  logRefusal(line: string): void {
    if (this.settings.accessLog === false) return;
    const second = Math.floor(this.clock.now / 1000);
    const refusals = this.#refusals;
    if (second !== refusals.second) {
      const missed = refusals.count - REFUSALS_MAX;
      if (missed > 0) log.line(`WARNING: ${missed} more clients were refused`);
      this.#refusals = { second, count: 1 };
    } else if (++refusals.count > REFUSALS_MAX) {
      return;
    }
    log.line(line);
  }

  /** Accepts no more; connections end when they have answered what is under way. */
  close(): void {
    this.isClosing = true;
    this.#listener.close();
    this.#roomMade?.resolve();
    for (const connection of this.#connections) connection.close();
  }

  /** Ends all connections at once. */
  abort(reason: unknown): void {
    for (const connection of this.#connections) connection.abort(reason);
  }
}

/** TCP and Unix connections can be left out of what keeps the process alive; those of TLS cannot. */
function setRef(conn: Deno.Conn & { ref?(): void; unref?(): void }, isRef: boolean): void {
  if (isRef) conn.ref?.();
  else conn.unref?.();
}
