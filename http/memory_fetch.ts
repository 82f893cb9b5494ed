// fetch() without a socket: a request to an application in the same process.
//
// It goes over a connection in memory and through the same code as a request from the network, so the answer
// cannot differ from what a client on the network gets. Two things are left out: time limits on the client,
// which is this process, and the access log.

import * as h11 from "../h11.ts";
import { TrustedProxies } from "./client_addr.ts";
import { Clock } from "./clock.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { type Counters, newCounters } from "./counters.ts";
import { MemoryConn } from "./memory_conn.ts";
import type { Settings } from "./options.ts";
import { Chunks, knownBody } from "./response_body.ts";
import { beginTurn, isTurnLong, nextTurn } from "./turn.ts";

/** Bytes that are read from the connection at a time. */
const READ_SIZE = 16 * 1024;

/** What answers a request. */
export type Answering = Pick<ConnectionHost, "settings" | "handle">;

/**
 * Has `request` answered by `host`.
 *
 * @param isWhole Whether the length of the body is known although its stream has several chunks.
 * @throws The same errors as the application's `fetch()`.
 */
export async function memoryFetch(
  host: Answering,
  request: Request,
  isWhole = false,
): Promise<Response> {
  const { signal } = request;
  signal.throwIfAborted();
  const [conn, ours] = MemoryConn.pair();
  const client = new MemoryClient(ours);
  const onAbort = (): void => client.close(signal.reason);
  signal.addEventListener("abort", onAbort);
  // The connection ends when the client closes.
  new Connection(new MemoryHost(host), conn).serve();
  client.ended.then(() => signal.removeEventListener("abort", onAbort));
  void client.send(request, isWhole);
  return await client.response(request.method);
}

/** The server's side: the host of the connection. */
class MemoryHost implements ConnectionHost {
  readonly isClosing = false;
  readonly isListening = true;
  readonly settings: Settings;
  readonly clock: Clock = new StandingClock();
  readonly counters: Counters = newCounters();
  readonly trustedProxies: TrustedProxies | null;
  readonly handle: ConnectionHost["handle"];

  constructor(host: Answering) {
    const { trustedProxies } = host.settings;
    this.handle = host.handle;
    this.settings = { ...host.settings, proxyProtocol: false };
    this.trustedProxies = trustedProxies.length > 0 ? new TrustedProxies(trustedProxies) : null;
  }

  becameIdle(): void {}

  logAnswer(): void {}

  ended(): void {}

  logRefusal(): void {}
}

/** A clock that does not tick: there is no peer to wait for. */
class StandingClock extends Clock {
  protected override async keepTicking(): Promise<void> {}
}

