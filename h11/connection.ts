// One connection: bytes in, events out; events in, bytes out.
//
// Received and sent events pass the same gate, `#process`, which moves the states before a byte is
// made or the event is handed out. Readers and writers take for granted what the gate lets through.

import { BodyReader, BodyWriter, type Output } from "./body.ts";
import { LocalProtocolError, RemoteProtocolError } from "./errors.ts";
import {
  ConnectionClosed,
  Data,
  EndOfMessage,
  type Event,
  framingOfRequest,
  InformationalResponse,
  Request,
  Response,
  startOf,
  trailersToSend,
} from "./events.ts";
import { checkBodyFields, type Framing } from "./framing.ts";
import { framingOf, Headers, writeSection } from "./headers.ts";
import {
  parseRequest,
  parseResponse,
  readSection,
  type RequestRules,
  type SectionRules,
} from "./heads.ts";
import { checkSentRequest, checkSentSwitch, checkSwitch, protocolsIn } from "./message_checks.ts";
import { areaOf, join, Piece, SECTION_END, writeAscii, writeNumber, writePiece } from "./output.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { RepeatedHead } from "./repeated_head.ts";
import { forgetPlaced } from "./received_fields.ts";
import {
  frameResponse,
  FRAMING_FIELDS,
  hasNoBody,
  isSuccessful,
  sendsNoBody,
} from "./response_framing.ts";
import {
  CLIENT,
  CLOSED,
  ConnectionState,
  DONE,
  ERROR,
  IDLE,
  MIGHT_SWITCH_PROTOCOL,
  MUST_CLOSE,
  type Role,
  SEND_BODY,
  SEND_RESPONSE,
  SERVER,
  type State,
  SWITCHED_PROTOCOL,
  type Trigger,
  wordedAsRead,
} from "./state.ts";

/** {@linkcode Connection.nextEvent}: read from the socket and call `receiveData`, then ask again. */
export const NEED_DATA = "NEED_DATA";
/** {@linkcode Connection.nextEvent}: no more is read before `startNextCycle`, or for good. */
export const PAUSED = "PAUSED";

/** Limits on what the peer may send. Sizes in bytes; 0 switches the second and third off. */
export interface ConnectionOptions {
  /** A head, a trailer section, or a chunk's size line: 16 KiB if not given (431; 400 for a chunk). */
  maxIncompleteEventSize?: number | undefined;
  /** A request's target: 8 KiB if not given (414). */
  maxTargetSize?: number | undefined;
  /** Fields of a head or of a trailer section: 100 if not given (431). */
  maxFields?: number | undefined;
}

const CR = 0x0d, LF = 0x0a;
const NO_NAMES: readonly string[] = [];

/**
 * The protocol of one HTTP/1.1 connection, for either side. It does no I/O: it is given the bytes
 * that were received and returns events; it is given events and returns the bytes to send.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import * as h11 from "@tiny/listener/h11";
 *
 * const conn = new h11.Connection(h11.SERVER);
 * conn.receiveData(new TextEncoder().encode("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
 * const request = conn.nextEvent();
 * if (typeof request === "object" && request.type === "Request") {
 *   assertEquals([request.method, request.target], ["GET", "/hello"]);
 * }
 * const head = conn.send(new h11.Response({ statusCode: 204, reason: "No Content" }));
 * assertEquals(new TextDecoder().decode(head!), "HTTP/1.1 204 No Content\r\n\r\n");
 * ```
 */
export class Connection {
  /** The side that this program is. */
  readonly ourRole: Role;
  /** The side that the peer is. */
  readonly theirRole: Role;
  readonly #state = new ConnectionState();
  readonly #buffer = new ReceiveBuffer();
  readonly #head: RequestRules;
  readonly #reader: BodyReader;
  readonly #writer = new BodyWriter();
  /** The CRLF before a request line that RFC 9112 2.2 has a server pass over was passed over. */
  #passedOverCRLF = false;
  #requestMethod: string | null = null;
  /** The request is a client's of HTTP/1.1, and each response of ours to it that can have a body has one. */
  #isUsual = false;
  #theirHttpVersion: string | null = null;
  /** The protocols of the last Upgrade that counted. */
  #offered = NO_NAMES;
  #clientWaits = false;

