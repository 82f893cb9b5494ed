// One connection: bytes in, events out; events in, bytes out.
//
// Received and sent events pass the same gate, `#process`. It moves the states before any byte is produced
// and before the event is returned to the caller. Readers and writers rely on what the gate has checked.

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
import {
  checkSentRequest,
  checkSentSwitch,
  checkSwitch,
  namesWebSocket,
  protocolsIn,
} from "./message_checks.ts";
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

/** Returned by {@linkcode Connection.nextEvent}: read from the socket, call `receiveData`, then try again. */
export const NEED_DATA = "NEED_DATA";
/**
 * Returned by {@linkcode Connection.nextEvent}: nothing more is read until `startNextCycle`, or ever again
 * after a protocol switch.
 */
export const PAUSED = "PAUSED";

/**
 * Limits on what the peer may send. Sizes are in bytes. For `maxTargetSize` and `maxFields`, 0 means no
 * limit.
 */
export interface ConnectionOptions {
  /**
   * Maximum size of a head, a trailer section, or a chunk's size line. Default: 16 KiB (431; 400 for a
   * chunk).
   */
  maxIncompleteEventSize?: number | undefined;
  /** Maximum size of a request target. Default: 8 KiB (414). */
  maxTargetSize?: number | undefined;
  /** Maximum number of fields in a head or a trailer section. Default: 100 (431). */
  maxFields?: number | undefined;
}

const CR = 0x0d, LF = 0x0a;
const NO_NAMES: readonly string[] = [];

