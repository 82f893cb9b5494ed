// HTTPContext: one exchange as a handler sees it.

import type { Headers, HeadersInit } from "../h11.ts";
import { Context, type Route } from "../listener.ts";
import { type Exchange, handled, type Upgraded } from "./exchange.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { pathOf, queryOf, urlOf } from "./target.ts";
import type { ResponseBody } from "./response_body.ts";
import { NO_HEADERS } from "./response_head.ts";
import { type RequestSource, webRequest } from "./web_request.ts";

/** What the next context that is made belongs to. */
let next: Exchange | null = null;

/**
 * Has the next context that is made belong to `exchange`, from its constructor on, where classes of an application
 * read the request; null for none. For `http_listener.ts` alone.
 */
export function bindNext(exchange: Exchange | null): void {
  next = exchange;
}

/** Ties a context to its exchange; for `http_listener.ts` alone. */
export let bindExchange: (ctx: HTTPContext, exchange: Exchange) => void;

function takeNext(): Exchange | null {
  const exchange = next;
  next = null;
  return exchange;
}

/** The exchange that a context belongs to. @throws {TypeError} It belongs to none. */
export let exchangeOf: (ctx: HTTPContext) => Exchange;
/** The same; null for a context that belongs to none. */
export let exchangeIn: (ctx: HTTPContext) => Exchange | null;

/** Options of {@linkcode HTTPContext.upgrade}. */
export interface UpgradeOptions {
  /** Fields of the answer; `Upgrade` and `Connection` are added where they are not among them. */
  headers?: HeadersInit | undefined;
  /** Sends nothing: the handler, or a library that it uses, writes the answer to the connection itself. */
  raw?: boolean | undefined;
  /**
   * Settles when the connection was closed by whoever it is handed on to. Until then the request goes on, though its
   * handler has returned: the connection counts, its context lives, and `stop()` waits for it.
   */
  closed?: PromiseLike<unknown> | undefined;
}