  /**
   * Begins a connection, both sides idle.
   *
   * @param ourRole {@linkcode CLIENT} or {@linkcode SERVER}.
   * @throws {RangeError} `ourRole` is neither, or a limit is not a whole number.
   */
  constructor(ourRole: Role, options: ConnectionOptions = {}) {
    if (ourRole !== CLIENT && ourRole !== SERVER) {
      throw new RangeError(
        `Cannot make a connection in the role ${String(ourRole)}: expected CLIENT or SERVER`,
      );
    }
    this.ourRole = ourRole;
    this.theirRole = ourRole === CLIENT ? SERVER : CLIENT;
    const rules: SectionRules = {
      rules: ourRole === SERVER ? "strict" : "lenient",
      maxSize: limit(options, "maxIncompleteEventSize", 16 * 1024, 1),
      maxTargetSize: limit(options, "maxTargetSize", 8 * 1024, 0),
      maxFields: limit(options, "maxFields", 100, 0),
      trailers: false,
    };
    this.#head = { ...rules, repeated: new RepeatedHead() };
    this.#reader = new BodyReader({ ...rules, trailers: true });
  }

  /** The state of our side. */
  get ourState(): State {
    return this.ourRole === CLIENT ? this.#state.client : this.#state.server;
  }

  /** The state of the peer's side. */
  get theirState(): State {
    return this.ourRole === CLIENT ? this.#state.server : this.#state.client;
  }

