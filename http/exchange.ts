// One exchange: a request that came and the response that goes out for it.

import * as h11 from "../h11.ts";
import type { AnyEvent, Context, Route } from "../listener.ts";
import { BodyParts, isTurnLong, nextTurn } from "./body_parts.ts";
import type { TrustedProxies } from "./client_addr.ts";
import type { Counters } from "./counters.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import type { Settings } from "./options.ts";
import { type BodySource, RequestBody } from "./request_body.ts";
import { knownBody } from "./response_body.ts";
import { ConnectionLost, GATHERED_MAX, type Socket } from "./socket.ts";
import { pathOf } from "./target.ts";
import { checkResponse, fieldsOf, takeWhole } from "./web_response.ts";

/** What a response's body can be made from. */
export type ResponseBody =
  | string
  | Uint8Array
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | null;

/** What an upgraded connection is handed over as. */
export interface Upgraded {
  /** The connection; it is the handler's to read, write and close. */
  conn: Deno.Conn;
  /** Bytes of the new protocol that have come already. */
  head: Uint8Array;
}

/** What an exchange needs of the connection it belongs to. */
export interface ExchangeHost {
  readonly protocol: h11.Connection;
  readonly socket: Socket;
  readonly settings: Settings;
  readonly counters: Counters;
  /** The clock's time. */
  readonly now: number;
  /** The address of the one who connected. */
  readonly remoteAddr: Deno.Addr;
  /** Who is believed what it says of its client; null for nobody. */
  readonly trustedProxies: TrustedProxies | null;
  /** Whether the server is stopping. */
  readonly isStopping: boolean;
  /** Whether this exchange is the connection's last. */
  readonly isClosing: boolean;
  /** Whether the connection cannot be used again unless the handler reads the body. */
  readonly cannotDrain: boolean;
  /** Whether what is written is flushed by the connection soon, together with what else there is. */
  readonly isCorked: boolean;
  /** The next part of the request's body: see `BodySource.readBody`. */
  readBody(
    exchange: Exchange,
    view: Uint8Array<ArrayBuffer> | null,
  ): Promise<Uint8Array<ArrayBuffer> | null>;
  /** All of the request's body, where it has come; bytes that stay until the caller returns. */
  takeWholeBody(exchange: Exchange): Uint8Array<ArrayBuffer> | null;
}

/**
 * The same promise, which is no unhandled rejection where nobody awaits it yet: what a client does must not
 * end the process because a handler looks at the outcome late, or not at all.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

type Fields = [name: string, value: string][];

const encoder = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/** Text up to this length is encoded here, and copied from here when it is queued to be written. */
const scratch = new Uint8Array(4 * 1024);
/** Up to this length a loop is faster than the call into TextEncoder (measured: 64 to 96). */
const LOOP_MAX = 64;

/** A body up to this length goes to where it is sent from in one step. */
const SMALL_BYTES = 4 * 1024;
/** Room for such a body and a head of no more than its type. */
const SMALL_RESPONSE = SMALL_BYTES + 1024;

function isSmall(body: ResponseBody): body is string | Uint8Array {
  return typeof body === "string"
    ? body.length <= LOOP_MAX
    : body instanceof Uint8Array && body.length <= SMALL_BYTES;
}

/** The bytes of `text`, which stay until the next call. */
function encode(text: string): Uint8Array {
  const { length } = text;
  if (length * 3 > scratch.length) return encoder.encode(text);
  if (length <= LOOP_MAX) {
    let at = 0;
    for (let code = 0; at < length && (code = text.charCodeAt(at)) < 0x80; at++) scratch[at] = code;
    if (at === length) return scratch.subarray(0, length);
  }
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}

/** One request and its response. */
export class Exchange implements BodySource {
  readonly request: h11.Request;
  readonly host: ExchangeHost;
  /** The status that was sent; 0 before. */
  status = 0;
  /** Bytes of the response's body that were sent. */
  bytes = 0;
  /** `performance.now()` when the request came; 0 where there is no log. */
  startedAt = 0;
  /** Set when nothing can be sent any more. */
  isOver = false;
  /** The connection speaks another protocol from here on. */
  isUpgraded = false;
  /** The route that takes the request; null where none was found, or not yet. */
  route: Route | null = null;
  /** What failed: the handler, the sending of its response, or the search for a route. */
  error: unknown = undefined;
  /** The context that lives as long as the exchange. */
  context: Context | null = null;
  /** The event that a handler runs for; for its signal. */
  event: AnyEvent | null = null;
  /** The end of a response that is sent as its body comes; null where there is none. */
  sending: Promise<void> | null = null;
  #body: RequestBody | null = null;
  #trailers: h11.EndOfMessage | null = null;
  /** A response was given that is not sent yet. */
  #isTaken = false;
  #completed: PromiseWithResolvers<void> | null = null;