/**
 * The protocol of one HTTP/1.1 connection, for either side. It does no I/O: it takes received bytes and
 * returns events, and it takes events and returns the bytes to send.
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
  /** The role of this program. */
  readonly ourRole: Role;
  /** The role of the peer. */
  readonly theirRole: Role;
  readonly #state = new ConnectionState();
  readonly #buffer = new ReceiveBuffer();
  readonly #head: RequestRules;
  readonly #reader: BodyReader;
  readonly #writer = new BodyWriter();
  /** Whether the CRLF before a request line that a server should ignore (RFC 9112 2.2) was skipped. */
  #passedOverCRLF = false;
  #requestMethod: string | null = null;
  /**
   * The request was received, is HTTP/1.1, and is neither HEAD nor CONNECT: only the status of a response
   * decides whether it has a body.
   */
  #isUsual = false;
  #theirHttpVersion: string | null = null;
  /** The protocols offered by the last Upgrade that took effect. */
  #offered = NO_NAMES;
  #clientWaits = false;

  /**
   * Creates a connection with both sides idle.
   *
   * @param ourRole {@linkcode CLIENT} or {@linkcode SERVER}.
   * @throws {RangeError} `ourRole` is neither, or a limit is not a whole number or too low.
   */
  constructor(ourRole: Role, options: ConnectionOptions = {}) {
    if (ourRole !== CLIENT && ourRole !== SERVER) {
      throw new RangeError(
        `Cannot create a connection with role ${String(ourRole)}: expected CLIENT or SERVER`,
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

  /** The HTTP version in the last head that the peer sent; null before the first head. */
  get theirHttpVersion(): string | null {
    return this.#theirHttpVersion;
  }

  /**
   * Whether the client sent `Expect: 100-continue`, has not begun its body, and has received neither 100 nor
   * 101 nor the response. Other interim responses do not affect this.
   */
  get clientIsWaitingFor100Continue(): boolean {
    return this.#clientWaits;
  }

  /** Whether we are the server and {@linkcode clientIsWaitingFor100Continue} is true. */
  get theyAreWaitingFor100Continue(): boolean {
    return this.ourRole === SERVER && this.#clientWaits;
  }

  /**
   * A copy of the bytes received but not yet read, and whether the peer closed. After a protocol switch,
   * these bytes belong to the next protocol.
   */
  get trailingData(): [data: Uint8Array, closed: boolean] {
    const { bytes, start, end, isClosed } = this.#buffer;
    // Not `slice()`: a subclass may return a view from it, as a Node.js Buffer does.
    return [new Uint8Array(bytes.subarray(start, end)), isClosed];
  }

  /** The number of bytes received but not yet read, such as those of an incomplete head. */
  get bufferedSize(): number {
    return this.#buffer.length;
  }

  /**
   * Takes bytes received from the peer; an empty array means that the peer closed. Call `nextEvent` next.
   *
   * The bytes are not copied. Do not modify the array until `nextEvent` has returned NEED_DATA or PAUSED, or
   * has thrown. The data of a `Data` event remains a view of the array for as long as you hold it.
   *
   * @param length The number of bytes received, at the beginning of `data`, if they do not fill it. This
   * saves making a view of them.
   * @throws {LocalProtocolError} Bytes were passed after the end of the stream.
   * @throws {TypeError} `data` is not a `Uint8Array`.
   * @throws {RangeError} `length` is not a whole number from 0 to the length of `data`.
   */
  receiveData(data: Uint8Array, length: number = data?.length): void {
    if (!(data instanceof Uint8Array)) throw notBytes(data);
    forgetPlaced();
    if (length === 0) {
      this.#buffer.close();
    } else if (!this.#buffer.isOpen) {
      // Bytes after a protocol error are dropped, since nothing reads them.
      if (!this.#buffer.isClosed) return;
      throw new LocalProtocolError(
        "Cannot receive data: the end of the stream was already received",
      );
    } else if (length > 0 && length <= data.length && Number.isInteger(length)) {
      this.#buffer.append(data, length);
    } else {
      // Bytes past the received ones may belong to another connection.
      throw new RangeError(
        `Cannot receive ${length} bytes: must be an integer from 0 to ${data.length}, the length of the array`,
      );
    }
  }

  /**
   * Reads the next event from the received bytes.
   *
   * @returns An event, {@linkcode NEED_DATA} or {@linkcode PAUSED}. After `ConnectionClosed`, every later
   * call returns `ConnectionClosed`.
   * @throws {RemoteProtocolError} The peer broke the protocol: its state is ERROR from here on.
   */
  nextEvent(): Event | typeof NEED_DATA | typeof PAUSED {
    const state = this.theirState;
    if (state === ERROR) {
      throw new RemoteProtocolError(
        `Cannot read more: ${this.theirRole} has violated the protocol`,
      );
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
      `Cannot complete the ${what}: the peer closed the connection${when} (RFC 9112 8)`,
    );
  }

  /**
   * Turns an event into the bytes to send. Adds or removes `Transfer-Encoding` and `Connection` as a response
   * requires. The bytes of a head share a buffer with others: send or copy them, and do not transfer that
   * buffer. Since bodies are not copied, the result for a `Data` may be the event's own array: write it
   * before you reuse the array.
   *
   * @returns The bytes, possibly none. Null for `ConnectionClosed`: close the socket, or its sending half.
   * @throws {LocalProtocolError} The event is not allowed in the current state; our state is ERROR from here
   * on.
   */
  send(event: Event): Uint8Array | null {
    const output = this.#send(event);
    return output === null || output instanceof Uint8Array ? output : join(output);
  }

  /**
   * Like `send`, but returns the bytes in parts, one of which is the uncopied array of a `Data`.
   *
   * @throws {LocalProtocolError} As `send`.
   */
  sendWithDataPassthrough(event: Event): Uint8Array[] | null {
    const output = this.#send(event);
    return output === null ? null : asParts(output);
  }

  /**
   * Sends a complete response: its head, `data` as its body, and the end of the message. Equivalent to three
   * calls of `send`, at less cost. Adds `Content-Length` if the fields do not define the length of the body.
   * Omits the body of a response that cannot have one (a response to HEAD, or with status 204, 205 or 304):
   * pass the `data` that a GET would get.
   *
   * If a program sends the same `Response` object repeatedly, its head is encoded only once.
   *
   * @returns The bytes, in parts. If `data` is large, it is one of them, uncopied.
   * @throws {LocalProtocolError} As `send`; or the `Content-Length` field does not match `data`; or the
   * response is a 2xx to CONNECT.
   */
  sendWhole(response: Response, data: Uint8Array): Uint8Array[] {
    this.#checkNotBroken(response);
    try {
      if (!(response instanceof Response)) throw notMade(response, "a Response");
      if (this.#requestMethod === "CONNECT" && isSuccessful(response)) {
        throw new LocalProtocolError(
          "Cannot send 2xx to CONNECT with sendWhole(): a tunnel has no body; use send() (RFC 9110 9.3.6)",
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
   * A fast path of `sendWhole` for a server that batches responses: writes a complete response to `bytes`,
   * starting at `at`. Pass a `response` that is sent often. Its fields must not define framing, and a text
   * must be ASCII.
   *
   * @returns The end of the response in `bytes`; -1 if the fast path does not apply or there is not enough
   * room. Nothing has been sent then: call `sendWhole`, which sends the response or throws.
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
      throw new LocalProtocolError(`Cannot send ${shown(event)}: an earlier send failed`);
    }
  }

  #send(event: Event): Output | null {
    this.#checkNotBroken(event);
    try {
      // An object of the same shape was never checked; only instances of the classes were.
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

  /** Reports that bytes returned by `send` could not be written: our state is ERROR from here on. */
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
            `Cannot read data from ${this.theirRole} in state ${state}: expected it to close the connection`,
          );
        }
    }
    if (event !== null) return event;
    if (!buffer.isClosed || buffer.length > 0) return NEED_DATA;
    if (state === SEND_RESPONSE) throw this.#peerClosed(" before sending it");
    return new ConnectionClosed();
  }

  #readRequest(): Request | null {
    const buffer = this.#buffer;
    if (buffer.length === 0) return null;
    // RFC 9112 2.2: a server should ignore at least one empty line before a request line.
    if (!this.#passedOverCRLF && buffer.bytes[buffer.start] === CR) {
      if (buffer.length === 1) return null;
      if (buffer.bytes[buffer.start + 1] === LF) {
        buffer.skip(2);
        this.#passedOverCRLF = true;
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
        // RFC 9110 10.1.1, 15.2: after any other interim response, the client continues to wait.
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
    // RFC 9110 7.8: an Upgrade needs its connection option, and is ignored in HTTP/1.0.
    const upgrade = framing.upgrade && framing.upgradeOption && !isHttp10;
    const connect = event.method === "CONNECT";
    this.#state.processEvent(role, event.type);
    if (upgrade) this.#offered = protocolsIn(event.headers);
    if (upgrade || connect) this.#state.processSwitchProposal(upgrade, connect);
    this.#requestMethod = event.method;
    this.#isUsual = !isOurs && event.httpVersion === "1.1" && event.method !== "HEAD" && !connect;
    if (!isOurs) this.#theirHttpVersion = event.httpVersion;
    // Some proxies pass on whatever follows a request for a WebSocket, without waiting for the answer, and even
    // if the Upgrade is ignored here: no request that they have not checked is read after it.
    const isTunneled = framing.upgrade && !isOurs && namesWebSocket(event.headers);
    if (isTunneled || !persists(framing, isHttp10)) this.#state.processKeepAliveDisabled();
    // RFC 9110 10.1.1: an expectation in an HTTP/1.0 request is ignored.
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
    // RFC 9112 6.1: chunked framing in HTTP/1.0 is faulty, so the connection ends after the message.
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
      // RFC 9112 6.3: bytes after a response answer no request; they must not be taken as the response to
      // this one.
      if (this.theirState === IDLE && this.#buffer.length > 0) {
        throw new LocalProtocolError(
          `Cannot send Request: received ${this.#buffer.length} bytes that answer no request; ` +
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
        `Cannot send ${event.statusCode} to an HTTP/1.0 client (RFC 9110 15.2)`,
      );
    }
    this.#process(this.ourRole, event);
    return writeSection(statusLine(event), event.headers, FRAMING_FIELDS);
  }

  /**
   * @param whole The complete body, if known. A small one is appended to the head, unless the response has no
   * body.
   */
  #sendResponse(event: Response, whole: Uint8Array | null = null): Uint8Array {
    if (event.httpVersion !== "1.1") throw onlyHttp11(event.httpVersion);
    const method = this.#requestMethod;
    const { body, length, without, added, closes } = frameResponse(event, {
      method,
      isHttp10: this.#theirHttpVersion === null || this.#theirHttpVersion === "1.0",
      // After a response to something that was not a valid request, there is no next request to expect.
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

/** Bodies up to this length are copied into one array with their head. */
const COPY_MAX = 2 * 1024;
/** The number of digits of the largest safe integer. */
const MAX_DIGITS = 16;
const NO_BYTES = new Uint8Array(0);
const NO_TRAILERS = new Headers();

function asParts(output: Output): Uint8Array[] {
  return output instanceof Uint8Array ? output.length === 0 ? [] : [output] : output;
}

/** Describes what was passed to `send`, for an error message. */
function shown(event: unknown): string {
  if (event === null || typeof event !== "object") return String(event);
  const { type } = event as { type?: unknown };
  return typeof type === "string" ? type : "an object";
}

function notBytes(given: unknown): TypeError {
  const kind = Object.prototype.toString.call(given).slice("[object ".length, -1);
  return new TypeError(
    `Cannot receive ${kind}: expected a Uint8Array, empty if the peer closed the connection`,
  );
}

function notMade(given: unknown, expected: string): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot send ${shown(given)}: expected ${expected} created with its constructor`,
  );
}

/** RFC 9112 9.3. */
function persists({ close, keepAlive }: Framing, isHttp10: boolean): boolean {
  return !close && (!isHttp10 || keepAlive);
}

/** The status line without its CRLF. */
function statusLine({ statusCode, reason }: Response | InformationalResponse): Piece {
  let line = statusLines[statusCode];
  if (line === undefined || line.reason !== reason) {
    line = { reason, piece: new Piece(`HTTP/1.1 ${statusCode} ${reason}`) };
    statusLines[statusCode] = line;
  }
  return line.piece;
}
/** The last status line sent for each status code. */
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
    throw new RangeError(`Cannot set ${name} to ${value}: must be an integer >= ${lowest}`);
  }
  return value;
}
