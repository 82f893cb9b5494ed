/**
 * WebSockets (RFC 6455) for an `HTTPListener`, in one call: the handshake, the origin check, pings, limits,
 * and a clean close when the server stops. The npm package `ws` implements the protocol.
 *
 * Programs need `--allow-env=WS_NO_BUFFER_UTIL`, a variable that `ws` reads.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { upgradeWebSocket } from "@tiny/listener/websocket";
 * import { assertEquals } from "@std/assert";
 *
 * await using app = new HTTPListener({ port: 0, accessLog: false });
 * app.onEvent("GET:/echo", async ({ ctx }) => {
 *   const socket = await upgradeWebSocket(ctx);
 *   socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
 * });
 * await app.start();
 *
 * const client = new WebSocket(`ws://127.0.0.1:${app.addr.port}/echo`);
 * client.onopen = () => client.send("Hi!");
 * const { data } = await new Promise<MessageEvent>((resolve) => client.onmessage = resolve);
 * assertEquals(data, "Hi!");
 * client.close();
 * await new Promise((resolve) => client.onclose = resolve);
 * ```
 *
 * @module
 */

// The whole room is this file: it depends on the door of the web framework, streams of Node.js, and ws.

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
// @ts-types="npm:@types/ws@8"
import { WebSocket, WebSocketServer } from "ws";
import { type HTTPContext, HTTPError } from "./http_context.ts";

/** The server's end of a connection: the class of the package `ws`, an `EventEmitter`. */
export type ServerWebSocket = WebSocket;

/** Options of {@linkcode upgradeWebSocket}. */
export interface UpgradeWebSocketOptions {
  /**
   * The origins whose pages may connect (RFC 6455 10.2). `"same"`, the default, allows pages of the host in
   * the `Host` field, and only `https` pages if the client uses `https`. `"any"` allows all pages; a list
   * allows the origins in it, such as `"https://app.example"`. A client that sends no `Origin` is not a
   * browser, and may connect.
   */
  origins?: "same" | "any" | readonly string[] | undefined;
  /**
   * The supported subprotocols, in order of preference: the first that the client offers is selected, or none
   * (RFC 6455 1.9).
   */
  protocols?: readonly string[] | undefined;
  /**
   * The maximum size of a message in bytes; 1 MiB by default, 0 for no limit. A longer message closes the
   * connection with 1009.
   */
  maxMessageSize?: number | undefined;
  /**
   * The maximum number of bytes that wait to be sent; 16 MiB by default, 0 for no limit. Each waiting message
   * counts as 600 bytes more, which is the memory that it takes. If more are waiting when `send()` is called,
   * the client is too slow, and is disconnected after an `"error"` that says so. `bufferedAmount` is the
   * number of waiting bytes; the callback of `send()` is called when the message has been sent.
   */
  maxBuffered?: number | undefined;
  /**
   * The time in milliseconds between two pings (RFC 6455 5.5.2); 30,000 by default, 0 for none. A client that
   * has neither answered the last ping nor sent anything else is disconnected, after an `"error"` that says
   * so, and so is one that takes none of the bytes that wait for it.
   */
  pingInterval?: number | undefined;
}

/** The largest number that timers and ws accept. */
const MAX = 2 ** 31 - 1;
/** Milliseconds that a client has to answer the close frame when the server stops. */
const LAST_WORD = 1_000;
/** Close codes for when the server goes away, and when it has failed (RFC 6455 7.4.1). */
const GOING_AWAY = 1001, INTERNAL_ERROR = 1011;
/** The number of bytes to read at a time. */
const PART_SIZE = 16 * 1024;
/** Bytes of memory that a write takes while it waits, besides its own; a message is one or two of them. */
const WRITE_OVERHEAD = 300;
/** A token (RFC 9110 5.6.2); subprotocols are tokens. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** An `Origin` whose scheme is not http or https (RFC 6454 6.2): no path, and no upper case. */
const OTHER_ORIGIN = /^([a-z][a-z0-9+.-]*:\/\/[^/A-Z]+|null)$/;

/**
 * Answers a WebSocket handshake, and returns the server's end of the connection.
 *
 * The request stays in flight until the connection is closed, even after its handler has returned: it counts
 * toward `maxConnections`, and `stop()` closes the connection with code 1001 and waits for it. If the handler
 * fails, or its `handlerTimeout` expires, the connection is closed with 1011.
 *
 * Listen for messages before you await anything else: those that arrive in between are lost. Errors of the
 * connection are emitted as `"error"` if there are listeners for it, and `"close"` follows. A listener has to
 * catch what it throws itself, for example by `JSON.parse()`: as in any event listener of Node.js, an
 * uncaught error ends the process.
 *
 * Fields set by `ctx.setHeader()` are not in the response to the handshake. Messages are not compressed.
 *
 * @returns The open `WebSocket` of the package `ws`, an `EventEmitter`.
 * @throws {HTTPError} 426: the request is not a handshake, or not of version 13. 400: its key is invalid, or
 * it has a body. 403: pages of this origin may not connect.
 * @throws {RangeError} The value of an option is invalid.
 * @throws {TypeError} A response was already sent.
 */
