// One exchange: a request and the response to it.

import * as h11 from "../h11.ts";
import type { AnyEvent, Route } from "../listener.ts";
import { BodyParts } from "./body_parts.ts";
import type { Connection } from "./connection.ts";
import type { HTTPContext } from "./context.ts";
import { reasonPhrase } from "./http_error.ts";
import { keepResponse, knownResponse, plainResponse, typeAlone } from "./known_response.ts";
import { report } from "./error_log.ts";
import { formatAddr } from "./log.ts";
import { RequestBody } from "./request_body.ts";
import {
  checkBody,
  discard,
  discardResponse,
  encode,
  isSmall,
  knownBody,
  type ResponseBody,
  SHORT_TEXT,
  typeOf,
} from "./response_body.ts";
import {
  AddedFields,
  badStatus,
  checkLength,
  completeFields,
  type Fields,
  NO_HEADERS,
  pairsOf,
  switchingFields,
} from "./response_head.ts";
import { isProduced, toResponse, withFields } from "./response_hooks.ts";
import { ClientLeft, ConnectionLost, GATHERED_MAX } from "./socket.ts";
import { pathOf, type Scheme } from "./target.ts";
import { isTurnLong, nextTurn } from "./turn.ts";
import { checkResponse, type FieldsAndType, fieldsOf, takeWhole } from "./web_response.ts";

/** What `upgrade()` hands over. */
export interface Upgraded {
  /** The connection; reading, writing and closing it is up to the handler. */
  conn: Deno.Conn;
  /** Bytes of the new protocol that have already arrived. */
  head: Uint8Array;
}

/**
 * The same promise, marked as handled: what a client does must not end the process with an unhandled
 * rejection because a handler awaits the outcome late, or never.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A handler or hook has ended without a response. */
export class NoResponse extends TypeError {
  readonly why: string;

  constructor(why: string) {
    super(`Cannot answer: ${why}`);
    this.why = why;
  }
}

const NO_BYTES = new Uint8Array(0);

/** Milliseconds that a stream of events has to end by itself when the server stops. */
const LAST_WORD = 500;

/** Bytes reserved for a short head; a response with a longer one is not sent in one step. */
const SHORT_HEAD = 1024;

/** The head of a response as the handler gives it. */
interface GivenHead {
  readonly status: number;
  /** Empty for the default reason of the status. */
  readonly reason: string;
  /** Empty if `known` was found by its type alone. */
  readonly fields: Fields;
  /** The type to use if the fields have none. */
  readonly type: string | null;
  /**
   * The response made earlier from the same head; null if there is none, or the connection ends with this
   * one.
   */
  readonly known: h11.Response | null;
}

/** State that few exchanges need, kept apart so that the others stay small. */
class Extras {
  trailers: h11.EndOfMessage | null = null;
  /** What the response passes through before it is sent. */
  filter: ResponseFilter | null = null;
  /** The response that passes, or has passed, through that; null if it was taken back. */
  filtering: Filtering | null = null;
  /** Response fields that were set before the response was given. */
  added: AddedFields | null = null;
  /** A response was given but is not being sent yet. */
  isTaken = false;
  /** Resolves when that response has begun; rejects if it cannot be sent. */
  begun: Promise<{ rest: void | Promise<void> }> | null = null;
  /** The handler has failed. */
  hasFailed = false;
  /** The rest of the response is not waited for. */
  isGivenUp = false;
  /** The exchange has failed, and hooks are making the response that reports it. */
  isFailing = false;
  completed: PromiseWithResolvers<void> | null = null;
  parts: BodyParts | null = null;
  /** Whether `parts` are those of server-sent events. */
  isEventStream = false;
  /** The timer that cuts such a stream after the server began to stop. */
  lastWord: ReturnType<typeof setTimeout> | undefined = undefined;
  /** Why nothing more can be sent. */
  lost: ConnectionLost | null = null;
  /** The client's address as reported by trusted proxies. */
  remoteAddr: Deno.Addr | null = null;
}

/** Sees a response before it is sent, and may replace it. */
export type ResponseFilter = (response: Response) => Response | Promise<Response>;