  constructor(host: ExchangeHost, request: h11.Request) {
    this.host = host;
    this.request = request;
  }

  /** What routes match: `METHOD:path`. */
  toString(): string {
    return `${this.request.method}:${pathOf(this.request.target)}`;
  }

  /** The address of the client, as far as the proxies that tell it are trusted. */
  get remoteAddr(): Deno.Addr {
    const { remoteAddr, trustedProxies } = this.host;
    return this.#remoteAddr ??= trustedProxies === null
      ? remoteAddr
      : trustedProxies.clientAddr(remoteAddr, this.request.headers);
  }
  #remoteAddr: Deno.Addr | null = null;

  /** Whether the response has begun. */
  get isResponded(): boolean {
    return this.status !== 0 || this.#isTaken;
  }

  /** The request's body. */
  get body(): RequestBody {
    return this.#body ??= new RequestBody(this);
  }

  /** The next part of the request's body: see `BodySource.readBody`. */
  readBody(view: Uint8Array<ArrayBuffer> | null): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.host.readBody(this, view);
  }

  /** All of the request's body, where it has come. */
  takeWholeBody(): Uint8Array<ArrayBuffer> | null {
    return this.host.takeWholeBody(this);
  }

  /** What `Content-Length` says of the request's body; null where the length is not known. */
  get contentLength(): number | null {
    return this.request.contentLength;
  }

  get maxBodySize(): number {
    return this.host.settings.maxBodySize;
  }

  tooLarge(): HTTPError {
    this.host.counters.bodiesTooLarge++;
    return new HTTPError(413);
  }

  /** Sends an interim response. */
  inform(status: number, headers: h11.HeadersInit): void {
    this.#checkOpen();
    if (status === 101) {
      throw new TypeError("Cannot send 101 as an interim response: use upgrade() for it");
    }
    const { protocol } = this.host;
    const reason = reasonPhrase(status);
    const response = new h11.InformationalResponse({ statusCode: status, reason, headers });
    if (protocol.theirHttpVersion !== "1.0") this.#write(protocol.send(response)!);
    this.#flush();
  }

  /** Tells a client that waits for it to send its body; once the response has begun it is too late. */
  inviteBody(): void {
    if (this.status !== 0) return;
    const response = new h11.InformationalResponse({ statusCode: 100, reason: reasonPhrase(100) });
    this.#write(this.host.protocol.send(response)!);
    this.#flush();
  }

  /** Sends trailer fields after the body, where that is sent in chunks. */
  setTrailers(headers: h11.HeadersInit): void {
    this.#trailers = new h11.EndOfMessage({ headers });
  }

  /** Sends the response. */
  respond(status: number, body: ResponseBody, headers: h11.HeadersInit): void | Promise<void> {
    return this.#respond(status, body, headers, "", typeOf(body));
  }

  /** Sends a response whose type is `type` where `headers` have none. */
  #respond(
    status: number,
    body: ResponseBody,
    headers: h11.HeadersInit,
    reason: string,
    type: string | null,
  ): void | Promise<void> {
    this.#checkOpen();
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`Cannot respond with status ${status}: must be from 200 to 599`);
    }
    if (isSmall(body) && reason === "" && this.#respondAtOnce(status, body, headers, type)) {
      return this.#flush();
    }
    checkBody(body);
    return this.#respondInSteps(status, body, headers, reason, type);
  }

  /** Sends a response that says nothing but its type, where that goes in one step. @returns Whether it did. */
  #respondAtOnce(
    status: number,
    body: string | Uint8Array,
    headers: h11.HeadersInit,
    type: string | null,
  ): boolean {
    const onlyType = typeAlone(headers, type);
    if (
      onlyType === undefined || status === 205 || this.#trailers !== null || this.#closes(false)
    ) {
      return false;
    }
    const { protocol, socket } = this.host;
    const response = plainResponse(status, onlyType, httpDate(this.host.now));
    const at = socket.reserve(SMALL_RESPONSE);
    const end = protocol.sendWholeInto(response, body, socket.target, at);
    if (end < 0) return false;
    socket.append(end);
    this.status = status;
    this.bytes += body.length;
    return true;
  }

  #respondInSteps(
    status: number,
    body: ResponseBody,
    headers: h11.HeadersInit,
    reason: string,
    type: string | null,
  ): void | Promise<void> {
    const { protocol } = this.host;
    const isHead = this.request.method === "HEAD";
    const hasNoBody = status === 204 || status === 205 || status === 304;
    const bytes = hasNoBody || body === null
      ? NO_BYTES
      : typeof body === "string"
      ? encode(body)
      : body instanceof Uint8Array
      ? body
      : null;
    const closes = this.#closes(bytes === null);
    const onlyType = typeAlone(headers, type);
    const isPlain = onlyType !== undefined && reason === "" && !closes;
    const response = isPlain
      ? plainResponse(status, onlyType, httpDate(this.host.now))
      : new h11.Response({
        statusCode: status,
        reason: reason || reasonPhrase(status),
        headers: this.#fields(headers, type, closes),
      });
    const isStream = bytes === null;
    if (!isStream && !isHead && !hasNoBody && !isPlain) checkLength(response, bytes.length);
    // A null body may be that of a HEAD whose GET has one: only what is known is told.
    const isWhole = !isStream && !this.#canHaveTrailers && !(isHead && body === null);
    if (isWhole) {
      for (const part of protocol.sendWhole(response, bytes)) this.#write(part);
      this.status = status;
      if (!isHead) this.bytes += bytes.length;
      return this.#flush();
    }

    const head = protocol.send(response)!;
    this.status = status;
    if (isStream && !isHead && !hasNoBody) {
      const parts = body as AsyncIterable<Uint8Array>;
      return this.sending = handled(this.#sendStream(head, response, parts));
    }
    this.#write(head);
    if (isStream) {
      discard(body as ReadableStream | AsyncIterable<unknown>);
    } else if (!isHead && bytes.length > 0) {
      this.#writeData(bytes);
    }
    this.#write(protocol.send(this.#end(response))!);
    this.#flush();
  }

  /** Sends a web response: with its length where that is known, and with no field that it has not. */
  respondWith(response: Response): void | Promise<void> {
    this.#checkOpen();
    checkResponse(response);
    const whole = takeWhole(response);
    if (whole !== null) {
      const { body, fields, type } = whole;
      return this.#respond(response.status, body, fields as Fields, response.statusText, type);
    }
    this.#isTaken = true;
    return this.sending = handled(this.#respondWith(response));
  }

  async #respondWith(response: Response): Promise<void> {
    const { status, statusText, body } = response;
    const fields = fieldsOf(response) as Fields;
    try {
      const known = body === null ? null : await knownBody(body);
      this.#isTaken = false;
      await this.#respond(status, known, fields, statusText, null);
    } finally {
      this.#isTaken = this.status !== 0;
    }
  }

  /** Resolves when the response was written whole; rejects where it could not be. */
  get completed(): Promise<void> {
    this.#completed ??= Promise.withResolvers();
    this.#completed.promise.catch(() => {});
    if (this.isOver) this.#complete();
    return this.#completed.promise;
  }

  /** Nothing can be sent any more. */
  end(): void {
    this.isOver = true;
    this.context?.drop();
    this.#complete();
  }

  #complete(): void {
    const completed = this.#completed;
    if (completed === null) return;
    this.host.socket.drained().then(completed.resolve, (cause) => {
      completed.reject(
        new Deno.errors.Interrupted("The response was not written whole", { cause }),
      );
    });
  }

  /** The response's fields, with those that were not given and that it should have, but for its length. */
  #fields(headers: h11.HeadersInit, type: string | null, closes: boolean): Fields {
    const fields: Fields = [];
    let hasType = false, hasDate = false, hasConnection = false;
    const items = headers instanceof h11.Headers
      ? headers.rawItems()
      : Symbol.iterator in headers
      ? headers
      : Object.entries(headers);
    for (const [name, value] of items) {
      fields.push([name, value]);
      const { length } = name;
      if (length === 4) hasDate ||= is(name, "date");
      else if (length === 10) hasConnection ||= is(name, "connection");
      else if (length === 12) hasType ||= is(name, "content-type");
    }
    if (!hasType && type !== null) fields.push(["Content-Type", type]);
    if (!hasDate) fields.push(["Date", httpDate(this.host.now)]);
    if (!hasConnection && closes) fields.push(CLOSE);
    return fields;
  }

  /** Whether the connection ends with this response. */
  #closes(isStream: boolean): boolean {
    // After a CONNECT that was refused the client may have sent what is not HTTP (RFC 9110 9.3.6). While a
    // stream is sent, its handler may read on.
    return this.host.isClosing || this.request.method === "CONNECT" ||
      (!isStream && this.host.cannotDrain);
  }

  /** Trailers were set, and the client knows of chunks. */
  get #canHaveTrailers(): boolean {
    return this.#trailers !== null && this.request.httpVersion !== "1.0" &&
      this.request.method !== "HEAD";
  }

  #end(response: h11.Response): h11.EndOfMessage {
    const { statusCode, headers } = response;
    const isChunked = statusCode !== 204 && statusCode !== 304 && !headers.has("content-length");
    return isChunked && this.#canHaveTrailers ? this.#trailers! : new h11.EndOfMessage();
  }

  async #sendStream(
    head: Uint8Array,
    response: h11.Response,
    body: AsyncIterable<Uint8Array | string>,
  ): Promise<void> {
    const { protocol, socket } = this.host;
    const parts = this.#parts = new BodyParts(body);
    if (this.#lost !== null) parts.abandon(this.#lost);
    if (this.host.isStopping) {
      // The event is known here when the first step of the handler is over.
      await undefined;
      this.endStream();
    }
    try {
      // Parts that the producer has at hand are written together, and with the head; while it waits for one,
      // or works on it for long, what there is goes out.
      let isAtHand = await parts.ask();
      this.#write(head);
      for (;;) {
        const isLong = isTurnLong();
        if (!isAtHand || isLong) await socket.drained();
        if (isLong) await nextTurn();
        const part = await parts.take();
        if (part === null) break;
        const data = typeof part === "string" ? encoder.encode(part) : part;
        if (socket.queued + data.length > GATHERED_MAX) await socket.drained();
        // A producer may use its array again when it is asked for more.
        if (!this.#writeData(data)) await socket.drained();
        isAtHand = await parts.ask();
      }
      socket.writeTogether([protocol.send(this.#end(response))!]);
      await socket.drained();
    } catch (error) {
      // A client must never take a part for the whole: the message stays without its end.
      protocol.sendFailed();
      socket.flush();
      socket.close();
      parts.cancel();
      throw error;
    }
  }
  #parts: BodyParts | null = null;
  #lost: ConnectionLost | null = null;

  /** Tells the handler that the server stops: a stream may have no end of its own. */
  endStream(): void {
    this.event?.abort(new DOMException("The server stops", "AbortError"));
  }

  /** Ends the sending of a body: there is nobody to send it to. */
  cancel(cause: unknown): void {
    this.#lost ??= new ConnectionLost("Cannot send the body: the client has left", { cause });
    this.#parts?.abandon(this.#lost);
  }

  /**
   * Hands the connection over to another protocol: 101 to a request with Upgrade (RFC 9110 7.8), 200 to
   * CONNECT (RFC 9110 9.3.6).
   */
  async upgrade(headers: h11.HeadersInit, isRaw: boolean): Promise<Upgraded> {
    this.#checkOpen();
    const { protocol, socket } = this.host;
    if (protocol.theirState !== h11.MIGHT_SWITCH_PROTOCOL) {
      throw new TypeError(
        protocol.theirState === h11.SEND_BODY
          ? "Cannot upgrade: the request's body was not read to its end; await ctx.bytes() before"
          : "Cannot upgrade: the request asks for no other protocol; answer it with 426 (Upgrade Required)",
      );
    }
    const given = new h11.Headers(headers);
    if (isRaw) {
      // What the handler says by itself; the log takes it for what it mostly is.
      this.status = this.request.method === "CONNECT" ? 200 : 101;
    } else if (this.request.method === "CONNECT") {
      // A tunnel's 200 has a Date as any other (RFC 9110 6.6.1).
      const fields: Fields = given.rawItems();
      if (!given.has("date")) fields.push(["Date", httpDate(this.host.now)]);
      const response = new h11.Response({ statusCode: 200, reason: "OK", headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 200;
    } else {
      const fields: Fields = given.rawItems();
      if (!given.has("upgrade")) {
        fields.unshift(["Upgrade", this.request.headers.get("upgrade")!.split(",")[0].trim()]);
      }
      if (!given.has("connection")) fields.push(["Connection", "Upgrade"]);
      const reason = reasonPhrase(101);
      const response = new h11.InformationalResponse({ statusCode: 101, reason, headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 101;
    }
    this.isUpgraded = true;
    await socket.drained();
    return { conn: socket.handOver(), head: protocol.trailingData[0] };
  }

  /** @returns Whether `data` was copied. */
  #writeData(data: Uint8Array): boolean {
    this.bytes += data.length;
    const { protocol, socket } = this.host;
    return socket.writeTogether(protocol.sendWithDataPassthrough(new h11.Data({ data }))!);
  }

  #write(bytes: Uint8Array): void {
    this.host.socket.write(bytes);
  }

  #flush(): void {
    // Where the peer is gone there is nobody to tell; the connection notices by itself.
    if (!this.host.isCorked) this.host.socket.flush();
  }

  #checkOpen(): void {
    if (this.isOver) {
      throw new TypeError(
        "Cannot respond: the exchange is over; event.signal tells when that happens",
      );
    }
    if (this.isResponded) {
      throw new TypeError(
        "Cannot respond twice: the response was sent before; look at ctx.isResponded",
      );
    }
  }
}

/** The `Content-Type` of a body whose fields have none; null where it cannot be told. */
function typeOf(body: ResponseBody): string | null {
  if (typeof body === "string") return "text/plain; charset=utf-8";
  return body instanceof Uint8Array ? "application/octet-stream" : null;
}

const CLOSE: [string, string] = ["Connection", "close"];

function is(name: string, lowerCased: string): boolean {
  return name.toLowerCase() === lowerCased;
}

/** What cannot be sent is found out while it can still become a 500. */
function checkBody(body: unknown): void {
  if (body === null || typeof body === "string" || body instanceof Uint8Array) return;
  if (typeof body !== "object" || !(Symbol.asyncIterator in body)) {
    throw new TypeError(
      `Cannot send a body of type ${typeof body}: must be a string, a Uint8Array, a ReadableStream, an ` +
        "async iterable or null",
    );
  }
  if (body instanceof ReadableStream && body.locked) {
    throw new TypeError("Cannot send a ReadableStream that is locked: something else reads it");
  }
}

/** What is sent must be as long as is said; found out here, it can still become a 500. */
function checkLength(response: h11.Response, length: number): void {
  const given = response.headers.get("content-length");
  if (given === null || Number(given) === length) return;
  throw new h11.LocalProtocolError(
    `Cannot send a body of ${length} bytes with Content-Length "${given}": they must be equal`,
  );
}

/** Tells the source of a body that nobody reads it. */
function discard(body: ReadableStream | AsyncIterable<unknown>): void {
  if (body instanceof ReadableStream) void body.cancel().catch(() => {});
  else void body[Symbol.asyncIterator]().return?.()?.then(undefined, () => {});
}

/** Fields of a response that was given none. */
export const NO_HEADERS: [string, string][] = [];

/** The type of a response where `headers` say nothing else; undefined where they do. */
function typeAlone(headers: h11.HeadersInit, type: string | null): string | null | undefined {
  if (Array.isArray(headers)) {
    if (headers.length === 0) return type;
    return headers.length === 1 && headers[0][0] === "Content-Type" ? headers[0][1] : undefined;
  }
  let only: string | null | undefined = type;
  for (const name in headers) {
    if (name !== "Content-Type" || !Object.hasOwn(headers, name)) return undefined;
    only = (headers as Record<string, string>)[name];
  }
  return Symbol.iterator in headers ? undefined : only;
}

// The responses that say nothing but their type, by status and type, as long as their date is right: what is
// sent again has its head encoded already.
const plainResponses = new Map<string | null, h11.Response[]>();
/** So many types are kept: they may have a part that is made up anew each time. */
const PLAIN_TYPES_MAX = 100;
let plainDate = "";
/** The last one, and its type. */
let lastPlain: h11.Response | null = null;
let lastType: string | null = null;

function plainResponse(statusCode: number, type: string | null, Date: string): h11.Response {
  if (lastPlain?.statusCode === statusCode && type === lastType && Date === plainDate) {
    return lastPlain;
  }
  if (Date !== plainDate || plainResponses.size > PLAIN_TYPES_MAX) {
    plainDate = Date;
    plainResponses.clear();
  }
  let byStatus = plainResponses.get(type);
  if (byStatus === undefined) plainResponses.set(type, byStatus = []);
  lastPlain = byStatus[statusCode] ??= new h11.Response({
    statusCode,
    reason: reasonPhrase(statusCode),
    headers: type === null ? { Date } : { "Content-Type": type, Date },
  });
  lastType = type;
  return lastPlain;
}

let tick = -1;
let second = 0;
let date = "";

/** The time as HTTP writes it (RFC 9110 5.6.7), looked up once a tick of the clock whose time is `now`. */
export function httpDate(now: number): string {
  if (now === tick) return date;
  tick = now;
  const seconds = Math.floor(Date.now() / 1000);
  if (seconds !== second) {
    second = seconds;
    date = new Date(seconds * 1000).toUTCString();
  }
  return date;
}

/** What the client is told of an error: an HTTPError carries its own answer, the rest is a 500. */
export function toHTTPError(error: unknown): HTTPError {
  return error instanceof HTTPError ? error : new HTTPError(500, undefined, { cause: error });
}
