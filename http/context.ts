// HTTPContext: one exchange as a handler sees it.

import type { Headers, HeadersInit } from "../h11.ts";
import { Context, type Route } from "../listener.ts";
import { type Exchange, handled, type Upgraded } from "./exchange.ts";
import { isWholeForm, parseForm } from "./form.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { pathOf, queryOf, urlOf } from "./target.ts";
import type { ResponseBody } from "./response_body.ts";
import { NO_HEADERS } from "./response_head.ts";
import { shown } from "./shown.ts";
import { type RequestSource, webRequest } from "./web_request.ts";

/** The exchange that the next context to be constructed belongs to. */
let next: Exchange | null = null;

/**
 * Binds the next context to be constructed to `exchange`, from its constructor on, so that an application's
 * context class can read the request there; null for none. For `http_listener.ts` only.
 */
export function bindNext(exchange: Exchange | null): void {
  next = exchange;
}

/** Binds a context to its exchange; for `http_listener.ts` only. */
export let bindExchange: (ctx: HTTPContext, exchange: Exchange) => void;

function takeNext(): Exchange | null {
  const exchange = next;
  next = null;
  return exchange;
}

/**
 * Returns the exchange that a context belongs to.
 *
 * @throws {TypeError} The context belongs to no exchange.
 */
export let exchangeOf: (ctx: HTTPContext) => Exchange;
/** The same, but returns null for a context that belongs to no exchange. */
export let exchangeIn: (ctx: HTTPContext) => Exchange | null;

/** Options of {@linkcode HTTPContext.upgrade}. */
export interface UpgradeOptions {
  /** Header fields of the response. `Upgrade` and `Connection` are added if they are missing. */
  headers?: HeadersInit | undefined;
  /** Sends no response and ignores `headers`: the handler, or a library that it uses, writes the response. */
  raw?: boolean | undefined;
  /**
   * Settles when whoever took over the connection has closed it. Until then, the request stays in flight even
   * after its handler has returned: the connection counts toward `maxConnections`, its context stays alive,
   * and `stop()` waits for it.
   */
  closed?: PromiseLike<unknown> | undefined;
}

/**
 * One exchange: a request and its response. Handlers receive it as `event.ctx`.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 *
 * const app = new HTTPListener();
 * app.onEvent("POST:/echo", async ({ ctx }) => {
 *   ctx.response(200, await ctx.text(), { "X-Method": ctx.method });
 * });
 * ```
 */
export class HTTPContext extends Context {
  #exchange: Exchange | null = takeNext();
  #query: URLSearchParams | null = null;
  #request: Request | null = null;

  static {
    bindExchange = (ctx, exchange) => {
      // A context constructed in between may have taken the exchange.
      ctx.#exchange = exchange;
      exchange.context = ctx;
    };
    exchangeOf = (ctx) => ctx.#bound;
    exchangeIn = (ctx) => ctx.#exchange;
  }