export function upgradeWebSocket(
  ctx: HTTPContext,
  options: UpgradeWebSocketOptions = {},
): Promise<ServerWebSocket> {
  const upgraded = upgrade(ctx, options);
  // What a client does must not end the process if nothing handles the rejection.
  upgraded.catch(() => {});
  return upgraded;
}

async function upgrade(ctx: HTTPContext, options: UpgradeWebSocketOptions): Promise<WebSocket> {
  const { maxMessageSize = 1024 * 1024, maxBuffered = 16 * 1024 * 1024, pingInterval = 30_000 } =
    options;
  for (const [name, value] of Object.entries({ maxMessageSize, maxBuffered, pingInterval })) {
    if (Number.isInteger(value) && value >= 0 && value <= MAX) continue;
    throw new RangeError(`Cannot set ${name} to ${value}: must be an integer from 0 to ${MAX}`);
  }
  const headers = checkHandshake(ctx);
  checkOrigin(ctx, options.origins ?? "same");
  const protocol = chooseProtocol(ctx, options.protocols ?? []);
  if (protocol !== undefined) headers["sec-websocket-protocol"] = protocol;
  const { promise: closed, resolve: onClose } = Promise.withResolvers<void>();
  const { conn, head } = await ctx.upgrade({ raw: true, closed });
  const stream = new ConnectionStream(conn);
  let client: Client;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: maxMessageSize,
    WebSocket: Client,
  });
  // What ws would refuse has been refused above, so it calls back synchronously.
  server.handleUpgrade({ method: "GET", headers } as never, stream, head as Buffer, (it) => {
    client = it;
  });
  client!.limit(maxBuffered, stream);
  client!.on("close", onClose);
  // ws ends the connection on an error by itself, and would throw without a listener.
  client!.on("error", () => {});
  endInTime(client!, ctx);
  if (pingInterval > 0) ping(client!, stream, pingInterval);
  return client!;
}

/**
 * Checks the handshake.
 *
 * @returns The fields that ws reads.
 * @throws {HTTPError} The request is not a handshake (RFC 6455 4.2.1).
 */
function checkHandshake({ method, httpVersion, headers }: HTTPContext): Record<string, string> {
  const fields = { Upgrade: "websocket", Connection: "Upgrade" };
  if (
    method !== "GET" || httpVersion === "1.0" || !has(headers.get("upgrade"), "websocket") ||
    !has(headers.get("connection"), "upgrade")
  ) {
    throw new HTTPError(426, "Expected a WebSocket handshake", { headers: fields });
  }
  if (headers.get("sec-websocket-version") !== "13") {
    throw new HTTPError(426, "The WebSocket version must be 13", {
      headers: { ...fields, "Sec-WebSocket-Version": "13" },
    });
  }
  const key = headers.get("sec-websocket-key") ?? "";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(key)) throw new HTTPError(400, "Sec-WebSocket-Key is invalid");
  if (headers.has("transfer-encoding") || (headers.get("content-length") ?? "0") !== "0") {
    throw new HTTPError(400, "A WebSocket handshake must not have a body");
  }
  return { upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": key };
}

/** The members of a list (RFC 9110 5.6.1); a missing field counts as an empty one. */
function membersOf(list: string | null): string[] {
  return (list ?? "").split(",").map((member) => member.trim());
}

function has(list: string | null, name: string): boolean {
  return membersOf(list).some((member) => member.toLowerCase() === name);
}

/** @throws {HTTPError} A browser sent the request for a page that may not connect (RFC 6455 4.2.2). */
function checkOrigin(
  { headers, scheme }: HTTPContext,
  origins: "same" | "any" | readonly string[],
): void {
  if (typeof origins === "string" && origins !== "same" && origins !== "any") {
    throw new RangeError(`Cannot set origins to "${origins}": must be "same", "any" or a list`);
  }
  const wrong = typeof origins === "string" ? undefined : origins.find((it) => !isOrigin(it));
  if (wrong !== undefined) {
    throw new RangeError(
      `Cannot allow origin "${wrong}": must be as browsers send it, such as "https://app.example"`,
    );
  }
  const origin = headers.get("origin");
  if (origin === null || origins === "any") return;
  const isAllowed = origins === "same"
    ? isOfHost(origin, headers.get("host") ?? "", scheme)
    : origins.includes(origin);
  if (!isAllowed) throw new HTTPError(403, "Pages of this origin are not allowed to connect");
}

/** Whether a browser may send this as `Origin`: in ASCII, without a default port. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) ? URL.parse(text)?.origin === text : OTHER_ORIGIN.test(text);
}

/**
 * Whether `origin` is that of `host`. A page loaded over http does not belong to a host requested over https,
 * because it may have been forged on the way. A page loaded over https does belong to a host requested over
 * http: a proxy in front may terminate TLS without saying so.
 */