/** A response that passes through a filter. */
interface Filtering {
  readonly response: Response;
  /** The fields that were set before, which `response` has too. */
  readonly added: AddedFields | null;
  isRunning: boolean;
}

/** One request and its response. */
export class Exchange {
  readonly connection: Connection;
  readonly request: h11.Request;
  /** The status that was sent; 0 before that. */
  status = 0;
  /** Number of bytes of the response body that were sent. */
  bytes = 0;
  /** `performance.now()` when the request arrived; 0 without an access log. */
  startedAt = 0;
  /** Set when nothing more can be sent. */
  isOver = false;
  /** The connection was upgraded to another protocol. */
  isUpgraded = false;
  /** The matching route; null if none was found, or none yet. */
  route: Route | null = null;
  /** What failed: the handler, sending its response, or the search for a route. */
  error: unknown = undefined;
  /** The context, which lives as long as the exchange. */
  context: HTTPContext | null = null;
  /** The event that the handler runs for; used for its signal. */
  event: AnyEvent | null = null;
  /** Settles at the end of a response whose body is streamed; null if there is none. */
  sending: Promise<void> | null = null;
  #body: RequestBody | null = null;
  #extras: Extras | null = null;

  constructor(connection: Connection, request: h11.Request) {
    this.connection = connection;
    this.request = request;
  }

  /** The string that routes match: `METHOD:path`. */
  toString(): string {
    return `${this.request.method}:${pathOf(this.request.target)}`;
  }

  /** `"METHOD target"`, for messages. */
  get label(): string {
    return `"${this.request.method} ${this.request.target}"`;
  }

  /** The client's address; from trusted proxies, if there are any. */
  get remoteAddr(): Deno.Addr {
    const { remoteAddr, host: { trustedProxies } } = this.connection;
    if (trustedProxies === null) return remoteAddr;
    return this.#extra.remoteAddr ??= trustedProxies.clientAddr(remoteAddr, this.request.headers);
  }

  /** The scheme the client uses; from trusted proxies, if there are any. */
  get scheme(): Scheme {
    const { remoteAddr, scheme, host: { trustedProxies } } = this.connection;
    return trustedProxies?.clientScheme(remoteAddr, this.request.headers) ?? scheme;
  }

