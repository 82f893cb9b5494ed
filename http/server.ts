// The listening socket and its connections: how many are allowed, and how they end.

import { TrustedProxies } from "./client_addr.ts";
import { Clock, TICK } from "./clock.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import { type Counters, newCounters } from "./counters.ts";
import { type ErrorLogEntry, report } from "./error_log.ts";
import { countedAs } from "./ip_address.ts";
import { bind } from "./listen.ts";
import { formatAddr, log } from "./log.ts";
import type { Settings } from "./options.ts";
import { Pause } from "./pause.ts";
import { polled } from "./turn.ts";

/** Milliseconds to pause after a failure to accept; doubled after each further failure, up to a maximum. */
const ACCEPT_PAUSE = 5;
const ACCEPT_PAUSE_MAX = 1_000;
/** Turns of some 2 ms spent on accepting the backlog when the server stops, at most: clients may keep coming. */
const BACKLOG_TURNS = 100;
/** Number of turns without a new connection after which the backlog counts as empty. */
const QUIET = 3;
/** Milliseconds between two checks for idle connections when the server stops. */
const IDLE_CHECK = 10;
/** Maximum number of these checks that spare idle connections because others still bring requests. */
const BUSY_CHECKS = 100;
/** Milliseconds between two log lines about an outage. */
const OUTAGE_TOLD_EVERY = 10_000;

/**
 * Maximum number of log lines per second about refused clients; the rest are counted and reported in one
 * line.
 */
const REFUSALS_MAX = 10;

/** What a server needs from whoever answers its requests. */
export type ServerHost = Pick<ConnectionHost, "settings" | "handle" | "logAnswer">;

