// One exchange: a request that came and the response that goes out for it.

import * as h11 from "../h11.ts";
import type { AnyEvent, Context, Route } from "../listener.ts";
import { BodyParts } from "./body_parts.ts";
import type { Connection } from "./connection.ts";
import { reasonPhrase } from "./http_error.ts";
import { keepResponse, knownResponse, plainResponse, typeAlone } from "./known_response.ts";
import { formatAddr, logError } from "./log.ts";
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
} from "./response_head.ts";
import { ConnectionLost, GATHERED_MAX } from "./socket.ts";
import { pathOf, type Scheme, schemeOf } from "./target.ts";
import { isTurnLong, nextTurn } from "./turn.ts";
import { checkResponse, type FieldsAndType, fieldsOf, takeWhole } from "./web_response.ts";

/** What an upgraded connection is handed over as. */
export interface Upgraded {
  /** The connection; it is the handler's to read, write and close. */
  conn: Deno.Conn;
  /** Bytes of the new protocol that have come already. */
  head: Uint8Array;
}

/**
 * The same promise, which is no unhandled rejection where nobody awaits it yet: what a client does must not
 * end the process because a handler looks at the outcome late, or not at all.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A handler, or a hook, has ended without a response. */
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

/** Room for a head of no more than its type. */
const SHORT_HEAD = 1024;

/** What a handler says of its response. */
interface GivenHead {
  readonly status: number;
  /** Empty where it is that of the status. */
  readonly reason: string;
  /** None where it is known. */
  readonly fields: Fields;
  /** The type where they have none. */
  readonly type: string | null;
  /** What was made of that before, where it does not end the connection. */
  readonly known: h11.Response | null;
}

/** What few exchanges have, so that the others are small. */
class Extras {
  trailers: h11.EndOfMessage | null = null;
  /** Fields of the response that were set before it is given. */
  added: AddedFields | null = null;
  /** A response was given that is not sent yet. */
  isTaken = false;
  /** It, when it has begun; rejects where it cannot be sent. */
  begun: Promise<{ rest: void | Promise<void> }> | null = null;
  /** The handler has failed. */
  hasFailed = false;
  /** What is left of the response is not waited for. */
  isGivenUp = false;
  /** It has failed, and hooks make the response that tells so. */
  isFailing = false;
  completed: PromiseWithResolvers<void> | null = null;
  parts: BodyParts | null = null;
  /** They are those of server-sent events. */
  isEventStream = false;
  /** Cuts these soon, as the server stops. */
  lastWord: ReturnType<typeof setTimeout> | undefined = undefined;
  /** Why nothing can be sent. */
  lost: ConnectionLost | null = null;
  /** The client's address as proxies tell it. */
  remoteAddr: Deno.Addr | null = null;
}

/** One request and its response. */
export class Exchange {
  readonly connection: Connection;
  readonly request: h11.Request;
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
  #extras: Extras | null = null;

  constructor(connection: Connection, request: h11.Request) {
    this.connection = connection;
    this.request = request;
  }

  /** What routes match: `METHOD:path`. */
  toString(): string {
    return `${this.request.method}:${pathOf(this.request.target)}`;
  }

  /** `"METHOD target"`, for messages. */
  get label(): string {
    return `"${this.request.method} ${this.request.target}"`;
  }

  /** The address of the client, as far as the proxies that tell it are trusted. */
  get remoteAddr(): Deno.Addr {
    const { remoteAddr, host: { trustedProxies } } = this.connection;
    if (trustedProxies === null) return remoteAddr;
    return this.#extra.remoteAddr ??= trustedProxies.clientAddr(remoteAddr, this.request.headers);
  }

