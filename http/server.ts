// The socket that is listened on and its connections: how many there may be, and how they end.

import { TrustedProxies } from "./client_addr.ts";
import { Clock, TICK } from "./clock.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import { type Counters, newCounters } from "./counters.ts";
import { bind } from "./listen.ts";
import { formatAddr, log, logError } from "./log.ts";
import type { Settings } from "./options.ts";

/** Milliseconds to wait at most before accepting again after a failure: twice as long each time, up to a bound. */
const ACCEPT_PAUSE = 5;
const ACCEPT_PAUSE_MAX = 1_000;
/** Turns of the event loop for accepting those who wait for it when the server stops: more may come. */
const BACKLOG_TURNS = 100;
/**
 * Turns before a connection is closed to make room, and milliseconds in which more may follow: on a busy server
 * each may be late, and those who come are let in one after the other.
 */
const ROOM_TURNS = 3;
const ROOM_TIME = 20;
/** Turns without one to accept, after which nobody waits. */
const QUIET = 3;
/** Milliseconds after which a timer of one is late: Deno rounds up to two. */
const LATE = 3;
/** Milliseconds between two looks at which connections are idle when the server stops. */
const TURN = 10;
/** So many of these looks wait for more requests at most while some come. */
const BUSY_TURNS = 100;
/** Milliseconds between two lines about an outage. */
const OUTAGE_TOLD_EVERY = 10_000;

/** Lines about refused clients in a second at most; the rest are counted and told in one. */
const REFUSALS_MAX = 10;

/** What a server needs of the one who answers its requests. */
export type ServerHost = Pick<ConnectionHost, "settings" | "handle" | "logAnswer">;

/** A socket that is listened on, and its connections. */
export class Server implements ConnectionHost {
  readonly settings: Settings;
  readonly clock: Clock = new Clock();
  readonly counters: Counters = newCounters();
  readonly trustedProxies: TrustedProxies | null;
  readonly handle: ConnectionHost["handle"];
  readonly logAnswer: ConnectionHost["logAnswer"];
  readonly #listener: Deno.Listener;
  readonly #connections = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  /** Resolved when a connection ends or becomes idle, while one waits for room. */
  #roomMade: PromiseWithResolvers<void> | null = null;
  readonly #acceptFailures = { pause: ACCEPT_PAUSE, last: -Infinity, told: -Infinity };
  #refusals = { second: 0, count: 0 };
  readonly #aborted = Promise.withResolvers<void>();
  /** No connection is left after the last was accepted. */
  readonly #allEnded = Promise.withResolvers<void>();
  #isRef = true;
  #isListening = true;
  isClosing = false;
  #isAborted = false;
  /** Settles when no connection is accepted any more; null before `serve()`. */
  #accepting: Promise<void> | null = null;

  /** @throws {ListenError} It cannot listen on its address. */
  constructor(host: ServerHost) {
    this.settings = host.settings;
    this.handle = host.handle;
    this.logAnswer = host.logAnswer;
    const { trustedProxies } = host.settings;
    this.trustedProxies = trustedProxies.length > 0 ? new TrustedProxies(trustedProxies) : null;
    this.#listener = bind(host.settings);
  }