/**
 * One exchange: a request and its response. A handler gets it as `event.ctx`.
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
      // It may be another one that was made first.
      ctx.#exchange = exchange;
      exchange.context = ctx;
    };
    exchangeOf = (ctx) => ctx.#bound;
    exchangeIn = (ctx) => ctx.#exchange;
  }

  get #bound(): Exchange {
    if (this.#exchange === null) {
      throw new TypeError(
        "Cannot use this HTTPContext: no request belongs to it; the server makes one for each request, and newCtx() none that can answer",
      );
    }
    return this.#exchange;
  }

  /** The request's method, case-sensitive. */
  get method(): string {
    return this.#bound.request.method;
  }

  /** The request's target as it was sent, with its query (RFC 9112 3.2). */
  get target(): string {
    return this.#bound.request.target;
  }

  /** The path in the target, not decoded, without dot segments ("/a/../b" is "/b"): what routes match. */
  get path(): string {
    return pathOf(this.target);
  }

  /** The query in the target, decoded. */
  get query(): URLSearchParams {
    return this.#query ??= new URLSearchParams(queryOf(this.target));
  }

  /** The request's fields. */
  get headers(): Headers {
    return this.#bound.request.headers;
  }

  /**
   * Whether the client speaks TLS: what `Forwarded` or `X-Forwarded-Proto` say, where they come from one of
   * `trustedProxies`, else what the connection speaks.
   */
  get scheme(): "http" | "https" {
    return this.#bound.scheme;
  }

  /** The request's version, "1.1" or "1.0". */
  get httpVersion(): string {
    return this.#bound.request.httpVersion;
  }

  /** The address of the client; see `trustedProxies` and `proxyProtocol` for one behind proxies. */
  get remoteAddr(): Deno.Addr {
    return this.#bound.remoteAddr;
  }

  /**
   * The address of the one who connected, as the socket tells it: the last proxy, where there is one,
   * whatever `trustedProxies` and `proxyProtocol` are.
   */
  get peerAddr(): Deno.Addr {
    return this.#bound.connection.socket.conn.remoteAddr;
  }

  /** The address that was connected to, as the socket tells it, whatever `proxyProtocol` is. */
  get localAddr(): Deno.Addr {
    return this.#bound.connection.socket.conn.localAddr;
  }

  /**
   * The request as a web `Request`, made on first use. Its body and `ctx.body` are one; its signal is that
   * of the event.
   *
   * @throws {HTTPError} 501: web requests know no such method, as CONNECT and TRACE. 400: the target and
   * Host make no URL.
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
   * The request's body as a stream, which reads from the socket as it is read. It is a byte stream: with a
   * BYOB reader a body that has a `Content-Length` goes from the socket into the reader's own buffer.
   *
   * @throws {TypeError} The body was read whole before.
   */
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#bound.body.stream();
  }

  /**
   * Reads the next part of the request's body into `buffer`, as `Deno.Conn.read()` does: what takes least time
   * and memory for a large body. One that has a `Content-Length` goes from the socket into `buffer` itself,
   * where that is all of its `ArrayBuffer`. What is left may be read otherwise, but not by `read()` after that.
   * There is no `maxBodySize`.
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
   * @param buffer Not to be touched until the promise settles. 64 KiB to 256 KiB are best. Where it rejects, the
   * buffer may have been taken away, and have no length any more: what comes late might be written into it. That of
   * a `WebAssembly.Memory` cannot be taken away: give a part of it.
   * @returns How many bytes were read, at least one; null at the end of the body.
   * @throws {TypeError} `buffer` is empty or no `Uint8Array`, another read is under way, the body was taken as a
   * stream or whole before, or the exchange is over.
   * @throws {HTTPError} 400: the body is not framed as it should be, or the client has closed before its end. 408: it
   * did not come in time. Where the connection is lost, an error of that. `event.signal` is aborted by then where the
   * client has left, and not where it has sent what is no body.
   */
  read(buffer: Uint8Array): Promise<number | null> {
    return handled(this.#bound.body.readInto(buffer));
  }

  /**
   * The request's body.
   *
   * @throws {HTTPError} 413: it is over `maxBodySize`. Else as {@linkcode HTTPContext.read}.
   * @throws {TypeError} It was read before.
   */
  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return handled(this.#bound.body.bytes());
  }

  /** The request's body as text of UTF-8. @throws As {@linkcode HTTPContext.bytes}. */
  text(): Promise<string> {
    return this.#convert(decode);
  }

  /**
   * The request's body, parsed.
   *
   * @throws {HTTPError} 400: it is no JSON. Else as {@linkcode HTTPContext.bytes}.
   */
  json(): Promise<unknown> {
    return this.#convert(parseJSON);
  }

  /** What `convert` makes of the body; it is done with the bytes when it returns. */
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
   * The request's body as a form: `application/x-www-form-urlencoded` or `multipart/form-data`.
   *
   * @throws {HTTPError} 415: it is of another type. 400: it is not what its type says. Else as
   * {@linkcode HTTPContext.bytes}.
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
      if (!isWholeForm(type, bytes)) throw new TypeError("The multipart body has no end");
      return await new Response(bytes, { headers: { "Content-Type": type } }).formData();
    } catch (cause) {
      throw new HTTPError(400, "The body is not a valid form", { cause });
    }
  }

  /** The trailer fields of the request; null before its body was read to the end. */
  get trailers(): Headers | null {
    return this.#bound.body.trailers;
  }

  /** The route that takes the request; null where there is none, as for a 404. */
  get route(): Route | null {
    return this.#bound.route;
  }

  /** The status of the response; 0 before it has begun. */
  get status(): number {
    return this.#bound.status;
  }

  /** Bytes of the response's body that were sent so far, without framing. */
  get bytesSent(): number {
    return this.#bound.bytes;
  }

  /**
   * What failed, where something did: what the handler threw and no {@linkcode Listener.onError} hook took,
   * what sending the response failed with, or the `HTTPError` of a request without a route.
   */
  get error(): unknown {
    return this.#bound.error;
  }

  /** Whether the response has begun. */
  get isResponded(): boolean {
    return this.#bound.isResponded;
  }

  /**
   * Resolves when the response was written whole to the socket; rejects with `Deno.errors.Interrupted`
   * where it could not be. Nothing happens where nobody asks for it, or looks at the promise; one that is made of it,
   * as by `finally()`, needs a `catch()`. To be asked for before the exchange is over.
   */
  get completed(): Promise<void> {
    return this.#bound.completed;
  }

  /**
   * Sends the response.
   *
   * `Content-Length`, `Date` and, for text and bytes, `Content-Type` are added where they are not among
   * `headers`. A stream or an async iterable is sent as it comes. Bytes are not copied where they are over 16 KiB:
   * leave their array as it is until {@linkcode HTTPContext.completed} resolves.
   *
   * @param status A status code from 200 to 599.
   * @returns Where the body is a stream, a promise: it resolves when the body was sent, and rejects with
   * what the stream failed with.
   * @throws {TypeError} A response was sent before, or the exchange is over.
   * @throws {RangeError} `status` is not from 200 to 599.
   * @throws {h11.LocalProtocolError} The status or a field is not valid.
   */
  response(status: number, body?: ResponseBody, headers?: HeadersInit): void | Promise<void> {
    return this.#bound.respond(status, body ?? null, headers ?? NO_HEADERS);
  }

  /**
   * Sets a field of the response, whoever gives that: the handler, a hook, or the server where there is no route or
   * something failed. A field of that name that the response has itself takes its place.
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
   * @throws {TypeError} The response has begun, or the field tells how it is framed (RFC 9112 6).
   * @throws {h11.LocalProtocolError} The field is not valid.
   */
  setHeader(name: string, value: string): void {
    this.#bound.addField(name, value, true);
  }

  /**
   * Adds a field to the response, whoever gives that, beside those of the same name, as for `Set-Cookie`.
   *
   * @throws As {@linkcode HTTPContext.setHeader}.
   */
  appendHeader(name: string, value: string): void {
    this.#bound.addField(name, value, false);
  }

  /** Sends a web `Response`. @throws As {@linkcode HTTPContext.response}. */
  respondWith(response: Response): Promise<void> {
    return this.#bound.respondWith(response) ?? Promise.resolve();
  }

  /**
   * Sends an interim response, as 103 (Early Hints); nothing to a client of HTTP/1.0 (RFC 9110 15.2). A proxy in front
   * has to know them: nginx before 1.29 takes one for the answer, and mixes up those that follow.
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
   * @param status From 100 to 199.
   * @throws {h11.LocalProtocolError} The status or a field is not valid, or the response has begun.
   */
  informational(status: number, headers: HeadersInit = NO_HEADERS): void {
    this.#bound.inform(status, headers);
  }

  /**
   * Sets trailer fields: they follow the body of a response that is sent after this, or is being sent.
   * A client of HTTP/1.0 does not get them, nor one that is sent `Content-Length`.
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
   * @throws {h11.LocalProtocolError} A field is not valid, or may not be a trailer (RFC 9110 6.5.1).
   */
  setTrailers(headers: HeadersInit): void {
    this.#bound.setTrailers(headers);
  }

  /**
   * Hands the connection over to another protocol: sends 101 (Switching Protocols) with the protocol the
   * client asked for, or 200 to CONNECT.
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
   * The connection is the handler's to close. `stop()` waits for the handler, and closes it when the grace is over,
   * just after `event.signal` was aborted: {@linkcode Listener.stopSignal} tells when the stop begins, in time for a
   * last word. A handler that hands the connection on, to a library say, and returns, gives `closed`, or else has to see
   * to that by itself, as in a `shutdown()` callback: an open connection keeps the process alive.
   *
   * For WebSockets there is `upgradeWebSocket()` of `@tiny/listener/websocket`.
   *
   * @returns The connection, and what came of the new protocol.
   * @throws {TypeError} The client asked for no other protocol, its body was not read, or a response was
   * sent before.
   */
  upgrade(options: UpgradeOptions = {}): Promise<Upgraded> {
    return handled(
      this.#bound.upgrade(options.headers ?? NO_HEADERS, options.raw ?? false, options.closed),
    );
  }

  /** Sends a redirect; 302 (Found) if no status is given. What has to be encoded in `location` is. */
  redirect(location: string | URL, status = 302): void {
    const encoded = encodeURI(`${location}`.toWellFormed()).replace(/%25([0-9a-f]{2})/gi, "%$1");
    this.response(status, reasonPhrase(status), { Location: encoded });
  }

  /** Answers 404 (Not Found). */
  throw404(message?: string): never {
    throw new HTTPError(404, message);
  }

  /** Answers 500 (Internal Server Error). */
  throw500(message?: string): never {
    throw new HTTPError(500, message);
  }
}