  /** The states of both sides. */
  get states(): { [CLIENT]: State; [SERVER]: State } {
    return { CLIENT: this.#state.client, SERVER: this.#state.server };
  }

  /** The version in the last head that the peer sent; null before the first. */
  get theirHttpVersion(): string | null {
    return this.#theirHttpVersion;
  }

  /**
   * The client sent `Expect: 100-continue`, has not begun its body, and has got neither 100 nor 101, nor its
   * response. Another interim response says nothing of the body.
   */
  get clientIsWaitingFor100Continue(): boolean {
    return this.#clientWaits;
  }

  /** We are the server, and {@linkcode clientIsWaitingFor100Continue}. */
  get theyAreWaitingFor100Continue(): boolean {
    return this.ourRole === SERVER && this.#clientWaits;
  }

  /**
   * What has been received and not been read, as a copy, and whether the peer closed: what belongs
   * to the next protocol after a switch.
   */
  get trailingData(): [data: Uint8Array, closed: boolean] {
    const { bytes, start, end, isClosed } = this.#buffer;
    // A subclass may make a view of `slice`, as a Buffer of Node.js does.
    return [new Uint8Array(bytes.subarray(start, end)), isClosed];
  }

  /** How many bytes have been received and not been read: of a head that is not complete, say. */
  get bufferedSize(): number {
    return this.#buffer.length;
  }

  /**
   * Takes bytes that came from the peer; empty ones mean that it closed. Call `nextEvent` next.
   *
   * The bytes are not copied. Leave the array as it is until `nextEvent` has returned NEED_DATA or PAUSED, or thrown;
   * the data of `Data` events is a view on it for as long as you hold them.
   *
   * @param length How many bytes at the beginning of `data` came, where not all of it did: a view of them need not
   * be made.
   * @throws {LocalProtocolError} Bytes come after the end.
   * @throws {TypeError} `data` is not a `Uint8Array`.
   * @throws {RangeError} `length` is not one from 0 to that of `data`.
   */
  receiveData(data: Uint8Array, length: number = data?.length): void {
    if (!(data instanceof Uint8Array)) throw notBytes(data);
    forgetPlaced();
    if (length === 0) {
      this.#buffer.close();
    } else if (!this.#buffer.isOpen) {
      // What follows what broke the protocol is dropped: nobody reads it.
      if (!this.#buffer.isClosed) return;
      throw new LocalProtocolError(
        "Cannot receive data: the end of the stream was received before",
      );
    } else if (length > 0 && length <= data.length && Number.isInteger(length)) {
      this.#buffer.append(data, length);
    } else {
      // What stands behind the bytes may be another connection's.
      throw new RangeError(
        `Cannot receive ${length} bytes: must be a whole number from 0 to the ${data.length} of the array`,
      );
    }
  }

  /**
   * Reads the next event from what was received.
   *
   * @returns An event, {@linkcode NEED_DATA} or {@linkcode PAUSED}. After `ConnectionClosed` it is
   * `ConnectionClosed` for ever.
   * @throws {RemoteProtocolError} The peer broke the protocol: its state is ERROR from here on.
   */
  nextEvent(): Event | typeof NEED_DATA | typeof PAUSED {
    const state = this.theirState;
    if (state === ERROR) {
      throw new RemoteProtocolError(`Cannot read on: ${this.theirRole} broke the protocol before`);
    }
    try {
      const event = this.#read(state);
      if (typeof event !== "string") this.#process(this.theirRole, event);
      else if (event === NEED_DATA && this.#buffer.isClosed) throw this.#peerClosed();
      else this.#buffer.keep();
      return event;
    } catch (error) {
      this.#state.processError(this.theirRole);
      this.#buffer.isOpen = false;
      this.#buffer.keep();
      throw error instanceof LocalProtocolError
        ? new RemoteProtocolError(wordedAsRead(error.message), error.errorStatusHint)
        : error;
    }
  }

  #peerClosed(when = ""): RemoteProtocolError {
    const what = this.theirRole === CLIENT ? "request" : "response";
    return new RemoteProtocolError(
      `Cannot complete a ${what}: the peer closed${when} (RFC 9112 8)`,
    );
  }

  /**
   * Turns an event into the bytes to send. Where a response needs them, `Transfer-Encoding` and
   * `Connection` are added or taken out. The bytes of heads are cut from a shared area: send or copy
   * them, and do not transfer their buffer. What a `Data` gives may be its own array, as bodies are not
   * copied: write it before you use that again.
   *
   * @returns The bytes, which may be none; null for `ConnectionClosed`: close the socket, or its
   * sending half.
   * @throws {LocalProtocolError} The event is not allowed here and now: our state is ERROR from here on.
   */
  send(event: Event): Uint8Array | null {
    const output = this.#send(event);
    return output === null || output instanceof Uint8Array ? output : join(output);
  }

  /**
   * As `send`, in parts: the array of a `Data` is among them, uncopied.
   *
   * @throws {LocalProtocolError} As `send`.
   */
  sendWithDataPassthrough(event: Event): Uint8Array[] | null {
    const output = this.#send(event);
    return output === null ? null : asParts(output);
  }

  /**
   * Sends a response whole: its head, `data` as its body, and the end of the message, as `send` does in three
   * calls and at less cost. Where the fields say nothing of the length, `Content-Length` is added. What has no
   * body (an answer to HEAD, 204, 205, 304) is sent without: `data` is what GET would have got.
   *
   * A program that sends one and the same `Response` again and again has its head encoded once.
   *
   * @returns The bytes, in parts; a large `data` is among them, uncopied.
   * @throws {LocalProtocolError} As `send`; or the `Content-Length` in the fields is not that of `data`; or it is 2xx
   * to CONNECT.
   */
  sendWhole(response: Response, data: Uint8Array): Uint8Array[] {
    this.#checkNotBroken(response);
    try {
      if (!(response instanceof Response)) throw notMade(response, "a Response");
      if (this.#requestMethod === "CONNECT" && isSuccessful(response)) {
        throw new LocalProtocolError(
          "Cannot send 2xx to CONNECT whole: a tunnel has no body; use send() (RFC 9110 9.3.6)",
        );
      }
      if (framingOf(response.headers).chunked) {
        const parts = [this.#sendResponse(response)];
        if (!sendsNoBody(response, this.#requestMethod)) {
          parts.push(...asParts(this.#writer.data(data)));
        }
        this.#state.processEvent(this.ourRole, "EndOfMessage");
        parts.push(...asParts(this.#writer.end(NO_TRAILERS)));
        return parts;
      }
      const head = this.#sendResponse(response, data);
      this.#state.processEvent(this.ourRole, "EndOfMessage");
      return data.length <= COPY_MAX || sendsNoBody(response, this.#requestMethod)
        ? [head]
        : [head, data];
    } catch (error) {
      this.#state.processError(this.ourRole);
      throw error;
    }
  }

  /**
   * As `sendWhole`, for a server that puts many responses together: writes all of one to `bytes` from `at` on,
   * where nothing is to be decided. `response` is one that is sent often, and says nothing of framing; text is
   * ASCII.
   *
   * @returns Where it ends; -1 where it is another case, or there is no room: nothing has been sent then, and
   * `sendWhole` does it, or tells why not.
   */
  sendWholeInto(
    response: Response,
    data: Uint8Array | string,
    bytes: Uint8Array,
    at: number,
  ): number {
    const start = startOf(response);
    if (start === null || !this.#isUsual) return -1;
    if (at + start.length + MAX_DIGITS + SECTION_END.length + data.length > bytes.length) return -1;
    const area = areaOf(bytes);
    let end = writePiece(area, start, at);
    end = writeNumber(area, data.length, end);
    end = writePiece(area, SECTION_END, end);
    if (typeof data === "string") {
      end = writeAscii(area, data, end);
      if (end < 0) return -1;
    } else {
      bytes.set(data, end);
      end += data.length;
    }
    if (!this.#state.processWholeResponse()) return -1;
    this.#clientWaits = false;
    return end;
  }

  #checkNotBroken(event: Event): void {
    if (this.ourState === ERROR) {
      throw new LocalProtocolError(`Cannot send ${shown(event)}: we broke the protocol before`);
    }
  }

  #send(event: Event): Output | null {
    this.#checkNotBroken(event);
    try {
      // An object that only looks like an event was never checked.
      if (event instanceof Data) {
        this.#process(this.ourRole, event);
        return this.#writer.data(event.data);
      }
      if (event instanceof EndOfMessage) {
        this.#process(this.ourRole, event);
        return this.#writer.end(trailersToSend(event));
      }
      if (event instanceof Response) return this.#sendResponse(event);
      if (event instanceof Request) return this.#sendRequest(event);
      if (event instanceof InformationalResponse) return this.#sendInformational(event);
      if (event instanceof ConnectionClosed) {
        this.#process(this.ourRole, event);
        return null;
      }
      throw notMade(event, "an event");
    } catch (error) {
      this.#state.processError(this.ourRole);
      throw error;
    }
  }

  /** Tells that bytes which `send` returned could not be sent: our state is ERROR from here on. */
  sendFailed(): void {
    this.#state.processError(this.ourRole);
  }

  /**
   * Begins the next request and response on the same connection.
   *
   * @throws {LocalProtocolError} The two sides are not both DONE.
   */
  startNextCycle(): void {
    this.#state.startNextCycle();
    this.#requestMethod = null;
    this.#isUsual = false;
    this.#passedOverCRLF = false;
  }

  #read(state: State): Event | typeof NEED_DATA | typeof PAUSED {
    const buffer = this.#buffer;
    let event: Event | null = null;
    switch (state) {
      case IDLE:
      case SEND_RESPONSE:
        event = this.theirRole === CLIENT ? this.#readRequest() : this.#readResponse();
        break;
      case SEND_BODY:
        event = this.#reader.read(buffer);
        if (event === null && this.#buffer.isClosed && buffer.length === 0) {
          return this.#reader.readEnd();
        }
        break;
      case MIGHT_SWITCH_PROTOCOL:
      case SWITCHED_PROTOCOL:
        return PAUSED;
      case DONE:
        if (buffer.length > 0) return PAUSED;
        break;
      case MUST_CLOSE:
      case CLOSED:
        if (buffer.length > 0) {
          throw new LocalProtocolError(
            `Cannot read data from ${this.theirRole} in state ${state}: expected it to close`,
          );
        }
    }
    if (event !== null) return event;
    if (!buffer.isClosed || buffer.length > 0) return NEED_DATA;
    if (state === SEND_RESPONSE) throw this.#peerClosed(" before it began");
    return new ConnectionClosed();
  }

  #readRequest(): Request | null {
    const buffer = this.#buffer;
    if (buffer.length === 0) return null;
    // RFC 9112 2.2: at least one empty line before a request line should be passed over.
    if (!this.#passedOverCRLF && buffer.bytes[buffer.start] === CR) {
      if (buffer.length === 1) return null;
      if (buffer.bytes[buffer.start + 1] === LF) {
        buffer.skip(2);
        this.#passedOverCRLF = true;
        if (buffer.length === 0) return null;
      }
    }
    return readSection(buffer, parseRequest, this.#head);
  }

  #readResponse(): Response | InformationalResponse | null {
    if (this.#buffer.length === 0) return null;
    return readSection(this.#buffer, parseResponse, this.#head);
  }

  /** The gate. @throws {LocalProtocolError} `role` may not send `event` in its state. */
  #process(role: Role, event: Event): void {
    switch (event.type) {
      case "Request":
        this.#processRequest(role, event);
        break;
      case "InformationalResponse":
        if (event.statusCode === 101 && this.#state.upgradeProposed) {
          if (role === this.ourRole) checkSentSwitch(event, this.#offered, this.#clientWaits);
          else checkSwitch(event, this.#offered);
        }
        this.#state.processEvent(role, event.statusCode === 101 ? "101 to Upgrade" : event.type);
        if (role !== this.ourRole) this.#theirHttpVersion = event.httpVersion;
        // RFC 9110 10.1.1, 15.2: with any other it waits on.
        if (event.statusCode <= 101) this.#clientWaits = false;
        break;
      case "Response":
        this.#processResponse(role, event);
        break;
      default:
        this.#state.processEvent(role, event.type);
        if (role === CLIENT) this.#clientWaits = false;
    }
  }

  #processRequest(role: Role, event: Request): void {
    const framing = framingOfRequest(event);
    const isOurs = role === this.ourRole;
    const isHttp10 = event.httpVersion === "1.0";
    // RFC 9110 7.8: an Upgrade counts with its connection option and not in HTTP/1.0.
    const upgrade = framing.upgrade && framing.upgradeOption && !isHttp10;
    const connect = event.method === "CONNECT";
    this.#state.processEvent(role, event.type);
    if (upgrade) this.#offered = protocolsIn(event.headers);
    if (upgrade || connect) this.#state.processSwitchProposal(upgrade, connect);
    this.#requestMethod = event.method;
    this.#isUsual = !isOurs && event.httpVersion === "1.1" && event.method !== "HEAD" && !connect;
    if (!isOurs) this.#theirHttpVersion = event.httpVersion;
    if (!persists(framing, isHttp10)) this.#state.processKeepAliveDisabled();
    // RFC 9110 10.1.1: an expectation in HTTP/1.0 is passed over.
    this.#clientWaits = framing.expectContinue && !isHttp10;
    const bodyFraming = framing.chunked ? "chunked" : "content-length";
    (isOurs ? this.#writer : this.#reader).begin(bodyFraming, Math.max(framing.contentLength, 0));
  }

  #processResponse(role: Role, event: Response): void {
    const trigger: Trigger = this.#state.connectProposed && isSuccessful(event)
      ? "2xx to CONNECT"
      : event.type;
    const isOurs = role === this.ourRole;
    const framing = framingOf(event.headers);
    const isHttp10 = event.httpVersion === "1.0";
    const isBodiless = hasNoBody(event, this.#requestMethod);
    if (!isOurs && framing.isBroken && !isBodiless) checkBodyFields(event.headers);
    this.#state.processEvent(role, trigger);
    this.#clientWaits = false;
    if (isOurs) return;
    this.#theirHttpVersion = event.httpVersion;
    const bodyFraming = isBodiless
      ? "content-length"
      : framing.chunked
      ? "chunked"
      : framing.contentLength >= 0
      ? "content-length"
      : "close-delimited";
    // RFC 9112 6.1: chunked in HTTP/1.0 is faulty, and the connection ends with the message.
    if (
      bodyFraming === "close-delimited" || (framing.chunked && isHttp10) ||
      !persists(framing, isHttp10)
    ) {
      this.#state.processKeepAliveDisabled();
    }
    this.#reader.begin(bodyFraming, isBodiless ? 0 : Math.max(framing.contentLength, 0));
  }

  #sendRequest(event: Request): Uint8Array {
    if (event.httpVersion !== "1.1") throw onlyHttp11(event.httpVersion);
    if (this.ourRole === CLIENT) {
      // RFC 9112 6.3: what comes after a response answers nothing, and must not be taken for the answer to this.
      if (this.theirState === IDLE && this.#buffer.length > 0) {
        throw new LocalProtocolError(
          `Cannot send Request: ${this.#buffer.length} bytes came before it, which answer nothing; ` +
            "close the connection (RFC 9112 6.3)",
        );
      }
      checkSentRequest(event);
    }
    this.#process(this.ourRole, event);
    // RFC 9110 7.2: Host should come first.
    const host = event.headers.rawItems().find(([name]) => name.toLowerCase() === "host")!;
    const start = `${event.method} ${event.target} HTTP/1.1\r\n${host[0]}: ${host[1]}`;
    return writeSection(start, event.headers, ["host"]);
  }

  #sendInformational(event: InformationalResponse): Uint8Array {
    if (event.httpVersion !== "1.1") throw onlyHttp11(event.httpVersion);
    if (this.#theirHttpVersion === "1.0") {
      throw new LocalProtocolError(
        `Cannot send ${event.statusCode} to a client of HTTP/1.0 (RFC 9110 15.2)`,
      );
    }
    this.#process(this.ourRole, event);
    return writeSection(statusLine(event), event.headers, FRAMING_FIELDS);
  }

  /**
   * @param whole The whole body, where it is known; a small one follows in the same piece, where the response
   * has a body at all.
   */
  #sendResponse(event: Response, whole: Uint8Array | null = null): Uint8Array {
    if (event.httpVersion !== "1.1") throw onlyHttp11(event.httpVersion);
    const method = this.#requestMethod;
    const { body, length, without, added, closes } = frameResponse(event, {
      method,
      isHttp10: this.#theirHttpVersion === null || this.#theirHttpVersion === "1.0",
      // An answer to what was never a request leaves no request to go on with.
      mayGoOn: method !== null && this.#state.keepAlive && this.theirState !== ERROR,
      whole,
    });
    this.#process(this.ourRole, event);
    if (closes) this.#state.processKeepAliveDisabled();
    this.#writer.begin(body, whole === null ? length : 0);
    const follows = whole !== null && whole.length <= COPY_MAX && body !== "none";
    return writeSection(
      statusLine(event),
      event.headers,
      without,
      added,
      follows ? whole : NO_BYTES,
    );
  }
}

/** A body up to this length is copied into one piece with its head. */
const COPY_MAX = 2 * 1024;
/** Digits of the largest number that is exact. */
const MAX_DIGITS = 16;
const NO_BYTES = new Uint8Array(0);
const NO_TRAILERS = new Headers();

function asParts(output: Output): Uint8Array[] {
  return output instanceof Uint8Array ? output.length === 0 ? [] : [output] : output;
}

/** What is sent, for an error message. */
function shown(event: unknown): string {
  if (event === null || typeof event !== "object") return String(event);
  const { type } = event as { type?: unknown };
  return typeof type === "string" ? type : "an object";
}

function notBytes(given: unknown): TypeError {
  const kind = Object.prototype.toString.call(given).slice("[object ".length, -1);
  return new TypeError(
    `Cannot receive ${kind}: pass the bytes as a Uint8Array, an empty one where the peer closed`,
  );
}

function notMade(given: unknown, expected: string): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot send ${shown(given)}: expected ${expected} that its class has made and checked`,
  );
}

/** RFC 9112 9.3. */
function persists({ close, keepAlive }: Framing, isHttp10: boolean): boolean {
  return !close && (!isHttp10 || keepAlive);
}

/** The status line without its end. */
function statusLine({ statusCode, reason }: Response | InformationalResponse): Piece {
  let line = statusLines[statusCode];
  if (line === undefined || line.reason !== reason) {
    line = { reason, piece: new Piece(`HTTP/1.1 ${statusCode} ${reason}`) };
    statusLines[statusCode] = line;
  }
  return line.piece;
}
/** The last line sent with each status code. */
const statusLines: { reason: string; piece: Piece }[] = [];

function onlyHttp11(version: string): LocalProtocolError {
  return new LocalProtocolError(`Cannot send HTTP version "${version}": expected "1.1"`);
}

function limit(
  options: ConnectionOptions,
  name: keyof ConnectionOptions,
  standard: number,
  lowest: number,
): number {
  const value = options[name] ?? standard;
  if (!Number.isSafeInteger(value) || value < lowest) {
    throw new RangeError(`Cannot set ${name} to ${value}: must be a whole number >= ${lowest}`);
  }
  return value;
}