  /** The address it listens on. */
  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  /** The connections that are open, oldest first. */
  *connections(): Generator<ConnectionInfo> {
    for (const connection of this.#connections) yield connection.info;
  }

  /** Keeps the process alive while the server listens and has connections, or does not. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    if (isRef) this.#listener.ref();
    else this.#listener.unref();
    for (const { socket } of this.#connections) socket.setRef(isRef);
  }

  /** Accepts connections and serves them; resolves when the last one has ended after `close()`. */
  async serve(): Promise<void> {
    await (this.#accepting = this.#acceptAll());
    await this.#emptied;
    // Handlers that go on when they are told to end are not waited for.
    if (this.#connections.size > 0) {
      await Promise.race([this.#allEnded.promise, this.#aborted.promise]);
    }
    clearInterval(this.#turns);
    await log.flush();
  }

  async #acceptAll(): Promise<void> {
    while (this.#isListening) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (!this.#isListening) break;
        if (hasLeft(error)) this.counters.acceptFailures++;
        else await this.#recover(error);
        continue;
      }
      this.counters.accepted++;
      // One that is not served takes no room, for which another would be closed.
      if (this.#isOverAddressLimit(conn)) {
        conn.close();
        continue;
      }
      if (!this.#hasRoom()) await this.#makeRoom();
      this.#serveOne(conn);
    }
  }

  /** Whether the address that a connection comes from has as many as it may; that is counted and told. */
  #isOverAddressLimit(conn: Deno.Conn): boolean {
    const { maxConnectionsPerAddress: most } = this.settings;
    const address = addressOf(conn);
    if (most === 0 || address === null || (this.#perAddress.get(address) ?? 0) < most) return false;
    this.counters.overAddressLimit++;
    this.logRefusal(
      `WARNING: ${formatAddr(conn.remoteAddr)} - closed: its address has ${most} connections`,
    );
    return true;
  }

  #serveOne(conn: Deno.Conn): void {
    if (this.#isAborted) return conn.close();
    const address = addressOf(conn);
    if (address !== null) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    this.counters.open++;
    noDelay(conn);
    const connection = new Connection(this, conn);
    if (!this.#isRef) connection.socket.setRef(false);
    this.#connections.add(connection);
    connection.serve();
  }

  ended(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    const address = addressOf(connection.socket.conn);
    this.counters.open--;
    if (address !== null) {
      const left = this.#perAddress.get(address)! - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    }
    this.#roomMade?.resolve();
    this.#endPause();
    if (this.#connections.size === 0 && !this.#isListening) this.#allEnded.resolve();
  }

  #hasRoom(): boolean {
    const { maxConnections } = this.settings;
    return maxConnections === 0 || this.#connections.size < maxConnections;
  }

  /** Closes the connection that is idle longest; where none is, waits for one to end or become idle. */
  async #makeRoom(): Promise<void> {
    // What has come is read before: else those that flood the server with connections would have all others shed
    // before their requests are looked at.
    const end = performance.now() + ROOM_TIME;
    let turns = 1;
    while (!await hasLooked() && (turns < ROOM_TURNS || performance.now() < end)) turns++;
    while (!this.#hasRoom() && !this.isClosing) {
      this.#roomMade = Promise.withResolvers();
      this.#shed();
      await this.#roomMade.promise;
    }
    this.#roomMade = null;
  }

  /** Closes the connection that is idle longest, of those that became idle before a time. */
  #shed(before = Infinity): void {
    let oldest: Connection | null = null;
    for (const connection of this.#connections) {
      if (connection.idleSince === 0 || connection.idleSince >= before) continue;
      if (oldest === null || connection.idleSince < oldest.idleSince) oldest = connection;
    }
    if (oldest === null) return;
    this.counters.shed++;
    oldest.socket.close();
  }

  /** After a failure to accept, for want of descriptors say: makes room and waits a little. */
  async #recover(error: unknown): Promise<void> {
    const failures = this.#acceptFailures;
    const now = performance.now();
    this.counters.acceptFailures++;
    // As long as failures follow each other within a second it is one outage.
    if (now - failures.last > ACCEPT_PAUSE_MAX + failures.pause) failures.pause = ACCEPT_PAUSE;
    failures.last = now;
    if (now - failures.told > OUTAGE_TOLD_EVERY) {
      failures.told = now;
      const why = error instanceof Error ? error.message : String(error);
      logError(`ERROR: Cannot accept connections for now: ${why}`);
    }
    // One that was just accepted may have sent a request that is not read yet.
    this.#shed(this.clock.now - 1.5 * TICK);
    // Where a connection ends, there is a descriptor again.
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, failures.pause);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    failures.pause = Math.min(2 * failures.pause, ACCEPT_PAUSE_MAX);
  }
  #endPause = (): void => {};

  becameIdle(): void {
    this.#roomMade?.resolve();
  }

  logRefusal(line: string): void {
    if (this.settings.accessLog === false) return;
    const second = Math.floor(this.clock.now / 1000);
    const refusals = this.#refusals;
    if (second !== refusals.second) {
      this.#tellMissedRefusals();
      this.#refusals = { second, count: 1 };
    } else if (++refusals.count > REFUSALS_MAX) {
      return;
    }
    log.line(line);
  }

  #tellMissedRefusals(): void {
    const missed = this.#refusals.count - REFUSALS_MAX;
    if (missed > 0) log.line(`WARNING: ${missed} more clients were refused`);
    this.#refusals.count = 0;
  }

  /**
   * Accepts no more; connections end when they have answered what is under way.
   *
   * @returns Resolves when it does not listen any more.
   */
  close(): Promise<void> {
    this.isClosing = true;
    this.#roomMade?.resolve();
    this.#tellMissedRefusals();
    for (const connection of this.#connections) connection.stop();
    this.#emptied = this.#emptyBacklog().then(() => this.#endIdle());
    return this.#emptied.then(() => this.release());
  }

  /** Accepts those who wait for it: for all they know they are connected, and a close would reset them. */
  async #emptyBacklog(): Promise<void> {
    let { accepted } = this.counters;
    for (let turn = 0, quiet = 0; turn < BACKLOG_TURNS && quiet < QUIET; turn++) {
      // Else it was behind other work, in which somebody may have connected.
      const isKnown = await hasLooked();
      quiet = this.counters.accepted > accepted || !isKnown ? 0 : quiet + 1;
      ({ accepted } = this.counters);
    }
    this.#stopListening();
  }
  #emptied: Promise<void> | null = null;

  /**
   * Has connections end that stay idle. It comes after the socket that is listened on is closed: a client that is sent
   * away and connects again would come back to this server.
   */
  #endIdle(): void {
    let turn = 0, { requests } = this.counters;
    this.#turns = setInterval(() => {
      // While others bring requests, an idle connection is likely to bring one, too.
      const isBusy = this.counters.requests > requests && turn++ < BUSY_TURNS;
      ({ requests } = this.counters);
      for (const connection of this.#connections) connection.countTurn(isBusy);
    }, TURN);
  }
  #turns: ReturnType<typeof setInterval> | undefined;