/** A listening socket and its connections. */
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
  /** Resolved when a connection ends or becomes idle, while another one waits for room. */
  #roomMade: PromiseWithResolvers<void> | null = null;
  /** The wait for resources after a failure to accept. */
  readonly #pause = new Pause();
  readonly #acceptFailures = { pause: ACCEPT_PAUSE, last: -Infinity, told: -Infinity };
  #refusals = { second: 0, count: 0 };
  /**
   * Resolved when no connection is left and no more are accepted, or by an abort: handlers that keep running
   * are not waited for then.
   */
  readonly #allEnded = Promise.withResolvers<void>();
  #isRef = true;
  isListening = true;
  isClosing = false;
  #isAborted = false;
  /** Settles when the last connection was accepted; null before `serve()`. */
  #accepting: Promise<void> | null = null;

  /** @throws {ListenError} The server cannot listen on its address. */
  constructor(host: ServerHost) {
    this.settings = host.settings;
    this.handle = host.handle;
    this.logAnswer = host.logAnswer;
    const { trustedProxies } = host.settings;
    this.trustedProxies = trustedProxies.length > 0 ? new TrustedProxies(trustedProxies) : null;
    this.#listener = bind(host.settings);
  }

  /** The address the server listens on. */
  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  /** The open connections, oldest first. */
  *connections(): Generator<ConnectionInfo> {
    for (const connection of this.#connections) yield connection.info;
  }

  /** Sets whether the listener and the connections keep the process alive. */
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
    if (this.#connections.size > 0) await this.#allEnded.promise;
    clearInterval(this.#idleChecks);
    await log.flush();
  }

  async #acceptAll(): Promise<void> {
    while (this.isListening) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (!this.isListening) break;
        if (hasLeft(error)) this.counters.acceptFailures++;
        else await this.#recover(error);
        continue;
      }
      this.counters.accepted++;
      // A connection that is not served needs no room, so no other one is closed for it.
      if (this.#isOverAddressLimit(conn)) {
        conn.close();
        continue;
      }
      if (!this.#hasRoom()) await this.#makeRoom();
      this.#serveOne(conn);
    }
  }

  /**
   * Whether the connection's address already has as many connections as allowed; if so, counts and logs that.
   */
  #isOverAddressLimit(conn: Deno.Conn): boolean {
    const { maxConnectionsPerAddress: most } = this.settings;
    const address = this.#addressOf(conn);
    if (address === null || (this.#perAddress.get(address) ?? 0) < most) return false;
    this.counters.overAddressLimit++;
    this.logRefusal(
      `${formatAddr(conn.remoteAddr)} - closed: its address already has ${most} connections`,
    );
    return true;
  }

  /**
   * What a connection is counted under; null if there is no limit, or for a client of a Unix socket, which has
   * no address.
   */
  #addressOf({ remoteAddr }: Deno.Conn): string | null {
    const isCounted = this.settings.maxConnectionsPerAddress > 0 && "hostname" in remoteAddr;
    return isCounted ? countedAs(remoteAddr.hostname) : null;
  }

  #serveOne(conn: Deno.Conn): void {
    if (this.#isAborted) return conn.close();
    const address = this.#addressOf(conn);
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
    const address = this.#addressOf(connection.socket.conn);
    this.counters.open--;
    if (address !== null) {
      const left = this.#perAddress.get(address)! - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    }
    this.#roomMade?.resolve();
    this.#pause.end();
    if (this.#connections.size === 0 && !this.isListening) this.#allEnded.resolve();
  }

  #hasRoom(): boolean {
    const { maxConnections } = this.settings;
    return maxConnections === 0 || this.#connections.size < maxConnections;
  }

  /** Closes the connection that was idle longest; if none is idle, waits until one ends or becomes idle. */
  async #makeRoom(): Promise<void> {
    // Input that has already arrived is read first. Otherwise a flood of connections would have all others
    // shed before their requests are seen.
    await pausedAndPolled();
    while (!this.#hasRoom() && !this.isClosing) {
      this.#roomMade = Promise.withResolvers();
      this.#shed();
      await this.#roomMade.promise;
    }
    this.#roomMade = null;
  }

  /** Closes the connection that was idle longest among those that became idle before the given time. */
  #shed(before = Infinity): void {
    let oldest: Connection | null = null;
    for (const connection of this.#connections) {
      if (connection.idleSince === 0 || connection.idleSince >= before) continue;
      if (oldest === null || connection.idleSince < oldest.idleSince) oldest = connection;
    }
    // It may already have been closed, but not have ended yet.
    if (oldest === null || oldest.socket.isLost) return;
    this.counters.shed++;
    oldest.socket.close();
  }

  /** After a failure to accept, for example for lack of file descriptors: makes room and pauses briefly. */
  async #recover(error: unknown): Promise<void> {
    const failures = this.#acceptFailures;
    const now = performance.now();
    this.counters.acceptFailures++;
    // Failures that follow one another within a second are one outage.
    if (now - failures.last > ACCEPT_PAUSE_MAX + failures.pause) failures.pause = ACCEPT_PAUSE;
    failures.last = now;
    if (now - failures.told > OUTAGE_TOLD_EVERY) {
      failures.told = now;
      const why = error instanceof Error ? error.message : String(error);
      this.#report("error", `Cannot accept connections for now: ${why}`);
    }
    // A connection that was just accepted may have sent a request that is not read yet.
    this.#shed(this.clock.now - 1.5 * TICK);
    // The end of a connection frees a descriptor.
    await this.#pause.wait(failures.pause);
    failures.pause = Math.min(2 * failures.pause, ACCEPT_PAUSE_MAX);
  }

  becameIdle(): void {
    this.#roomMade?.resolve();
  }

  #report(level: ErrorLogEntry["level"], message: string): void {
    report(this.settings, { level, message, ctx: null });
  }

  logRefusal(message: string): void {
    const second = Math.floor(this.clock.now / 1000);
    const refusals = this.#refusals;
    if (second !== refusals.second) {
      this.#tellMissedRefusals();
      this.#refusals = { second, count: 1 };
    } else if (++refusals.count > REFUSALS_MAX) {
      return;
    }
    this.#report("warning", message);
  }

  #tellMissedRefusals(): void {
    const missed = this.#refusals.count - REFUSALS_MAX;
    if (missed > 0) this.#report("warning", `${missed} more clients were refused`);
    this.#refusals.count = 0;
  }

  /**
   * Begins a graceful shutdown: no more connections are accepted, and those that are open end once their
   * requests in flight are answered.
   *
   * @returns Resolves when the server does not listen any more.
   */
  close(): Promise<void> {
    this.isClosing = true;
    this.#roomMade?.resolve();
    this.#tellMissedRefusals();
    for (const connection of this.#connections) connection.stop();
    this.#emptied = this.#emptyBacklog().then(() => this.#endIdle());
    return this.#emptied.then(() => this.release());
  }

  /**
   * Accepts the backlog: its clients consider themselves connected, and closing the listener would reset
   * them.
   */
  async #emptyBacklog(): Promise<void> {
    let { accepted } = this.counters;
    for (let turn = 0, quiet = 0; turn < BACKLOG_TURNS && quiet < QUIET; turn++) {
      await pausedAndPolled();
      quiet = this.counters.accepted > accepted ? 0 : quiet + 1;
      ({ accepted } = this.counters);
    }
    this.#stopListening();
  }
  #emptied: Promise<void> | null = null;

  /**
   * Ends connections that stay idle. The listener is closed first: a client that is disconnected and connects
   * again would otherwise come back to this server.
   */
  #endIdle(): void {
    let check = 0, { requests } = this.counters;
    this.#idleChecks = setInterval(() => {
      // While other connections bring requests, an idle one is likely to bring one, too.
      const isBusy = this.counters.requests > requests && check++ < BUSY_CHECKS;
      ({ requests } = this.counters);
      for (const connection of this.#connections) connection.checkIdle(isBusy);
    }, IDLE_CHECK);
  }
  #idleChecks: ReturnType<typeof setInterval> | undefined;

  #stopListening(): void {
    if (!this.isListening) return;
    this.isListening = false;
    this.#listener.close();
    this.#pause.end();
  }

  /**
   * Stops listening, even if clients still wait to be accepted.
   *
   * @returns Resolves when the address is free.
   */
  async release(): Promise<void> {
    this.#stopListening();
    // The system frees the address when the last `accept()` has ended.
    await this.#accepting;
  }

  /** Ends all connections at once. */
  abort(reason: unknown): void {
    this.#isAborted = true;
    this.#stopListening();
    this.#tellAborted();
    for (const connection of this.#connections) connection.abort(reason);
    this.#allEnded.resolve();
  }

  /** Reports aborted requests. A handler that never ends leaves no line in the access log. */
  #tellAborted(): void {
    const aborted = [...this.connections()]
      .filter(({ state }) => state === "handling" || state === "sending");
    if (aborted.length === 0) return;
    const [{ method, target }] = aborted;
    const { shutdownGrace } = this.settings;
    this.#report(
      "warning",
      `shutdownGrace (${shutdownGrace} ms) expired; requests aborted: ${aborted.length}, ` +
        `the first of them "${method} ${target}"`,
    );
  }
}

/**
 * Whether accepting failed because the client had already disconnected. The server then accepts the next one
 * at once: if it paused, clients that connect and reset could keep all others out.
 */
function hasLeft(error: unknown): boolean {
  const { NotConnected, ConnectionAborted, ConnectionReset } = Deno.errors;
  return error instanceof NotConnected || error instanceof ConnectionAborted ||
    error instanceof ConnectionReset;
}

/**
 * Waits for some 2 ms, and until the event loop has polled. When there is no room, the pause limits how fast
 * new connections can drive out idle ones.
 */
async function pausedAndPolled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  await polled();
}

/** Disables Nagle's algorithm: each write is complete, so there is nothing to wait for before it is sent. */
function noDelay(conn: Deno.Conn): void {
  try {
    if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
  } catch {
    // macOS reports EINVAL if the client has disconnected; the first read will tell.
  }
}
