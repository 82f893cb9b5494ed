/**
 * WebSockets (RFC 6455) for an `HTTPListener`, in one call: the handshake, the check of the page's origin, pings,
 * limits, and the good-bye when the server stops. What speaks the protocol is the npm package `ws`.
 *
 * Programs need `--allow-env=WS_NO_BUFFER_UTIL`, which `ws` asks for.
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

// The whole room: it needs nothing but the door of the web framework, streams of Node.js, and ws.

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
// @ts-types="npm:@types/ws@8"
import { WebSocket, WebSocketServer } from "ws";
import { type HTTPContext, HTTPError } from "./http_context.ts";

/** A connection here: the class of the package ws, an `EventEmitter`. */
export type ServerWebSocket = WebSocket;

/** Options of {@linkcode upgradeWebSocket}. */
export interface UpgradeWebSocketOptions {
  /**
   * Whose pages may connect (RFC 6455 10.2): `"same"`, if not given, for those of the host that was asked for, by the
   * `Host` field, and of `https` where the client speaks that; `"any"`; or a list of origins as
   * `"https://app.example"`. A client that sends no `Origin` is no browser, and may connect.
   */
  origins?: "same" | "any" | readonly string[] | undefined;
  /** Subprotocols, best first: the first that the client offers is taken, or none (RFC 6455 1.9). */
  protocols?: readonly string[] | undefined;
  /** Bytes of a message at most, 1 MiB if not given, 0 for no limit; a longer one ends the connection with 1009. */
  maxMessageSize?: number | undefined;
  /**
   * Bytes that may wait to be sent, 16 MiB if not given, 0 for no limit: a client for which more are waiting when
   * `send()` is called is too slow, and is cut. `bufferedAmount` tells how many there are; the callback of `send()`,
   * when a message is sent.
   */
  maxBuffered?: number | undefined;
  /**
   * Milliseconds between two pings (RFC 6455 5.5.2), 30,000 if not given, 0 for none: a client that has not
   * answered the last one, nor sent anything else, is cut, and so is one that takes nothing of what waits for it.
   */
  pingInterval?: number | undefined;
}

/** What timers and ws can count to. */
const MAX = 2 ** 31 - 1;
/** Milliseconds that a client has to answer the close when the server stops. */
const LAST_WORD = 1_000;
/** Code of a close when the server goes away, and when it has failed (RFC 6455 7.4.1). */
const GOING_AWAY = 1001, INTERNAL_ERROR = 1011;
/** Bytes that are read at a time. */
const PART_SIZE = 16 * 1024;
/** A token (RFC 9110 5.6.2), as subprotocols are. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** An `Origin` of a scheme that is not of the web (RFC 6454 6.2): no path, and nothing in upper case. */
const OTHER_ORIGIN = /^([a-z][a-z0-9+.-]*:\/\/[^/A-Z]+|null)$/;

/**
 * Answers the handshake of a WebSocket, and gives its end here.
 *
 * The request goes on until the connection is closed, though its handler has returned: so it counts for
 * `maxConnections`, and `stop()` waits for it, having closed it with code 1001. Where the handler fails, or its
 * `handlerTimeout` is over, it is closed with 1011.
 *
 * Listen for messages before you wait for anything else, or those that come meanwhile are lost. An error of the
 * connection is told to listeners for `"error"`, where there are any, and `"close"` follows. What a listener
 * throws itself, as `JSON.parse()` may, is for it to catch: like any error in an event of Node.js it ends the process.
 *
 * The fields of `ctx.setHeader()` are not in the answer. Messages are not compressed.
 *
 * @returns The `WebSocket` of the package ws, open: an `EventEmitter`.
 * @throws {HTTPError} 426: the request is no handshake, or not of version 13. 400: its key is not valid, or it has a
 * body. 403: the page's origin may not connect.
 * @throws {RangeError} The value of an option is not one that it takes.
 * @throws {TypeError} A response was sent before.
 */
export function upgradeWebSocket(
  ctx: HTTPContext,
  options: UpgradeWebSocketOptions = {},
): Promise<ServerWebSocket> {
  const upgraded = upgrade(ctx, options);
  // What a client does must not end the process where nobody looks at the outcome.
  upgraded.catch(() => {});
  return upgraded;
}