  /** The scheme that the client speaks, as far as the proxies that tell it are trusted. */
  get scheme(): Scheme {
    const { remoteAddr, socket, host: { trustedProxies } } = this.connection;
    return trustedProxies?.clientScheme(remoteAddr, this.request.headers) ?? schemeOf(socket.conn);
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

  /** Whether nothing is left to wait for: the response was given whole, or is given up. */
  get isAnswered(): boolean {
    return this.isResponded && (this.sending === null || this.#extra.isGivenUp);
  }

  /**
   * The handler has failed: nobody waits for what it has begun to send by then. What hooks send after that is
   * another response.
   */
  giveUp(): void {
    const extra = this.#extra;
    if (extra.hasFailed) return;
    extra.hasFailed = true;
    extra.isGivenUp = this.sending !== null;
  }

  /** The request's body. */
  get body(): RequestBody {
    return this.#body ??= new RequestBody(this);
  }

  /** Sends an interim response. */
  inform(status: number, headers: h11.HeadersInit): void {
    if (this.isOver && this.#isTooLate()) return;
    this.#checkOpen();
    if (status === 101) {
      throw new TypeError("Cannot send 101 as an interim response: use upgrade() for it");
    }
    const { protocol } = this.connection;
    const reason = reasonPhrase(status);
    const response = new h11.InformationalResponse({ statusCode: status, reason, headers });
    if (protocol.theirHttpVersion !== "1.0") this.#write(protocol.send(response)!);
    this.#flush();
  }

  /** Tells a client that waits for it to send its body. */
  inviteBody(): void {
    const response = new h11.InformationalResponse({ statusCode: 100, reason: reasonPhrase(100) });
    this.#write(this.connection.protocol.send(response)!);
    this.#flush();
  }

  /** Sends trailer fields after the body, where that is sent in chunks. */
  setTrailers(headers: h11.HeadersInit): void {
    this.#extra.trailers = new h11.EndOfMessage({ headers });
  }

  /** Sets, or adds, a field of the response. */
  addField(name: string, value: string, isOnly: boolean): void {
    if (this.isOver && this.#isTooLate()) return;
    if (this.isResponded) {
      throw new TypeError(`Cannot set field "${name}": the response has begun`);
    }
    (this.#extra.added ??= new AddedFields()).add(name, value, isOnly);
  }

  /** Leaves out the fields that were set for a body that another one takes the place of. */
  dropFieldsOfBody(): void {
    this.#extras?.added?.dropThoseOfBody();
  }

  /** Hooks make the response to a failure, with `headers`: nothing else answers before `endFailing()`. */
  beginFailing(headers: h11.HeadersInit): void {
    const extra = this.#extra;
    (extra.added ??= new AddedFields()).setAll(new h11.Headers(headers).rawItems());
    extra.isFailing = true;
  }

  /** They have made it, or not. */
  endFailing(): void {
    this.#extra.isFailing = false;
  }

  /** Sends the response. */
  respond(status: number, body: ResponseBody, headers: h11.HeadersInit): void | Promise<void> {
    if (this.isOver && this.#isTooLate()) return discard(body);
    if (!Number.isInteger(status) || status < 200 || status > 599) throw badStatus(status);
    return this.#respond(status, body, headers, "", typeOf(body));
  }

  /** Sends a response whose type is `type` where `headers` have none. */
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
      // Before a text is encoded: getters among them may answer another request, and what is encoded stays only until
      // the next text is.
      fields = pairsOf(headers);
      if (isKnowable) known = knownResponse(status, fields, type, now);
    }
    const body = isText && given.length > SHORT_TEXT ? encode(given) : given;
    if (known !== null && isSmall(body) && this.#respondAtOnce(known, body)) return this.#flush();
    checkBody(body);
    return this.#respondInSteps({ status, reason, fields, type, known }, body, isText);
  }

  /** Sends a response that was made before, where that goes in one step. @returns Whether it did. */
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

  /** @param isText `body` is a text, or was. */
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
    // What has no body may tell the length of GET's, but for 205 (RFC 9110 15.3.6).
    const canDiffer = isStream || isHead || (hasNoBody && status !== 205);
    if (!canDiffer) checkLength(response, bytes.length);
    // But for a route of GET, a null body may be that of a HEAD whose GET has one: only what is known is told.
    const isUnknown = isHead && body === null && this.route?.pattern.startsWith("GET:") !== true;
    const isWhole = !isStream && (status === 205 || !this.#canHaveTrailers) && !isUnknown;
    if (isWhole) {
      for (const part of protocol.sendWhole(response, bytes)) {
        // A text was encoded for this response alone.
        this.#write(part, isText && part === bytes);
      }
      this.status = status;
      if (!isHead) this.bytes += bytes.length;
      discard(body);
      return this.#flush();
    }

    // Its producer may throw, and that can still become a 500.
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
    this.#write(protocol.send(this.#end(response))!);
    this.#flush();
  }

  /** Sends a web response: with its length where that is known, and without a `Content-Type` of our own. */
  respondWith(response: Response): void | Promise<void> {
    if (this.isOver && this.#isTooLate()) return discardResponse(response);
    this.#checkOpen();
    checkResponse(response);
    const whole = takeWhole(response);
    if (whole !== null) {
      const { status, reason, body } = whole;
      return this.#respond(status, body, this.#fieldsOf(whole), reason, whole.type);
    }
    const extra = this.#extra;
    extra.isTaken = true;
    extra.begun = handled(this.#begin(response));
    return this.sending = handled(extra.begun.then(({ rest }) => rest));
  }

  /**
   * As `respondWith`, for who makes another response where this one cannot be sent: its promise settles when it has
   * begun. The end of its body is that of `sending`.
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

  /** The fields of a web response, with its type where that has to take the place of one that was set. */
  #fieldsOf({ fields, type }: FieldsAndType): Fields {
    const isAmongOthers = type !== null && this.#extras !== null;
    return isAmongOthers ? [...fields, ["Content-Type", type]] as Fields : fields as Fields;
  }

  /** Begins a web response whose body may take time. @returns What is left of it. */
  async #begin(response: Response): Promise<{ rest: void | Promise<void> }> {
    const { status, statusText, body } = response;
    const given = fieldsOf(response);
    const known = body === null ? null : await knownBody(body);
    this.#extra.isTaken = false;
    try {
      return { rest: this.#respond(status, known, this.#fieldsOf(given), statusText, given.type) };
    } catch (error) {
      discard(known);
      throw error;
    }
  }

  /** Resolves when the response was written whole; rejects where it could not be. */
  get completed(): Promise<void> {
    const { promise } = this.#extra.completed ??= Promise.withResolvers();
    if (this.isOver) this.#complete();
    return handled(promise);
  }

  /** Nothing can be sent any more. */
  end(): void {
    this.isOver = true;
    try {
      // That of an application's own context may take time.
      const dropping: unknown = this.context?.drop();
      if (dropping !== undefined) {
        Promise.resolve(dropping).catch((error) => this.#dropFailed(error));
      }
    } catch (error) {
      this.#dropFailed(error);
    }
    this.#complete();
  }

  #dropFailed(error: unknown): void {
    logError(`Cannot drop the context of ${this.label}:`, error);
  }

  #complete(): void {
    if (this.#extras === null || this.#extras.completed === null) return;
    const { completed } = this.#extras;
    this.connection.socket.drained().then(completed.resolve, (cause) => {
      completed.reject(
        new Deno.errors.Interrupted("The response was not written whole", { cause }),
      );
    });
  }

  /** Whether the connection ends with this response. */
  #closes(isStream: boolean): boolean {
    // After a CONNECT that was refused the client may have sent what is not HTTP (RFC 9110 9.3.6). While a
    // stream is sent, its handler may read on.
    const { connection } = this;
    return connection.isClosing || this.request.method === "CONNECT" ||
      (!isStream && connection.protocol.theirState === h11.SEND_BODY &&
        connection.bodyReader.cannotDrain(this));
  }

  get #hasTrailers(): boolean {
    return this.#extras !== null && this.#extras.trailers !== null;
  }

  /** Trailers were set, and the client knows of chunks. */
  get #canHaveTrailers(): boolean {
    return this.#hasTrailers && this.request.httpVersion !== "1.0" &&
      this.request.method !== "HEAD";
  }

  #end(response: h11.Response): h11.EndOfMessage {
    const { statusCode, headers } = response;
    const isChunked = statusCode !== 204 && statusCode !== 304 && !headers.has("content-length");
    return isChunked && this.#canHaveTrailers ? this.#extra.trailers! : new h11.EndOfMessage();
  }

  async #sendStream(response: h11.Response, parts: BodyParts): Promise<void> {
    const { protocol, socket } = this.connection;
    const extra = this.#extra;
    extra.parts = parts;
    extra.isEventStream = isEventStream(response);
    if (extra.lost !== null) parts.abandon(extra.lost);
    if (this.connection.host.isClosing) {
      // The event is known here when the first step of the handler is over.
      await undefined;
      this.endStream();
    }
    try {
      // Parts that the producer has at hand are written together, and with the head; while it waits for one,
      // or works on it for long, what there is goes out.
      let isAtHand = await parts.ask();
      // Before its head, a producer that reads the request's body has asked for it, and has the client told to send
      // it. Who was not told may send it or not: what comes next may be its body, or another request. And of one that
      // nobody has asked for more may be left than is dropped.
      const isLast = protocol.theyAreWaitingFor100Continue ||
        (this.#body === null && this.#closes(false));
      this.#write(protocol.send(isLast ? this.#asLast(response) : response)!);
      for (;;) {
        const isLong = isTurnLong();
        if (!isAtHand || isLong) await socket.drained();
        if (isLong) await nextTurn();
        const part = await parts.take();
        if (part === null) break;
        let data = bytesOf(part);
        if (socket.queued + data.length > GATHERED_MAX) {
          await socket.drained();
          // Others may have encoded something meanwhile.
          data = bytesOf(part);
        }
        // A producer may use its array again when it is asked for more.
        if (!this.#writeData(data)) await socket.drained();
        isAtHand = await parts.ask();
      }
      socket.writeTogether([protocol.send(this.#end(response))!]);
      await socket.drained();
    } catch (error) {
      // A client must never take a part for the whole: the message stays without its end.
      protocol.sendFailed();
      // Its handler may go on, and must not take that for the client's doing.
      if (!(error instanceof ConnectionLost)) this.event?.abort(error);
      socket.flush();
      socket.close();
      parts.cancel(error);
      throw error;
    } finally {
      extra.parts = null;
      clearTimeout(extra.lastWord);
    }
  }

  /** `response`, which says that the connection ends with it. */
  #asLast({ statusCode, reason, headers }: h11.Response): h11.Response {
    const fields = completeFields(headers, null, true, this.connection.host.clock.now);
    return new h11.Response({ statusCode, reason, headers: fields });
  }

  /**
   * Tells the handler of a stream of events that the server stops: that has no end of its own, and others have. One
   * that does not listen has its stream ended, and the client of a GET comes again by itself (HTML 9.2.3). What
   * answers another method may well have an end, and the client must not take a part for the whole.
   */
  endStream(): void {
    const extra = this.#extra;
    if (!extra.isEventStream) return;
    const reason = new DOMException("The server stops", "AbortError");
    this.event?.abort(reason);
    const { parts } = extra;
    if (parts === null || this.request.method !== "GET") return;
    extra.lastWord ??= setTimeout(() => parts.cut(reason), LAST_WORD);
  }

  /** Ends the sending of a body: there is nobody to send it to. */
  cancel(cause: unknown): void {
    if (this.isOver && this.sending === null) return;
    const extra = this.#extra;
    extra.lost ??= new ConnectionLost("Cannot send the body: the connection has ended", { cause });
    extra.parts?.abandon(extra.lost);
  }

  /**
   * Hands the connection over to another protocol: 101 to a request with Upgrade (RFC 9110 7.8), 200 to
   * CONNECT (RFC 9110 9.3.6).
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
          ? "Cannot upgrade: the request's body was not read to its end; await ctx.bytes() before"
          : "Cannot upgrade: the request asks for no other protocol; answer it with 426 (Upgrade Required)",
      );
    }
    const given = new h11.Headers(this.#extras?.added?.mergeWith(headers) ?? headers);
    if (isRaw) {
      // What the handler says by itself; the log takes it for what it mostly is.
      this.status = this.request.method === "CONNECT" ? 200 : 101;
    } else if (this.request.method === "CONNECT") {
      // A tunnel's 200 has a Date as any other (RFC 9110 6.6.1).
      const fields = completeFields(given, null, false, this.connection.host.clock.now);
      const response = new h11.Response({ statusCode: 200, reason: "OK", headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 200;
    } else {
      const fields: Fields = given.rawItems();
      const offered = membersOf(this.request.headers, "upgrade");
      const named = given.has("upgrade") ? membersOf(given, "upgrade") : offered.slice(0, 1);
      const isOffered = (name: string): boolean =>
        offered.some((it) => it.toLowerCase() === name.toLowerCase());
      if (!named.some(isOffered)) {
        throw new TypeError(
          `Cannot upgrade to "${named.join(", ")}": the client offers "${
            offered.join(", ")
          }" (RFC 9110 7.8)`,
        );
      }
      if (!given.has("upgrade")) fields.unshift(["Upgrade", named[0]]);
      // Beside other options that may be set: without this one nothing is switched (RFC 9110 7.8).
      const options = membersOf(given, "connection");
      if (!options.some((option) => option.toLowerCase() === "upgrade")) {
        fields.push(["Connection", "Upgrade"]);
      }
      const reason = reasonPhrase(101);
      const response = new h11.InformationalResponse({ statusCode: 101, reason, headers: fields });
      this.#write(protocol.send(response)!);
      this.status = 101;
    }
    this.isUpgraded = true;
    const drained = socket.drained();
    // Also where nobody waits for this call. A connection that is lost before is handed over to nobody.
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
    // Where the peer is gone there is nobody to tell; the connection notices by itself.
    this.connection.socket.flushSoon();
  }

  /** Whether the handler did not answer in time, and was answered for, or has nobody to answer any more. */
  #isTooLate(): boolean {
    const why = this.error instanceof NoResponse
      ? "its handler ended before, without a response; await or return what leads to ctx.response()"
      : this.event?.isTimedOut
      ? "handlerTimeout was over before; event.signal tells when"
      : this.status === 0
      ? "its connection was closed before; event.signal tells when"
      : null;
    if (why !== null) logError(`Cannot answer ${this.label} any more: ${why}`);
    return why !== null;
  }

  #checkOpen(): void {
    if (this.isOver) {
      throw new TypeError(
        "Cannot respond: the exchange is over; event.signal tells when that happens",
      );
    }
    if (this.#extras !== null && this.#extras.isFailing) {
      throw new TypeError(
        "Cannot respond: the request has failed, and hooks of onHTTPError() answer, by what they return",
      );
    }
    if (this.isResponded) {
      throw new TypeError(
        "Cannot respond twice: the response was sent before; look at ctx.isResponded",
      );
    }
  }
}

/** The bytes of a part of a body; those of a text stay until the next one is encoded. */
function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === "string" ? encode(part) : part;
}

/** The members of the lists that the fields called `name` have (RFC 9110 5.6.1). */
function membersOf(headers: h11.Headers, name: string): string[] {
  return headers.getAll(name).join().split(",").map((it) => it.trim()).filter(Boolean);
}

/** Whether a response is a stream of server-sent events (HTML 9.2). */
function isEventStream({ headers }: h11.Response): boolean {
  return headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true;
}
