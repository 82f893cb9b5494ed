// One connection of a server in memory, with a clock that the test moves: what takes ten minutes takes
// no time, and nothing happens that the test did not ask for.

import { setImmediate } from "node:timers";
import { Clock, type Watched } from "../../http/clock.ts";
import { Connection, type ConnectionHost } from "../../http/connection.ts";
import { type Counters, newCounters } from "../../http/counters.ts";
import type { Exchange } from "../../http/exchange.ts";
import { toHTTPError } from "../../http/http_error.ts";
import { resolveOptions, type ServerOptions, type Settings } from "../../http/options.ts";
import { MemoryConn } from "../../http/memory_conn.ts";
import { isPollAwaited } from "../../http/turn.ts";
import { latin1 } from "./raw_client.ts";

class HandClock extends Clock {
  /** Begins at 0: whole milliseconds add up to what they should, fractions of one do not quite. */
  override watch(watched: Watched): void {
    super.watch(watched);
    this.now = 0;
  }

  protected override async keepTicking(): Promise<void> {}
}

/** A connection whose requests `handler` answers; `await using` ends it. */
export class ByHand implements ConnectionHost, AsyncDisposable {
  isClosing = false;
  isListening = true;
  readonly settings: Settings;
  readonly clock: Clock = new HandClock();
  readonly counters: Counters = newCounters();
  readonly trustedProxies = null;
  /** The lines that were logged about a client that was not served. */
  readonly refusals: string[] = [];
  /** The client's end. */
  readonly client: MemoryConn;
  /** The server's end. */
  readonly conn: MemoryConn;
  /** Whether the server has done with the connection. */
  hasEnded = false;
  readonly #handler: (exchange: Exchange) => unknown;
  readonly #ended = Promise.withResolvers<void>();

  constructor(handler: (exchange: Exchange) => unknown, options: ServerOptions = {}) {
    this.settings = resolveOptions({ accessLog: false, ...options });
    this.#handler = handler;
    [this.conn, this.client] = MemoryConn.pair();
    new Connection(this, this.conn).serve();
  }

  handle(exchange: Exchange): void | Promise<void> {
    try {
      const result = this.#handler(exchange);
      if (result instanceof Promise) return result.catch((error) => fail(exchange, error));
    } catch (error) {
      fail(exchange, error);
    }
  }

  becameIdle(): void {}

  ended(): void {
    this.hasEnded = true;
    this.#ended.resolve();
  }

  logAnswer(): void {}

  logRefusal(message: string): void {
    this.refusals.push(message);
  }

  /** Sends, and lets the server go on as far as it can. */
  async send(message: string): Promise<void> {
    const bytes = latin1(message);
    for (let at = 0; at < bytes.length;) at += await this.client.write(bytes.subarray(at));
    await settled();
  }

  /** Moves the clock on once the server has gone on as far as it can, and lets it go on again. */
  async pass(milliseconds: number): Promise<void> {
    await settled();
    this.clock.tick(this.clock.now + milliseconds);
    await settled();
  }

  /** Takes what has come from the server so far. */
  async received(): Promise<string> {
    await settled();
    let received = "";
    const area = new Uint8Array(4 * 1024);
    while (this.client.available > 0) {
      const count = await this.client.read(area);
      received += String.fromCharCode(...area.subarray(0, count!));
      await settled();
    }
    return received;
  }

  /** Adds all that comes to `received`, until the server ends the connection, or it is reset. */
  async collect(received: Uint8Array[]): Promise<void> {
    const area = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const count = await this.client.read(area);
        if (count === null) return;
        received.push(area.slice(0, count));
      }
    } catch {
      // What is missing is told by who looks for it.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.#ended.promise;
  }
}

function fail(exchange: Exchange, error: unknown): void {
  if (exchange.isResponded) return;
  const { status, message, headers } = toHTTPError(error);
  exchange.respond(status, message, headers);
}

/**
 * Resolves when all has gone on that waits for nothing outside: what promises do comes before it, and what lets the
 * event loop look first, as it does on a machine that has kept this process waiting.
 */
export async function settled(): Promise<void> {
  do await new Promise<void>((resolve) => setImmediate(() => resolve())); while (isPollAwaited());
}