/** The client's side: sends one request and reads the response. */
class MemoryClient {
  readonly #conn: MemoryConn;
  // There is no limit on what the application sends.
  readonly #protocol = new h11.Connection(h11.CLIENT, {
    maxIncompleteEventSize: Number.MAX_SAFE_INTEGER,
    maxFields: 0,
  });
  readonly #area = new Uint8Array(READ_SIZE);
  readonly #end = Promise.withResolvers<void>();
  /** Resolves when nothing more will be read. */
  readonly ended = this.#end.promise;
  #isClosed = false;
  /** Why the exchange was ended early; undefined if it was not. */
  #reason: unknown = undefined;

  constructor(conn: MemoryConn) {
    this.#conn = conn;
  }

  /** Ends the connection. If there is a reason, reads fail with it. */
  close(reason?: unknown): void {
    if (!this.#isClosed) this.#reason = reason;
    this.#shut("close");
  }

  /** @param how After a reset, the server knows at once that nobody reads. */
  #shut(how: "close" | "reset"): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn[how]();
    this.#end.resolve();
  }

  /** Sends the request. A failure is reported by the response, as far as that arrives. */
  async send(request: Request, isWhole: boolean): Promise<void> {
    let body: Uint8Array | Chunks<Uint8Array> | null = null;
    try {
      if (isWhole) body = await request.bytes();
      else if (request.body !== null) body = await knownBody(request.body);
      await this.#write(new h11.Request(headOf(request, body)));
      if (body instanceof Uint8Array) await this.#write(new h11.Data({ data: body }));
      else if (body !== null) {
        for (let next = await body.next(); !next.done; next = await body.next()) {
          await this.#write(new h11.Data({ data: next.value }));
          // A body at hand would keep the event loop from its timers, such as those of the server's limits.
          beginTurn();
          if (isTurnLong()) await nextTurn();
        }
      }
      await this.#write(new h11.EndOfMessage());
    } catch (error) {
      // The server may answer and close before it has read everything.
      if (error instanceof Deno.errors.BrokenPipe || this.#isClosed) {
        if (body instanceof Chunks) void body.return(error).catch(() => {});
      } else this.close(error);
    }
  }

  async #write(event: h11.Event): Promise<void> {
    for (const part of this.#protocol.sendWithDataPassthrough(event)!) {
      for (let at = 0; at < part.length;) at += await this.#conn.write(part.subarray(at));
    }
  }

  /** Reads the head of the response; its body is read on demand. */
  async response(method: string): Promise<Response> {
    const head = await this.#readHead();
    const { statusCode: status, reason: statusText } = head;
    const isBodiless = method === "HEAD" || status === 204 || status === 205 || status === 304;
    if (isBodiless || head.headers.get("content-length") === "0") {
      while (await this.#readData() !== null);
    }
    const body = isBodiless ? null : new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller): Promise<void> => {
        const data = await this.#readData();
        if (data === null) controller.close();
        else controller.enqueue(data);
      },
      cancel: () => this.#shut("reset"),
    }, { highWaterMark: 0 });
    const headers = [...head.headers];
    return new Response(body, { status, statusText, headers });
  }

  async #readHead(): Promise<h11.Response> {
    for (;;) {
      const event = await this.#read();
      if (event.type === "Response") return event;
      if (event.type === "InformationalResponse" && event.statusCode === 101) {
        const why = "Cannot fetch: the handler upgrades the connection, which requires a socket";
        this.close();
        throw new TypeError(`${why}; use testClient()`);
      }
    }
  }

  /** The next part of the body; null at its end, where the connection is closed. */
  async #readData(): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#isClosed && this.#reason === undefined) return null;
    const event = await this.#read();
    if (event.type === "Data") return event.data as Uint8Array<ArrayBuffer>;
    this.close();
    return null;
  }

  async #read(): Promise<h11.Event> {
    try {
      for (;;) {
        const event = this.#protocol.nextEvent();
        if (typeof event === "object") return event;
        const count = await this.#conn.read(this.#area);
        // Data events are views of this array, which readers may keep.
        this.#protocol.receiveData(this.#area.slice(0, count ?? 0));
      }
    } catch (cause) {
      this.close();
      if (this.#reason !== undefined) throw this.#reason;
      throw new TypeError("Cannot fetch: the application aborted the response", {
        cause,
      });
    }
  }
}

/** The head for a web request, framed as `fetch()` does it. */
function headOf(
  request: Request,
  body: Uint8Array | Chunks<Uint8Array> | null,
): { method: string; target: string; headers: [string, string][] } {
  const { method, headers } = request;
  const { host, pathname, search } = new URL(request.url);
  const fields: [string, string][] = [...headers];
  if (!headers.has("host")) fields.unshift(["host", host]);
  if (!headers.has("content-length") && !headers.has("transfer-encoding")) {
    const needsLength = method === "POST" || method === "PUT";
    if (body instanceof Uint8Array) fields.push(["content-length", String(body.length)]);
    else if (body !== null) fields.push(["transfer-encoding", "chunked"]);
    else if (needsLength) fields.push(["content-length", "0"]);
  }
  return { method, target: pathname + search, headers: fields };
}