function isOfHost(origin: string, host: string, scheme: string): boolean {
  const page = URL.parse(origin);
  // Pages of applications and extensions have schemes of their own, such as "capacitor://localhost".
  if (page?.protocol !== "https:" && (page?.protocol !== "http:" || scheme === "https")) {
    return false;
  }
  // Parsed with the scheme of the page, so that a default port is dropped from both.
  return page.host === URL.parse(`${page.protocol}//${host}`)?.host;
}

function chooseProtocol({ headers }: HTTPContext, ours: readonly string[]): string | undefined {
  const wrong = ours.find((it) => !TOKEN.test(it));
  if (wrong !== undefined) {
    throw new RangeError(`Cannot offer protocol "${wrong}": must be a token (RFC 6455 4.1)`);
  }
  const offered = membersOf(headers.get("sec-websocket-protocol"));
  return ours.find((it) => offered.includes(it));
}

/** Closes the connection when the server stops, or earlier if the request ends because its handler failed. */
function endInTime(client: WebSocket, ctx: HTTPContext): void {
  const { stopSignal } = ctx.listener;
  let cut: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => {
    client.close(GOING_AWAY);
    cut = setTimeout(() => client.terminate(), LAST_WORD);
  };
  if (stopSignal.aborted) stop();
  else stopSignal.addEventListener("abort", stop);
  client.on("close", () => {
    stopSignal.removeEventListener("abort", stop);
    clearTimeout(cut);
  });
  const fail = (): void => client.close(INTERNAL_ERROR);
  ctx.completed.then(fail, fail);
}

/** Checks periodically whether the client is still there. */
function ping(client: Client, stream: ConnectionStream, interval: number): void {
  let isWaiting = false;
  const timer = setInterval(() => {
    // While the connection is paused, nothing is read, but the client may have stopped taking data.
    if (!stream.isAlive && (isWaiting || !client.isPaused)) {
      return client.cut(`the client has not answered a ping within ${interval} ms`);
    }
    stream.isAlive = client.isPaused && !isWaiting;
    if (isWaiting) return;
    isWaiting = true;
    stream.countsWrites = stream.writableLength > 0;
    // While the connection is being closed, no ping is sent, and only what the client takes counts.
    client.ping(undefined, false, (error) => isWaiting = stream.countsWrites = Boolean(error));
  }, interval);
  client.on("close", () => clearInterval(timer));
}

/** A WebSocket that is cut off if too much waits to be sent. */
class Client extends WebSocket {
  #maxBuffered = 0;
  #stream: ConnectionStream | null = null;

  /** Sets the number of bytes that may wait, 0 for no limit, and the stream on which they do. */
  limit(maxBuffered: number, stream: ConnectionStream): void {
    this.#maxBuffered = maxBuffered;
    this.#stream = stream;
  }

  // deno-lint-ignore no-explicit-any -- covers all overloads
  override send(...args: [any, any?, any?]): void {
    if (this.#maxBuffered > 0 && this.#isOpen && this.#buffered > this.#maxBuffered) {
      this.cut(
        `more than ${this.#maxBuffered} bytes are waiting to be sent: the client is too slow`,
      );
    }
    super.send(...args);
  }

  /** Ends the connection without a closing handshake, and tells why. */
  cut(why: string): void {
    this.emit("error", new Error(`Cannot keep the connection open: ${why}`));
    this.terminate();
  }

  get #isOpen(): boolean {
    return this.readyState === WebSocket.OPEN;
  }

  /** Bytes of memory that what waits to be sent takes. */
  get #buffered(): number {
    return this.bufferedAmount + this.#stream!.waitingWrites * WRITE_OVERHEAD;
  }
}

/**
 * A connection as the Node.js stream that ws works on: it reads on demand, and a write lasts until the socket
 * has taken all of it.
 */
class ConnectionStream extends Duplex {
  /** Whether data arrived, or `countsWrites` is set and some was taken, since this was set to false. */
  isAlive = true;
  /** Set while a ping waits behind other data: if the client takes that, this shows as much as an answer. */
  countsWrites = false;
  /** The number of writes that wait, or are under way. */
  waitingWrites = 0;
  readonly #conn: Deno.Conn;
  readonly #buffer = new Uint8Array(PART_SIZE);

  constructor(conn: Deno.Conn) {
    super();
    this.#conn = conn;
  }

  override _read(): void {
    this.#conn.read(this.#buffer).then(
      (count) => {
        if (this.destroyed) return;
        this.isAlive = true;
        // ws keeps what is pushed, and the buffer is reused.
        this.push(count === null ? null : this.#buffer.slice(0, count));
      },
      (error) => this.destroy(error),
    );
  }

  // deno-lint-ignore no-explicit-any -- covers all overloads
  override write(...args: [any, any?, any?]): boolean {
    this.waitingWrites++;
    return super.write(...args);
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#writeAll(bytes, 1).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): void {
    const bytes = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.#writeAll(bytes, chunks.length).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    try {
      this.#conn.close();
    } catch {
      // The server has already closed it.
    }
    done(error);
  }

  async #writeAll(bytes: Uint8Array, writes: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
      this.isAlive ||= this.countsWrites;
    }
    this.waitingWrites -= writes;
  }
}