async function upgrade(ctx: HTTPContext, options: UpgradeWebSocketOptions): Promise<WebSocket> {
  const { maxMessageSize = 1024 * 1024, maxBuffered = 16 * 1024 * 1024, pingInterval = 30_000 } =
    options;
  for (const [name, value] of Object.entries({ maxMessageSize, maxBuffered, pingInterval })) {
    if (Number.isInteger(value) && value >= 0 && value <= MAX) continue;
    throw new RangeError(`Cannot set ${name} to ${value}: must be a whole number from 0 to ${MAX}`);
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
  // What it would refuse was refused before, so it calls back at once.
  server.handleUpgrade({ method: "GET", headers } as never, stream, head as Buffer, (it) => {
    client = it;
  });
  client!.maxBuffered = maxBuffered;
  client!.on("close", onClose);
  // It ends the connection by itself, and throws where nobody listens.
  client!.on("error", () => {});
  endInTime(client!, ctx);
  if (pingInterval > 0) ping(client!, stream, pingInterval);
  return client!;
}

/** @returns The fields that ws looks at. @throws {HTTPError} It is no handshake (RFC 6455 4.2.1). */
function checkHandshake({ method, httpVersion, headers }: HTTPContext): Record<string, string> {
  const fields = { Upgrade: "websocket", Connection: "Upgrade" };
  if (
    method !== "GET" || httpVersion === "1.0" || !has(headers.get("upgrade"), "websocket") ||
    !has(headers.get("connection"), "upgrade")
  ) {
    throw new HTTPError(426, "This is for WebSockets", { headers: fields });
  }
  if (headers.get("sec-websocket-version") !== "13") {
    throw new HTTPError(426, "The version of WebSocket must be 13", {
      headers: { ...fields, "Sec-WebSocket-Version": "13" },
    });
  }
  const key = headers.get("sec-websocket-key") ?? "";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(key)) throw new HTTPError(400, "Sec-WebSocket-Key is wrong");
  if (headers.has("transfer-encoding") || (headers.get("content-length") ?? "0") !== "0") {
    throw new HTTPError(400, "A WebSocket handshake has no body");
  }
  return { upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": key };
}

/** The members of a list (RFC 9110 5.6.1); none of a field that is not there. */
function membersOf(list: string | null): string[] {
  return (list ?? "").split(",").map((member) => member.trim());
}

function has(list: string | null, name: string): boolean {
  return membersOf(list).some((member) => member.toLowerCase() === name);
}

/** @throws {HTTPError} A browser has sent it for a page that may not connect (RFC 6455 4.2.2). */
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
      `Cannot allow origin "${wrong}": must be as browsers send it, like "https://app.example"`,
    );
  }
  const origin = headers.get("origin");
  if (origin === null || origins === "any") return;
  const isAllowed = origins === "same"
    ? isOfHost(origin, headers.get("host") ?? "", scheme)
    : origins.includes(origin);
  if (!isAllowed) throw new HTTPError(403, "Pages of this origin may not connect");
}

/** Whether a browser may send this as `Origin`: without a default port, and in ASCII. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) ? URL.parse(text)?.origin === text : OTHER_ORIGIN.test(text);
}

/**
 * Whether `origin` is that of `host`. A page of http is not that of a host that is asked by https: anybody on the way
 * may have written it. One of https is that of a host asked by http, as a proxy in front may speak TLS and not tell.
 */
function isOfHost(origin: string, host: string, scheme: string): boolean {
  const page = URL.parse(origin);
  // Those of applications and extensions, as "capacitor://localhost", have schemes of their own.
  if (page?.protocol !== "https:" && (page?.protocol !== "http:" || scheme === "https")) {
    return false;
  }
  // So the default port of either is left out.
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

/** Closes the connection when the server stops, and when the request is over before, as its handler has failed. */
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

/** Asks again and again whether the client is there. */
function ping(client: WebSocket, stream: ConnectionStream, interval: number): void {
  let isWaiting = false;
  const timer = setInterval(() => {
    // What it sends is not read while the connection is paused, but then it may still take nothing.
    if (!stream.isAlive && (isWaiting || !client.isPaused)) return client.terminate();
    stream.isAlive = client.isPaused && !isWaiting;
    if (isWaiting) return;
    isWaiting = true;
    stream.countsWrites = stream.writableLength > 0;
    // Where the connection is being closed there is none, and only what the client takes tells.
    client.ping(undefined, false, (error) => isWaiting = stream.countsWrites = Boolean(error));
  }, interval);
  client.on("close", () => clearInterval(timer));
}

/** One that is cut where too much waits for it. */
class Client extends WebSocket {
  maxBuffered = 0;

  // deno-lint-ignore no-explicit-any -- overloads, which all end there
  override send(...args: [any, any?, any?]): void {
    if (this.maxBuffered > 0 && this.bufferedAmount > this.maxBuffered) this.terminate();
    super.send(...args);
  }
}

/** A connection as the stream of Node.js that ws works on: it reads when asked, and a write takes as long as it takes. */
class ConnectionStream extends Duplex {
  /** Whether something has come, or was taken of what `countsWrites`, since it was set to false. */
  isAlive = true;
  /** A ping waits behind what is written: that the client takes it tells as much as an answer. */
  countsWrites = false;
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
        // What is pushed is kept, and the buffer is used again.
        this.push(count === null ? null : this.#buffer.slice(0, count));
      },
      (error) => this.destroy(error),
    );
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#writeAll(bytes).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "", done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    try {
      this.#conn.close();
    } catch {
      // The server has cut it.
    }
    done(error);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
      this.isAlive ||= this.countsWrites;
    }
  }
}