  get #bound(): Exchange {
    if (this.#exchange === null) {
      throw new TypeError(
        "Cannot use this HTTPContext: it has no request; use the one that the server creates for each request, not one from newCtx()",
      );
    }
    return this.#exchange;
  }

  /** The request method; case-sensitive. */
  get method(): string {
    return this.#bound.request.method;
  }

  /** The request target as sent, including its query (RFC 9112 3.2). */
  get target(): string {
    return this.#bound.request.target;
  }

  /**
   * The path of the target, which routes match. Dot segments are removed ("/a/../b" becomes "/b"), but
   * nothing is decoded.
   */
  get path(): string {
    return pathOf(this.target);
  }

  /** The query of the target, decoded. */
  get query(): URLSearchParams {
    return this.#query ??= new URLSearchParams(queryOf(this.target));
  }

  /**
   * The header fields of the request. They are read-only, and not a web `Headers`: where one is required, use
   * `ctx.request.headers`.
   */
  get headers(): Headers {
    return this.#bound.request.headers;
  }

  /**
   * The scheme that the client uses: the one in `Forwarded` or `X-Forwarded-Proto` if the field comes from
   * one of `trustedProxies`, otherwise that of the connection, or of the PROXY header with `proxyProtocol`.
   */
  get scheme(): "http" | "https" {
    return this.#bound.scheme;
  }

  /** The HTTP version of the request, "1.1" or "1.0". */
  get httpVersion(): string {
    return this.#bound.request.httpVersion;
  }

  /** The address of the client. Behind proxies, see `trustedProxies` and `proxyProtocol`. */
  get remoteAddr(): Deno.Addr {
    return this.#bound.remoteAddr;
  }

  /**
   * The remote address of the socket, regardless of `trustedProxies` and `proxyProtocol`. Behind proxies,
   * this is the address of the last proxy.
   */
  get peerAddr(): Deno.Addr {
    return this.#bound.connection.socket.conn.remoteAddr;
  }

  /** The local address of the socket, regardless of `proxyProtocol`. */
  get localAddr(): Deno.Addr {
    return this.#bound.connection.socket.conn.localAddr;
  }

  /**
   * The request as a web `Request`, created on first access. It has the same body as `ctx.body`, and its
   * signal is that of the event.
   *
   * @throws {HTTPError} 501: a `Request` cannot have this method, for example CONNECT or TRACE. 400: the
   * target and `Host` do not form a valid URL of `http` or `https`.
   */
  get request(): Request {
    if (this.#request === null) {
      const method = webMethod(this.method);
      if (method === null) throw new HTTPError(501);
      const { request, scheme } = this.#bound;
      const url = urlOf(request, request.headers.get("host"), scheme, this.localAddr);
      if (url === null) throw new HTTPError(400);
      this.#request = webRequest(new ContextSource(this, method, url));
    }
    return this.#request;
  }

  /**
   * The request body as a stream, which reads from the socket on demand. It is a byte stream: with a BYOB
   * reader, a body that has a `Content-Length` goes from the socket directly into the reader's buffer.
   *
   * @throws {TypeError} The body was already read as a whole, or a read of it is in progress.
   */
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#bound.body.stream();
  }

  /**
   * Reads the next part of the request body into `buffer`, like `Deno.Conn.read()`. For a large body, this
   * takes the least time and memory: if the body has a `Content-Length` and `buffer` spans its entire
   * `ArrayBuffer`, bytes go from the socket directly into `buffer`. The rest of the body may be read by
   * another method, but then no longer by `read()`. `maxBodySize` does not apply.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const app = new HTTPListener();
   * app.onEvent("POST:/size", async ({ ctx }) => {
   *   const buffer = new Uint8Array(64 * 1024);
   *   let size = 0;
   *   for (let count; (count = await ctx.read(buffer)) !== null;) size += count;
   *   return ctx.response(200, `${size}`);
   * });
   * ```
   *
   * @param buffer Must not be accessed until the promise settles. Sizes from 64 KiB to 256 KiB work best. If
   * the promise rejects, the buffer may have been detached, leaving it with length 0, because bytes that
   * arrive late might still be written to it. The buffer of a `WebAssembly.Memory` cannot be detached: pass a
   * part of it.
   * @returns The number of bytes read, at least one; null at the end of the body.
   * @throws {TypeError} `buffer` is empty or not a `Uint8Array`, another read is in progress, the body was
   * already taken as a stream or as a whole, or the exchange is over.
   * @throws {HTTPError} 400: the framing of the body is invalid, or the client closed the connection before
   * the end of the body. 408: the body did not arrive in time. If the connection is lost, the error says so
   * instead. If the client has left, `event.signal` is aborted before the promise rejects; if it sent an
   * invalid body, it is not.
   */
  read(buffer: Uint8Array): Promise<number | null> {
    return handled(this.#bound.body.readInto(buffer));
  }

  /**
   * Reads the whole request body.
   *
   * @throws {HTTPError} 413: the body exceeds `maxBodySize`. Otherwise as for {@linkcode HTTPContext.read}.
   * @throws {TypeError} The body was already read.
   */
  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return handled(this.#bound.body.bytes());
  }

  /**
   * Reads the request body as UTF-8 text.
   *
   * @throws As {@linkcode HTTPContext.bytes} does.
   */
  text(): Promise<string> {
    return this.#convert(decode);
  }

  /**
   * Reads the request body and parses it as JSON.
   *
   * @throws {HTTPError} 400: the body is not valid JSON. Otherwise as for {@linkcode HTTPContext.bytes}.
   */
  json(): Promise<unknown> {
    return this.#convert(parseJSON);
  }

  /** Resolves with the result of `convert` for the body; `convert` must not keep the bytes. */
  #convert<T>(convert: (bytes: Uint8Array) => T): Promise<T> {
    try {
      const { body } = this.#bound;
      const whole = body.takeWhole();
      if (whole === null) return handled(body.bytes().then(convert));
      body.checkSize(whole.length);
      return Promise.resolve(convert(whole));
    } catch (error) {
      return handled(Promise.reject(error));
    }
  }

  /**
   * Reads the request body as a form: `application/x-www-form-urlencoded` or `multipart/form-data`.
   *
   * @throws {HTTPError} 415: the body has another content type. 400: the body is not a valid form of its
   * type. 413: it has more than 10,000 fields. Otherwise as for {@linkcode HTTPContext.bytes}.
   */
  formData(): Promise<FormData> {
    return handled(this.#formData());
  }

  async #formData(): Promise<FormData> {
    const type = this.headers.get("content-type") ?? "";
    if (!/^(application\/x-www-form-urlencoded|multipart\/form-data)\s*(;|$)/i.test(type)) {
      throw new HTTPError(415, "The body must be a form");
    }
    const bytes = await this.bytes();
    try {
      if (!isWholeForm(type, bytes)) throw new TypeError("The multipart body is incomplete");
      return await parseForm(type, bytes);
    } catch (cause) {
      if (cause instanceof HTTPError) throw cause;
      throw new HTTPError(400, "The body is not a valid form", { cause });
    }
  }

  /** The trailer fields of the request; null until the body has been read to its end. */
  get trailers(): Headers | null {
    return this.#bound.body.trailers;
  }

  /** The route that handles the request; null if there is none, as for a 404. */
  get route(): Route | null {
    return this.#bound.route;
  }

  /** The status of the response; 0 until the response begins. */
  get status(): number {
    return this.#bound.status;
  }

  /** The number of bytes of the response body sent so far, without framing. */
  get bytesSent(): number {
    return this.#bound.bytes;
  }

  /**
   * The error, if something failed: one thrown by the handler that no {@linkcode Listener.onError} hook took,
   * one that occurred while the response was sent, or the `HTTPError` for a request without a route.
   */
  get error(): unknown {
    return this.#bound.error;
  }

  /** Whether the response has begun. */
  get isResponded(): boolean {
    return this.#bound.isResponded;
  }

  /**
   * Resolves when the whole response has been written to the socket; rejects with `Deno.errors.Interrupted`
   * if that was impossible. If nothing handles the rejection, it is ignored, but a promise derived from this
   * one, for example by `finally()`, needs a `catch()`. Access it before the exchange is over.
   */
  get completed(): Promise<void> {
    return this.#bound.completed;
  }

  /**
   * Sends the response.
   *
   * `Date`, `Content-Length` and, for text and bytes, `Content-Type` are added if `headers` does not contain
   * them. A stream or an async iterable is sent as it is produced. Bytes over 16 KiB are not copied: do not
   * modify their array until {@linkcode HTTPContext.completed} resolves.
   *
   * If the response comes too late, because the client has disconnected, `handlerTimeout` has expired, or the
   * handler has ended without a response, the body is discarded, and the log says why. No error is thrown,
   * because it would hide the original one.
   *
   * @param status A status code from 200 to 599.
   * @returns If the body is a stream, a promise that resolves when the body has been sent, and rejects with
   * the error of the stream.
   * @throws {TypeError} A response was already sent, or the exchange is over; or an argument has the wrong
   * type.
   * @throws {RangeError} `status` is not from 200 to 599.
   * @throws {h11.LocalProtocolError} The status or a field is invalid.
   */
  response(status: number, body?: ResponseBody, headers?: HeadersInit): void | Promise<void> {
    if (headers !== undefined && typeof headers !== "object") {
      throw new TypeError(
        `Cannot respond with the header fields ${shown(headers)}: ` +
          'must be an object, as in { "Content-Type": "text/html" }',
      );
    }
    return this.#bound.respond(status, body ?? null, headers ?? NO_HEADERS);
  }

  /**
   * Sets a header field of the response, whether that comes from the handler, a hook, or the server itself
   * (if no route matches or something fails). A field of the same name in the response itself takes
   * precedence.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   * import { assertEquals } from "@std/assert";
   *
   * const app = new HTTPListener();
   * app.aroundRequest((ctx, next) => {
   *   ctx.setHeader("Access-Control-Allow-Origin", "*");
   *   return next();
   * });
   * const response = await app.fetch("/nowhere");
   * assertEquals([response.status, response.headers.get("access-control-allow-origin")], [404, "*"]);
   * ```
   *
   * @throws {TypeError} The response has begun, or the field frames the body (RFC 9112 6).
   * @throws {h11.LocalProtocolError} The field is invalid.
   */
  setHeader(name: string, value: string): void {
    this.#bound.addField(name, value, true);
  }

  /**
   * Like {@linkcode HTTPContext.setHeader}, but keeps other fields of that name, as `Set-Cookie` requires.
   *
   * @throws As {@linkcode HTTPContext.setHeader} does.
   */
  appendHeader(name: string, value: string): void {
    this.#bound.addField(name, value, false);
  }

  /**
   * Sends a web `Response`.
   *
   * @throws As {@linkcode HTTPContext.response} does.
   */
  respondWith(response: Response): Promise<void> {
    return this.#bound.respondWith(response) ?? Promise.resolve();
  }

  /**
   * Sends an interim response, such as 103 (Early Hints). HTTP/1.0 clients do not get one (RFC 9110 15.2).
   * Send one only to clients and proxies that support it. Others, such as nginx before 1.29 and Python's
   * `http.client`, mistake it for the final response, and mix up the responses that follow.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const app = new HTTPListener();
   * app.onEvent("GET:/", ({ ctx }) => {
   *   ctx.informational(103, { Link: "</style.css>; rel=preload; as=style" });
   *   ctx.response(200, "...");
   * });
   * ```
   *
   * @param status A status code from 100 to 199, except 101: for that, use {@linkcode HTTPContext.upgrade}.
   * @throws {TypeError} `status` is 101, the response has begun, or the exchange is over.
   * @throws {h11.LocalProtocolError} The status or a field is invalid.
   */
  informational(status: number, headers: HeadersInit = NO_HEADERS): void {
    this.#bound.inform(status, headers);
  }

  /**
   * Sets the trailer fields, which follow the body of a response that is sent afterward or is being sent.
   * They are not sent to an HTTP/1.0 client, nor after a body with a `Content-Length`.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const app = new HTTPListener();
   * app.onEvent("GET:/lines", ({ ctx }) => {
   *   async function* lines() {
   *     let count = 0;
   *     for (; count < 3; count++) yield `${count}\n`;
   *     ctx.setTrailers({ "X-Line-Count": String(count) });
   *   }
   *   return ctx.response(200, lines(), { Trailer: "X-Line-Count" });
   * });
   * ```
   *
   * @throws {h11.LocalProtocolError} A field is invalid, or is not allowed in trailers (RFC 9110 6.5.1).
   */
  setTrailers(headers: HeadersInit): void {
    this.#bound.setTrailers(headers);
  }

  /**
   * Hands the connection over to another protocol: sends 101 (Switching Protocols) with the protocol that the
   * client asked for, or 200 in response to CONNECT.
   *
   * ```ts
   * import { HTTPListener } from "@tiny/listener/http";
   *
   * const app = new HTTPListener();
   * app.onEvent("GET:/echo", async ({ ctx }) => {
   *   const { conn, head } = await ctx.upgrade();
   *   using _closedAtTheEnd = conn;
   *   const writer = conn.writable.getWriter();
   *   await writer.write(head);
   *   writer.releaseLock();
   *   await conn.readable.pipeTo(conn.writable);
   * });
   * ```
   *
   * The handler has to close the connection. `stop()` waits for the handler; when the grace period ends, it
   * aborts `event.signal` and then closes the connection. To send a last message in time, use
   * {@linkcode Listener.stopSignal}, which is aborted when the stop begins. A handler that passes the
   * connection on, for example to a library, and returns should pass `closed`. Otherwise it has to close the
   * connection some other way, for example in a `shutdown()` callback, or it keeps the process alive.
   *
   * For WebSockets, use `upgradeWebSocket()` from `@tiny/listener/websocket`.
   *
   * @returns The connection, and the bytes of the new protocol that have already arrived.
   * @throws {TypeError} The client asked for no other protocol, the request body has not been read, or a
   * response was already sent.
   */
  upgrade(options: UpgradeOptions = {}): Promise<Upgraded> {
    return handled(
      this.#bound.upgrade(options.headers ?? NO_HEADERS, options.raw ?? false, options.closed),
    );
  }

  /**
   * Sends a redirect, with status 302 (Found) by default. Characters of `location` that must be
   * percent-encoded are encoded.
   *
   * @throws {TypeError} `location` is neither a string nor a URL.
   * @throws {RangeError} `status` is not from 300 to 399: clients follow no other.
   */
  redirect(location: string | URL, status = 302): void {
    if (typeof location !== "string" && !(location instanceof URL)) {
      throw new TypeError(`Cannot redirect to ${shown(location)}: must be a string or a URL`);
    }
    if (!(status >= 300 && status <= 399)) {
      throw new RangeError(
        `Cannot redirect with status ${shown(status)}: must be from 300 to 399`,
      );
    }
    const encoded = encodeURI(`${location}`.toWellFormed()).replace(/%25([0-9a-f]{2})/gi, "%$1");
    this.response(status, reasonPhrase(status), { Location: encoded });
  }

  /** Answers with 404 (Not Found), by throwing an {@linkcode HTTPError}. */
  throw404(message?: string): never {
    throw new HTTPError(404, message);
  }

  /** Answers with 500 (Internal Server Error), by throwing an {@linkcode HTTPError}. */
  throw500(message?: string): never {
    throw new HTTPError(500, message);
  }
}