  get #extra(): Extras {
    return this.#extras ??= new Extras();
  }

  /** That address as text. */
  get peer(): string {
    const { connection, remoteAddr } = this;
    return remoteAddr === connection.remoteAddr ? connection.peer : formatAddr(remoteAddr);
  }

  /** Whether the response has begun. */
  get isResponded(): boolean {
    return this.status !== 0 || (this.#extras !== null && this.#extras.isTaken);
  }

  /** Whether nothing is left to wait for: the response was given whole, or was given up. */
  get isAnswered(): boolean {
    return this.isResponded && (this.sending === null || this.#extra.isGivenUp);
  }

  /**
   * Marks the handler as failed: a response that it has begun by then is not waited for. A response that
   * hooks send later is a different one, and is waited for. While its filter is running, a response has not
   * begun: it is taken back, and another one can be sent.
   */
  giveUp(): void {
    const extra = this.#extra;
    if (extra.filtering?.isRunning === true) {
      this.sending = null;
      this.#takeBack();
    }
    if (extra.hasFailed) return;
    extra.hasFailed = true;
    extra.isGivenUp = this.sending !== null;
  }

  /** The request's body. */
  get body(): RequestBody {
    return this.#body ??= new RequestBody(this);
  }

  /** Reports a failure of this exchange; `thrown` contains the error, if there is one. */
  report(message: string, thrown: { error?: unknown } = {}): void {
    const { connection: { host }, context: ctx } = this;
    report(host.settings, { level: "error", message, ...thrown, ctx });
  }

  /** Sends an interim response. */
  inform(status: number, headers: h11.HeadersInit): void {
    if (this.isOver && this.#isTooLate()) return;
    this.#checkOpen();
    if (status === 101) {
      throw new TypeError("Cannot send 101 as an interim response: use upgrade()");
    }
    const { protocol } = this.connection;
    const reason = reasonPhrase(status);
    const response = new h11.InformationalResponse({ statusCode: status, reason, headers });
    if (protocol.theirHttpVersion !== "1.0") this.#write(protocol.send(response)!);
    this.#flush();
  }

  /** Sends 100 (Continue) to a client that waits for it before it sends its body. */
  inviteBody(): void {
    const response = new h11.InformationalResponse({ statusCode: 100, reason: reasonPhrase(100) });
    this.#write(this.connection.protocol.send(response)!);
    this.#flush();
  }

  /** Sets the trailer section to send after a chunked body. */
  setTrailers(headers: h11.HeadersInit): void {
    this.#extra.trailers = new h11.EndOfMessage({ headers });
  }

  /** Sets or adds a field of the response. */
  addField(name: string, value: string, isOnly: boolean): void {
    if (this.isOver && this.#isTooLate()) return;
    if (this.isResponded) {
      throw new TypeError(
        `Cannot set field "${name}": the response has already begun; ` +
          "set it earlier, or in a hook of beforeResponse()",
      );
    }
    (this.#extra.added ??= new AddedFields()).add(name, value, isOnly);
  }

  /** Drops the fields that were set for a body which another one replaces. */
  dropFieldsOfBody(): void {
    this.#extras?.added?.dropThoseOfBody();
  }

  /** Has the response pass through `filter` before it is sent. */
  filterResponse(filter: ResponseFilter): void {
    this.#extra.filter = filter;
  }

  /**
   * Lets hooks make the response to a failure, with `headers`: nothing else can respond before
   * `endFailing()`.
   */
  beginFailing(headers: h11.HeadersInit): void {
    const extra = this.#extra;
    (extra.added ??= new AddedFields()).setAll(new h11.Headers(headers).rawItems());
    extra.isFailing = true;
  }

  /** Ends that, whether or not the hooks have responded. */
  endFailing(): void {
    this.#extra.isFailing = false;
  }

  /** Sends the response. */
  respond(status: number, body: ResponseBody, headers: h11.HeadersInit): void | Promise<void> {
    if (this.isOver && this.#isTooLate()) return discard(body);
    if (!Number.isInteger(status) || status < 200 || status > 599) throw badStatus(status);
    if (this.#extras !== null && this.#extras.filter !== null) {
      this.#checkOpen();
      const { added, filter } = this.#extras;
      const given = added?.mergeWith(headers) ?? headers;
      return this.#respondFiltered(toResponse(status, body, given), filter);
    }
    return this.#respond(status, body, headers, "", typeOf(body));
  }

  /** Sends a response with the content type `type` if `headers` have none. */
  #respond(
    status: number,
    given: ResponseBody,
    headers: h11.HeadersInit,
    reason: string,
    type: string | null,
  ): void | Promise<void> {
    this.#checkOpen();
    const extras = this.#extras;
    if (extras !== null) headers = extras.added?.mergeWith(headers) ?? headers;
    const isText = typeof given === "string";
    const { now } = this.connection.host.clock;
    const isKnowable = reason === "" && !this.#closes(false);
    const onlyType = isKnowable ? typeAlone(headers, type) : undefined;
    let known: h11.Response | null = null;
    let fields: Fields = NO_HEADERS;
    if (onlyType !== undefined) {
      known = plainResponse(status, onlyType, now);
    } else {
      // Read before a text is encoded: a getter among the headers may answer another request, and an encoded
      // text is valid only until the next one is encoded.
      fields = pairsOf(headers);
      if (isKnowable) known = knownResponse(status, fields, type, now);
    }
    const body = isText && given.length > SHORT_TEXT ? encode(given) : given;
    if (known !== null && isSmall(body) && this.#respondAtOnce(known, body)) return this.#flush();
    checkBody(body);
    return this.#respondInSteps({ status, reason, fields, type, known }, body, isText);
  }

  /** Sends a cached response, if that is possible in one step. @returns Whether it was. */
  #respondAtOnce(response: h11.Response, body: string | Uint8Array): boolean {
    const status = response.statusCode;
    if (status === 205 || this.#hasTrailers) return false;
    const { protocol, socket } = this.connection;
    const at = socket.reserve(SHORT_HEAD + body.length);
    const end = protocol.sendWholeInto(response, body, socket.target, at);
    if (end < 0) return false;
    socket.append(end);
    this.status = status;
    this.bytes += body.length;
    return true;
  }

  /** @param isText Whether `body` is a text, or was one before it was encoded. */
  #respondInSteps(
    { status, reason, fields, type, known }: GivenHead,
    body: ResponseBody,
    isText: boolean,
  ): void | Promise<void> {
    const { protocol } = this.connection;
    const { method } = this.request;
    if (method === "CONNECT" && status < 300) {
      throw new TypeError(
        `Cannot respond with ${status} to CONNECT: use upgrade() to open a tunnel`,
      );
    }
    const isHead = method === "HEAD";
    const hasNoBody = status === 204 || status === 205 || status === 304;
    const bytes = hasNoBody || body === null
      ? NO_BYTES
      : typeof body === "string"
      ? encode(body)
      : body instanceof Uint8Array
      ? body
      : null;
    const closes = this.#closes(bytes === null && !isHead);
    const { now } = this.connection.host.clock;
    const response = known ?? new h11.Response({
      statusCode: status,
      reason: reason || reasonPhrase(status),
      headers: completeFields(fields, type, closes, now),
    });
    if (known === null && reason === "" && !closes) keepResponse(response, fields, type, now);
    const isStream = bytes === null;
    // Without a body, a response may declare the length of the response to GET, except for 205 (RFC 9110
    // 15.3.6).
    const canDiffer = isStream || isHead || (hasNoBody && status !== 205);
    if (!canDiffer) checkLength(response, bytes.length);
    // Unless the route is one of GET, a null body in response to HEAD says nothing about the body that GET
    // has: no length is declared.
    const isUnknown = isHead && body === null && this.route?.pattern.startsWith("GET:") !== true;
    const isWhole = !isStream && (status === 205 || !this.#canHaveTrailers) && !isUnknown;
    if (isWhole) {
      for (const part of protocol.sendWhole(response, bytes)) {
        // The text was encoded for this response alone.
        this.#write(part, isText && part === bytes);
      }
      this.status = status;
      if (!isHead) this.bytes += bytes.length;
      discard(body);
      return this.#flush();
    }

    // The producer may throw before the head is sent; that can still become a 500.
    const parts = isStream && !isHead && !hasNoBody
      ? new BodyParts(body as AsyncIterable<Uint8Array>)
      : null;
    if (parts !== null) {
      this.status = status;
      return this.sending = handled(this.#sendStream(response, parts));
    }
    this.#write(protocol.send(response)!);
    this.status = status;
    if (isStream) discard(body);
    else if (!isHead && bytes.length > 0) this.#writeData(bytes);
    this.#write(protocol.send(this.#endOfMessage(response))!);
    this.#flush();
  }

  /** Sends a web response: with its length if known, and without adding a `Content-Type`. */
  respondWith(response: Response): void | Promise<void> {
    if (this.isOver && this.#isTooLate()) return discardResponse(response);
    this.#checkOpen();
    checkResponse(response);
    const extras = this.#extras;
    if (extras !== null && extras.filter !== null) {
      return this.#respondFiltered(withFields(response, extras.added), extras.filter);
    }
    const whole = takeWhole(response);
    if (whole !== null) {
      const { status, reason, body } = whole;
      return this.#respond(status, body, this.#fieldsOf(whole), reason, whole.type);
    }
    this.#extra.isTaken = true;
    return this.#sendWhenBegun(this.#begin(response));
  }

  #sendWhenBegun(begun: Promise<{ rest: void | Promise<void> }>): Promise<void> {
    this.#extra.begun = handled(begun);
    return this.sending = handled(begun.then(({ rest }) => rest));
  }

  /**
   * Sends what `filter` makes of `response`, which has all fields. If that fails, the response that reports it
   * is not filtered.
   */
  #respondFiltered(response: Response, filter: ResponseFilter): void | Promise<void> {
    const extra = this.#extra;
    const filtering: Filtering = { response, added: extra.added, isRunning: true };
    extra.filtering = filtering;
    extra.filter = null;
    extra.added = null;
    // Nothing else can respond meanwhile.
    extra.isTaken = true;
    try {
      const filtered = filter(response);
      if (filtered instanceof Promise) {
        return this.#sendWhenBegun(this.#beginFiltered(filtered, filtering));
      }
      filtering.isRunning = false;
      extra.isTaken = false;
      return this.respondWith(filtered);
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  async #beginFiltered(
    filtered: Promise<Response>,
    filtering: Filtering,
  ): Promise<{ rest: void | Promise<void> }> {
    const extra = this.#extra;
    try {
      const response = await filtered;
      if (extra.filtering === filtering) {
        filtering.isRunning = false;
        return this.#begin(response);
      }
      discardResponse(response);
      return { rest: undefined };
    } catch (error) {
      if (extra.filtering === filtering) this.#takeBack();
      throw error;
    }
  }

  /** Lets another response be sent, with the fields that were set, in place of one that has not begun. */
  #takeBack(): void {
    const extra = this.#extra;
    const { filtering } = extra;
    extra.isTaken = false;
    if (filtering === null) return;
    extra.filtering = null;
    extra.added = filtering.added;
    discardResponse(filtering.response);
  }

  /**
   * Like `respondWith()`, for callers that respond differently if this response cannot be sent: the promise
   * settles when the response has begun. Its end is that of `sending`.
   */
  beginWith(response: Response): void | Promise<void> {
    if (this.respondWith(response) !== undefined) return this.#untilBegun();
  }

  async #untilBegun(): Promise<void> {
    try {
      await this.#extra.begun;
    } catch (error) {
      this.sending = null;
      throw error;
    }
  }

  /** The fields of a web response, with its type if that has to replace one that was set before. */
  #fieldsOf({ fields, type }: FieldsAndType): Fields {
    const isAmongOthers = type !== null && this.#extras !== null;
    return isAmongOthers ? [...fields, ["Content-Type", type]] as Fields : fields as Fields;
  }

  /** Begins a web response whose body may take time. @returns The rest of the sending. */
  async #begin(response: Response): Promise<{ rest: void | Promise<void> }> {
    if (this.isOver) {
      discardResponse(response);
      return { rest: undefined };
    }
    const { status, statusText, body } = response;
    const given = fieldsOf(response);
    const isUnread = body === null || (this.request.method === "HEAD" && isProduced(body));
    const known = isUnread ? body : await knownBody(body);
    this.#extra.isTaken = false;
    try {
      return { rest: this.#respond(status, known, this.#fieldsOf(given), statusText, given.type) };
    } catch (error) {
      discard(known);
      this.#takeBack();
      throw error;
    }
  }

  /** Resolves when the whole response was written; rejects if that failed. */
  get completed(): Promise<void> {
    const completed = this.#extra.completed ??= Promise.withResolvers();
    if (this.isOver) this.#complete(completed);
    return handled(completed.promise);
  }

  /** Ends the exchange: nothing more can be sent. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    try {
      // An application's own context may be dropped asynchronously.
      const dropping: unknown = this.context?.drop();
      if (dropping !== undefined) void this.#awaitDrop(dropping);
    } catch (error) {
      this.#dropFailed(error);
    }
    if (this.#extras !== null && this.#extras.completed !== null) {
      this.#complete(this.#extras.completed);
    }
  }

  async #awaitDrop(dropping: unknown): Promise<void> {
    try {
      await dropping;
    } catch (error) {
      this.#dropFailed(error);
    }
  }

  #dropFailed(error: unknown): void {
    this.report(`Cannot drop the context of ${this.label}`, { error });
  }

  #complete(completed: PromiseWithResolvers<void>): void {
    this.connection.socket.drained().then(completed.resolve, (cause) => {
      completed.reject(
        new Deno.errors.Interrupted("The response was not sent completely", { cause }),
      );
    });
  }

  /** Whether the connection ends with this response. */
  #closes(isStream: boolean): boolean {
    // After a refused CONNECT the client may have sent something other than HTTP (RFC 9110 9.3.6). A proxy that
    // does not finish a request once it is answered sends the next one in place of the rest of the body. While
    // a stream is sent, its handler may still read that.
    return this.connection.isClosing || this.request.method === "CONNECT" ||
      (!isStream && this.connection.lacksBody());
  }

  get #hasTrailers(): boolean {
    return this.#extras !== null && this.#extras.trailers !== null;
  }

  /** Whether trailers were set and the client understands chunked bodies. */
  get #canHaveTrailers(): boolean {
    return this.#hasTrailers && this.request.httpVersion !== "1.0" &&
      this.request.method !== "HEAD";
  }

  /**
   * The end of the message, with the trailers that were set. The engine drops those that cannot be sent, but
   * takes those after a body of declared length for a mistake.
   */
  #endOfMessage({ headers }: h11.Response): h11.EndOfMessage {
    const trailers = this.#extras?.trailers;
    return trailers && !headers.has("content-length") ? trailers : new h11.EndOfMessage();
  }

  async #sendStream(response: h11.Response, parts: BodyParts): Promise<void> {
    const { protocol, socket } = this.connection;
    const extra = this.#extra;
    extra.parts = parts;
    extra.isEventStream = isEventStream(response);
    if (extra.lost !== null) parts.abandon(extra.lost);
    if (this.connection.host.isClosing) {
      // `event` is set here once the first step of the handler is over.
      await undefined;
      this.endStream();
    }
    try {
      // Parts that the producer has at hand are written together, and with the head. Before waiting for a
      // part, and when the turn has become long, what is queued is sent.
      let isAtHand = await parts.ask();
      // A producer that reads the request body directly has asked for it by now, so the client was told to
      // send it. One that reads it through other streams may ask only after the response head was sent, when
      // it is too late to tell the client.
      if (protocol.theyAreWaitingFor100Continue && this.#body?.isAwaited) this.inviteBody();
      // A client still waiting for 100 (Continue) may or may not send its body: what comes next may be the
      // body or another request. And if nobody has asked for the body, it may never be read.
      const isLast = protocol.theyAreWaitingFor100Continue ||
        (this.#body === null && this.#closes(false));
      this.#write(protocol.send(isLast ? this.#asLast(response) : response)!);
      const length = Number(response.headers.get("content-length") ?? Infinity);
      for (;;) {
        // To the client, a response of declared length is over before its producer is.
        if (this.bytes === length && this.connection.lacksBody()) this.connection.readNoMore();
        const isLong = isTurnLong();
        if (!isAtHand || isLong) await socket.drained();
        if (isLong) await nextTurn();
        const part = await parts.take();
        if (part === null) break;
        let data = bytesOf(part);
        if (socket.queued + data.length > GATHERED_MAX) {
          await socket.drained();
          // Another text may have been encoded meanwhile.
          data = bytesOf(part);
        }
        // A producer may reuse its array when it is asked for more.
        if (!this.#writeData(data)) await socket.drained();
        isAtHand = await parts.ask();
      }
      if (this.connection.lacksBody()) this.connection.readNoMore();
      socket.writeTogether([protocol.send(this.#endOfMessage(response))!]);
      await socket.drained();
    } catch (error) {
      // A client must never take a partial message for a complete one: this one is left without its end.
      protocol.sendFailed();
      // The handler and the producer may still be running. A write may notice before a read does that the client
      // has left.
      this.event?.abort(error instanceof ConnectionLost ? new ClientLeft() : error);
      socket.flush();
      socket.close();
      parts.cancel(error);
      throw error;
    } finally {
      extra.parts = null;
      clearTimeout(extra.lastWord);
    }
  }

  /** `response`, announcing that the connection ends with it. */
  #asLast({ statusCode, reason, headers }: h11.Response): h11.Response {
    const fields = completeFields(headers, null, true, this.connection.host.clock.now);
    return new h11.Response({ statusCode, reason, headers: fields });
  }

  /**
   * Tells the handler of a stream of events that the server is stopping. Unlike other responses, such a
   * stream has no end of its own. If the handler does not react, the stream is ended, and a client that used
   * GET reconnects by itself (HTML 9.2.3). In response to another method a stream may have an end, and the
   * client must not take a part for the whole, so it is not cut.
   */
  endStream(): void {
    const extra = this.#extra;
    if (!extra.isEventStream) return;
    const reason = new DOMException("The server is stopping", "AbortError");
    this.event?.abort(reason);
    const { parts } = extra;
    if (parts === null || this.request.method !== "GET") return;
    extra.lastWord ??= setTimeout(() => parts.cut(reason), LAST_WORD);
  }

  /** Stops sending a body that has no recipient any more. */
  cancel(cause: unknown): void {
    if (this.isOver && this.sending === null) return;
    const extra = this.#extra;
    extra.lost ??= new ConnectionLost("Cannot send the body: the connection was closed", { cause });
    extra.parts?.abandon(extra.lost);
  }

  /**
   * Hands the connection over to another protocol: with 101 for a request with Upgrade (RFC 9110 7.8), with
   * 200 for CONNECT (RFC 9110 9.3.6).
   */
  async upgrade(
    headers: h11.HeadersInit,
    isRaw: boolean,
    closed?: PromiseLike<unknown>,
  ): Promise<Upgraded> {
    this.#checkOpen();
    const { protocol, socket } = this.connection;
    if (protocol.theirState !== h11.MIGHT_SWITCH_PROTOCOL) {
      throw new TypeError(
        protocol.theirState === h11.SEND_BODY
          ? "Cannot upgrade: the request body was not read to its end; await ctx.bytes() first"
          : "Cannot upgrade: the client did not request it; respond with 426 (Upgrade Required)",
      );
    }
    const given = new h11.Headers(this.#extras?.added?.mergeWith(headers) ?? headers);
    if (isRaw) {
      // The handler writes the response itself; the log records the status that it usually has.
      this.status = this.request.method === "CONNECT" ? 200 : 101;
    } else if (this.request.method === "CONNECT") {
      // The 200 of a tunnel has a Date field like any other response (RFC 9110 6.6.1).
      const fields = completeFields(given, null, false, this.connection.host.clock.now);
      const response = new h11.Response({ statusCode: 200, reason: "OK", headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 200;
    } else {
      const fields = switchingFields(given, this.request.headers);
      const reason = reasonPhrase(101);
      const response = new h11.InformationalResponse({ statusCode: 101, reason, headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 101;
    }
    this.isUpgraded = true;
    const drained = socket.drained();
    // Set even if nobody awaits this call. A connection lost before that point is not handed over.
    if (closed !== undefined) this.sending = drained.then(() => closed).then(() => {}, () => {});
    await drained;
    return { conn: this.connection.handOver(), head: protocol.trailingData[0] };
  }

  /** @returns Whether `data` was copied. */
  #writeData(data: Uint8Array): boolean {
    this.bytes += data.length;
    const { protocol, socket } = this.connection;
    return socket.writeTogether(protocol.sendWithDataPassthrough(new h11.Data({ data }))!);
  }

  #write(bytes: Uint8Array, isOurs = false): void {
    this.connection.socket.write(bytes, isOurs);
  }

  #flush(): void {
    // If the connection is lost, there is nobody to tell; it notices by itself.
    this.connection.socket.flushSoon();
  }

  /** Whether a response comes too late: the handler ended without one, timed out, or has lost its client. */
  #isTooLate(): boolean {
    const why = this.error instanceof NoResponse
      ? "its handler has already ended without a response; await or return whatever leads to ctx.response()"
      : this.event?.isTimedOut
      ? "handlerTimeout has expired; observe event.signal"
      : this.status === 0
      ? "its connection was closed; observe event.signal"
      : null;
    if (why !== null) this.report(`Cannot answer ${this.label} any more: ${why}`);
    return why !== null;
  }

  #checkOpen(): void {
    if (this.isOver) {
      throw new TypeError(
        "Cannot respond: the exchange is over; observe event.signal",
      );
    }
    if (this.#extras !== null && this.#extras.isFailing) {
      throw new TypeError(
        "Cannot respond: the request has failed; a hook of onHTTPError() responds by returning a Response",
      );
    }
    if (this.isResponded) {
      throw new TypeError(
        "Cannot respond twice: a response was already sent; check ctx.isResponded",
      );
    }
  }
}

/** The bytes of a body part; those of a text are valid until the next text is encoded. */
function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === "string" ? encode(part) : part;
}

/** Whether a response is a stream of server-sent events (HTML 9.2). */
function isEventStream({ headers }: h11.Response): boolean {
  return headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true;
}