/**
 * Whether a multipart body has its closing delimiter (RFC 2046 5.1.1). Deno's parser takes one without, and
 * leaves its last part out.
 */
function isWholeForm(type: string, bytes: Uint8Array): boolean {
  const [, quoted, token] = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type) ?? [];
  const boundary = quoted ?? token;
  if (boundary === undefined) return true;
  const delimiter = `--${boundary}--`;
  const text = String.fromCharCode(...bytes.subarray(-END_SIZE));
  return `\r\n${text}`.includes(`\r\n${delimiter}`);
}
/** The closing delimiter stands in the last bytes of a body: a boundary has 70 characters at most. */
const END_SIZE = 1024;

/** What a context's web request is made from. */
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

  make(headers: globalThis.HeadersInit, isRead: boolean): Request {
    const ctx = this.#ctx;
    // The first event is the request's; it runs already when its handler asks.
    const signal = ctx.events.values().next().value?.[0].signal ?? null;
    // A text would have a type.
    const body = isRead ? new Uint8Array(0) : this.hasBody ? ctx.body : null;
    const request = new Request(this.url, { method: this.method, headers, body, signal });
    if (isRead) void request.text();
    return request;
  }
}

/** Methods that most requests have, and web requests take as they are. */
const USUAL_METHODS: ReadonlySet<string> = new Set(
  ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
);

/** A method as a web request has it; null for one that it cannot have (Fetch 2.2.1). */
function webMethod(method: string): string | null {
  if (method === "GET" || USUAL_METHODS.has(method)) return method;
  if (/^(CONNECT|TRACE|TRACK)$/i.test(method)) return null;
  return /^(DELETE|GET|HEAD|OPTIONS|POST|PUT)$/i.test(method) ? method.toUpperCase() : method;
}

/** The fields as web headers, which join those of one name with commas, and so must not get two of Cookie. */
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