  #stopListening(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    this.#listener.close();
    this.#endPause();
  }

  /** Listens no more, whoever may still wait to be accepted. @returns Resolves when the address is free. */
  async release(): Promise<void> {
    this.#stopListening();
    // The system has the address back when the last `accept()` has ended.
    await this.#accepting;
  }

  /** Ends all connections at once. */
  abort(reason: unknown): void {
    this.#isAborted = true;
    this.#stopListening();
    for (const connection of this.#connections) connection.abort(reason);
    this.#aborted.resolve();
  }
}

/**
 * Whether accepting failed because the client had left by then. The next one is accepted at once: to pause
 * would let clients that connect and reset keep all others out.
 */
function hasLeft(error: unknown): boolean {
  const { NotConnected, ConnectionAborted, ConnectionReset } = Deno.errors;
  return error instanceof NotConnected || error instanceof ConnectionAborted ||
    error instanceof ConnectionReset;
}

/**
 * Waits a turn of the event loop. @returns Whether it has looked at its sockets for certain: it does when it waits for a
 * timer, not before each immediate, and one that comes late it need not have waited for.
 */
async function hasLooked(): Promise<boolean> {
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1));
  return performance.now() - start <= LATE;
}

/** What is written is complete, so there is nothing to wait for before it is sent. */
function noDelay(conn: Deno.Conn): void {
  try {
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
  } catch {
    // macOS says EINVAL where the client has left; that is told by the first read.
  }
}

/** Where a connection comes from, for counting; null for a client of a Unix socket, which has no address. */
function addressOf({ remoteAddr }: Deno.Conn): string | null {
  return "hostname" in remoteAddr ? remoteAddr.hostname : null;
}