/** The source that the web request of a context is made from. */
class ContextSource implements RequestSource {
  readonly method: string;
  readonly url: string;
  headers: globalThis.Headers | null = null;
  isRead = false;
  request: Request | null = null;
  readonly #ctx: HTTPContext;

  constructor(ctx: HTTPContext, method: string, url: string) {
    this.#ctx = ctx;
    this.method = method;
    this.url = url;
  }

  get hasBody(): boolean {
    return this.method !== "GET" && this.method !== "HEAD";
  }

  fields(): [string, string][] {
    return webHeaders(this.#ctx.headers);
  }

  takeBody(): Uint8Array<ArrayBuffer> | null {
    const { body } = exchangeOf(this.#ctx);
    const whole = body.takeWhole();
    if (whole !== null) body.checkSize(whole.length);
    return whole;
  }

  readBody(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array<ArrayBuffer>> {
    return exchangeOf(this.#ctx).body.readAll(stream);
  }

  make(): Request {
    const ctx = this.#ctx;
    const headers = this.headers ?? this.fields();
    // The first event is the request's; it is already running when its handler accesses the request.
    const signal = ctx.events.values().next().value?.[0].signal ?? null;
    // A string body would add a `Content-Type`.
    const body = this.isRead ? new Uint8Array(0) : this.hasBody ? ctx.body : null;
    const request = new Request(this.url, { method: this.method, headers, body, signal });
    if (this.isRead) void request.text();
    return request;
  }
}

/** The methods of most requests, which a web `Request` leaves unchanged. */
const USUAL_METHODS: ReadonlySet<string> = new Set(
  ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
);

/** The method as a web `Request` has it; null if a `Request` cannot have it (Fetch 2.2.1). */
function webMethod(method: string): string | null {
  if (method === "GET" || USUAL_METHODS.has(method)) return method;
  if (/^(CONNECT|TRACE|TRACK)$/i.test(method)) return null;
  return /^(DELETE|GET|HEAD|OPTIONS|POST|PUT)$/i.test(method) ? method.toUpperCase() : method;
}

/** The fields for web `Headers`, which join fields of one name with commas: wrong for two `Cookie` fields. */
function webHeaders(headers: Headers): [string, string][] {
  const fields = [...headers];
  const cookies = headers.getAll("cookie");
  if (cookies.length < 2) return fields;
  const others = fields.filter(([name]) => name !== "cookie");
  return [...others, ["cookie", cookies.join("; ")]];
}

function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

function parseJSON(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decode(bytes));
  } catch (cause) {
    throw new HTTPError(400, "The body is not valid JSON", { cause });
  }
}

const decoder = new TextDecoder();
