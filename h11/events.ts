// The events that the two sides of a connection exchange. An event is checked when it is constructed, so the
// rest of the engine relies on it. Received events were checked as bytes.
//
// An object of the same shape was not checked. A private member lets TypeScript tell the two apart. A class
// that has no other private member declares one, which costs nothing at run time.

import { LocalProtocolError } from "./errors.ts";
import { FIELD_VALUE, isTargetFor, TARGET, textConsistsOf, TOKEN } from "./grammar.ts";
import { checkRequestFields, type Framing } from "./framing.ts";
import { framingOf, Headers, type HeadersInit, toBuilt } from "./headers.ts";
import { FORBIDDEN_TRAILERS, ReceivedFields } from "./received_fields.ts";
import { encodeLatin1, Piece } from "./output.ts";
import { quote, showAs } from "./text.ts";

/** The parts of a {@linkcode Request}. */
export interface RequestInit {
  /** A token, case-sensitive (RFC 9110 9.1). */
  method: string;
  /** The request target, in a form that the method allows (RFC 9112 3.2). */
  target: string;
  /** The fields, with exactly one Host. */
  headers: HeadersInit;
  /** The HTTP version. Default: "1.1". */
  httpVersion?: string | undefined;
}

/** What the fields of `request` say about its framing. */
export let framingOfRequest: (request: Request) => Framing;
/** The received `request` with other fields, which follow a copy of the same request line elsewhere. */
export let withFields: (request: Request, fields: ReceivedFields) => Request;

/**
 * The start of a request.
 *
 * @example
 * ```ts
 * import { Request } from "@tiny/listener/h11";
 *
 * new Request({ method: "GET", target: "/", headers: { Host: "example.com" } });
 * ```
 */
export class Request {
  /** Discriminates the union of events. */
  readonly type = "Request";
  /** The method, case-sensitive. */
  readonly method: string;
  /** "1.1", "1.0", or another HTTP/1 version that the peer uses. */
  readonly httpVersion: string;
  #headers: Headers | null;
  readonly #received: ReceivedFields | null;
  /** Relative to the start of the fields, as is its end: both are negative. */
  readonly #targetStart: number;
  readonly #targetEnd: number;
  #target: string | null;

  static {
    framingOfRequest = (request) => request.#received?.framing ?? framingOf(request.headers);
    withFields = (request, fields) =>
      new Request(
        fields,
        request.method,
        request.#targetStart,
        request.#targetEnd,
        request.httpVersion,
      );
  }

  /**
   * Creates a request and checks its parts.
   *
   * @throws {LocalProtocolError} A part is invalid, or Host is missing or repeated.
   */
  constructor(init: RequestInit);
  /** @internal A received request that has been checked. */
  constructor(
    fields: ReceivedFields,
    method: string,
    targetStart: number,
    targetEnd: number,
    httpVersion: string,
  );
  constructor(
    init: RequestInit | ReceivedFields,
    method = "",
    targetStart = 0,
    targetEnd = 0,
    httpVersion = "",
  ) {
    this.#targetStart = targetStart;
    this.#targetEnd = targetEnd;
    if (init instanceof ReceivedFields) {
      this.method = method;
      this.#headers = null;
      this.httpVersion = httpVersion;
      this.#received = init;
      this.#target = null;
    } else {
      this.method = init.method;
      this.#headers = toHeaders(init.headers);
      this.httpVersion = toVersion(init.httpVersion);
      this.#received = null;
      this.#target = init.target;
      checkRequest(this, init.target);
    }
  }

  /** The fields. */
  get headers(): Headers {
    return this.#headers ??= new Headers(this.#received!);
  }

  /** The value of `Content-Length` in bytes; null if there is none (RFC 9110 8.6). */
  get contentLength(): number | null {
    const { contentLength } = framingOfRequest(this);
    return contentLength < 0 ? null : contentLength;
  }

  /** The request target as it was sent: not decoded, and including the query. */
  get target(): string {
    return this.#target ??= this.#received!.slice(this.#targetStart, this.#targetEnd);
  }

  /**
   * Writes the code units of `target` to `units`, without making a string.
   *
   * @returns The number of code units; -1 if `units` is too small.
   */
  targetInto(units: Uint16Array): number {
    const received = this.#received;
    if (received !== null) return received.copy(this.#targetStart, this.#targetEnd, units);
    const target = this.#target!;
    if (target.length > units.length) return -1;
    for (let i = 0; i < target.length; i++) units[i] = target.charCodeAt(i);
    return target.length;
  }
}

showAs(Request, ({ method, target, headers, httpVersion }, inspect) => {
  return `Request ${inspect({ method, target, headers, httpVersion })}`;
});

// The checks are outside the constructors, which stay small enough to be inlined.
function checkRequest({ method, headers, httpVersion }: Request, target: string): void {
  if (!isText(TOKEN, method)) {
    throw new LocalProtocolError(
      `Cannot use method ${quote(String(method))}: expected a token (RFC 9110 9.1)`,
    );
  }
  if (!isText(TARGET, target)) {
    throw new LocalProtocolError(
      `Cannot use target ${quote(String(target))}: expected visible ASCII without "#" ` +
        "(RFC 9112 3.2)",
    );
  }
  const bytes = encodeLatin1(target);
  if (!isTargetFor(method, bytes, 0, bytes.length)) {
    throw badTarget({ method, target });
  }
  const framing = framingOf(headers);
  if (framing.isBroken) checkRequestFields(headers);
  if (framing.hosts === 0 && httpVersion !== "1.0") throw missingHost();
  if (framing.chunked && framing.contentLength >= 0) throw twoFramings();
}

/** The parts of a {@linkcode Response} or an {@linkcode InformationalResponse}. */
export interface ResponseInit {
  /** Three digits (RFC 9110 15). */
  statusCode: number;
  /** The fields. Default: none. */
  headers?: HeadersInit | undefined;
  /** The reason phrase. Default: empty. */
  reason?: string | undefined;
  /** The HTTP version. Default: "1.1". */
  httpVersion?: string | undefined;
}

// Both classes repeat their common members: with a base class, V8 does not inline their constructors, which
// cost 5 % of a cycle.

/** The members that both kinds of response share. */
export interface AnyResponse {
  /** The status code. */
  readonly statusCode: number;
  /** The fields. */
  readonly headers: Headers;
  /** The reason phrase; may be empty. */
  readonly reason: string;
  /** "1.1", "1.0", or another HTTP/1 version that the peer uses. */
  readonly httpVersion: string;
}

/**
 * An interim response with a 1xx status. One or more may precede the final response (RFC 9110 15.2).
 */
export class InformationalResponse implements AnyResponse {
  declare private readonly isChecked: true;
  /** Discriminates the union of events. */
  readonly type = "InformationalResponse";
  /** The status code. */
  readonly statusCode: number;
  /** The fields. */
  readonly headers: Headers;
  /** The reason phrase; may be empty. */
  readonly reason: string;
  /** "1.1", "1.0", or another HTTP/1 version that the peer uses. */
  readonly httpVersion: string;

  /**
   * Creates a response and checks its parts.
   *
   * @throws {LocalProtocolError} A part is invalid, or the status is not from 100 to 199.
   */
  constructor(init: ResponseInit);
  /** @internal A received response that has been checked. */
  constructor(fields: ReceivedFields, statusCode: number, reason: string, httpVersion: string);
  constructor(init: ResponseInit | ReceivedFields, statusCode = 0, reason = "", httpVersion = "") {
    if (init instanceof ReceivedFields) {
      this.statusCode = statusCode;
      this.headers = new Headers(init);
      this.reason = reason;
      this.httpVersion = httpVersion;
    } else {
      this.statusCode = init.statusCode;
      this.headers = toHeaders(init.headers);
      this.reason = init.reason ?? "";
      this.httpVersion = toVersion(init.httpVersion);
      checkResponse(this, 100, 199);
    }
  }
}

/**
 * The head of `response` up to the value of `Content-Length`, if it lacks nothing else: it has a body in
 * response to any method but HEAD and CONNECT, is HTTP/1.1, and its fields say nothing about framing.
 * Otherwise null.
 */
export let startOf: (response: Response) => Piece | null;

/**
 * The start of a response.
 *
 * @example
 * ```ts
 * import { Response } from "@tiny/listener/h11";
 *
 * new Response({ statusCode: 200, reason: "OK", headers: { "Content-Length": "5" } });
 * ```
 */
export class Response implements AnyResponse {
  /** Discriminates the union of events. */
  readonly type = "Response";
  /** The status code. */
  readonly statusCode: number;
  /** The fields. */
  readonly headers: Headers;
  /** The reason phrase; may be empty. */
  readonly reason: string;
  /** "1.1", "1.0", or another HTTP/1 version that the peer uses. */
  readonly httpVersion: string;
  /** Undefined until it is first needed. */
  #start: Piece | null | undefined = undefined;

  static {
    startOf = (response) => {
      if (response.#start === undefined) response.#start = toStart(response);
      return response.#start;
    };
  }

  /**
   * Creates a response and checks its parts.
   *
   * @throws {LocalProtocolError} A part is invalid, or the status is not from 200 to 999.
   */
  constructor(init: ResponseInit);
  /** @internal A received response that has been checked. */
  constructor(fields: ReceivedFields, statusCode: number, reason: string, httpVersion: string);
  constructor(init: ResponseInit | ReceivedFields, statusCode = 0, reason = "", httpVersion = "") {
    if (init instanceof ReceivedFields) {
      this.statusCode = statusCode;
      this.headers = new Headers(init);
      this.reason = reason;
      this.httpVersion = httpVersion;
    } else {
      this.statusCode = init.statusCode;
      this.headers = toHeaders(init.headers);
      this.reason = init.reason ?? "";
      this.httpVersion = toVersion(init.httpVersion);
      checkResponse(this, 200, 999);
    }
  }
}

function toStart({ statusCode, reason, headers, httpVersion }: Response): Piece | null {
  const { flags, contentLength } = framingOf(headers);
  const isPlain = flags === 0 && contentLength < 0 && ![204, 205, 304].includes(statusCode) &&
    httpVersion === "1.1";
  if (!isPlain) return null;
  const lines = headers.rawItems().map(([name, value]) => `${name}: ${value}\r\n`);
  return new Piece(`HTTP/1.1 ${statusCode} ${reason}\r\n${lines.join("")}Content-Length: `);
}

function checkResponse({ statusCode, reason }: AnyResponse, lowest: number, highest: number): void {
  if (!Number.isInteger(statusCode) || statusCode < lowest || statusCode > highest) {
    throw new LocalProtocolError(
      `Cannot use status code ${String(statusCode)}: expected an integer from ${lowest} to ` +
        `${highest} (RFC 9110 15)`,
    );
  }
  if (typeof reason !== "string" || !textConsistsOf(FIELD_VALUE, reason)) {
    throw new LocalProtocolError(
      `Cannot use reason phrase ${quote(String(reason))}: expected Latin-1 text without ` +
        "control characters (RFC 9112 4)",
    );
  }
}

/** The parts of a {@linkcode Data}. */
export interface DataInit {
  /** A part of the body. */
  data: Uint8Array;
  /** Has no effect on an event that is sent. */
  chunkStart?: boolean | undefined;
  /** Has no effect on an event that is sent. */
  chunkEnd?: boolean | undefined;
}

/** A part of a message's body. */
export class Data {
  declare private readonly isChecked: true;
  /** Discriminates the union of events. */
  readonly type = "Data";
  /**
   * The bytes. Received ones are a view of the array passed to `receiveData`, and of the same class, unless
   * they had to be buffered: then they are a view of an array of the engine.
   */
  readonly data: Uint8Array;
  /**
   * Whether a received chunk begins here. Chunks are the sender's framing and have no meaning of their own.
   */
  readonly chunkStart: boolean;
  /** Whether a received chunk ends here. */
  readonly chunkEnd: boolean;

  /** Creates an event with the bytes, uncopied. @throws {LocalProtocolError} `data` is not a `Uint8Array`. */
  constructor({ data, chunkStart = false, chunkEnd = false }: DataInit) {
    if (!(data instanceof Uint8Array)) {
      throw new LocalProtocolError(`Cannot use data of type ${typeof data}: expected a Uint8Array`);
    }
    this.data = data;
    this.chunkStart = chunkStart;
    this.chunkEnd = chunkEnd;
  }
}

/** The parts of an {@linkcode EndOfMessage}. */
export interface EndOfMessageInit {
  /** The trailer fields. Default: none. */
  headers?: HeadersInit | undefined;
}

/** The end of a message. */
export class EndOfMessage {
  declare private readonly isChecked: true;
  /** Discriminates the union of events. */
  readonly type = "EndOfMessage";
  /** The trailer fields (RFC 9110 6.5). */
  readonly headers: Headers;

  /**
   * Creates an event and checks the trailers, which require `Transfer-Encoding: chunked`.
   *
   * @throws {LocalProtocolError} A field is invalid or not allowed as a trailer (RFC 9110 6.5.1).
   */
  constructor(init?: EndOfMessageInit);
  /** @internal Received trailers that have been checked. */
  constructor(fields: ReceivedFields);
  constructor(init?: EndOfMessageInit | ReceivedFields) {
    if (init === undefined) {
      this.headers = NO_HEADERS;
    } else if (init instanceof ReceivedFields) {
      this.headers = new Headers(init);
    } else {
      this.headers = toHeaders(init?.headers);
      checkTrailers(this.headers);
    }
  }
}

/**
 * The trailers of `event` that may be sent. A user agent keeps even forbidden ones on receipt (RFC 9110
 * 6.5.1).
 */
export function trailersToSend({ headers }: EndOfMessage): Headers {
  if (headers.length === 0) return headers;
  const items = headers.rawItems();
  const allowed = items.filter(([name]) => !FORBIDDEN_TRAILERS.has(name.toLowerCase()));
  return allowed.length === items.length ? headers : new Headers(allowed);
}

function checkTrailers(headers: Headers): void {
  for (const [name] of headers) {
    if (FORBIDDEN_TRAILERS.has(name)) {
      throw new LocalProtocolError(
        `Cannot use field ${quote(name)} as a trailer: it belongs in the header section ` +
          "(RFC 9110 6.5.1)",
      );
    }
  }
}

const NO_HEADERS = new Headers();

/** One side has closed its half of the connection: it sends nothing more, but may still receive. */
export class ConnectionClosed {
  declare private readonly isChecked: true;
  /** Discriminates the union of events. */
  readonly type = "ConnectionClosed";
}

/** Any event that can be sent or received. */
export type Event =
  | Request
  | InformationalResponse
  | Response
  | Data
  | EndOfMessage
  | ConnectionClosed;

/** The error for a request target in a form that the method does not allow. */
export function badTarget(
  { method, target }: { method: string; target: string },
): LocalProtocolError {
  const expected = method === "CONNECT"
    ? "a host and a port"
    : method === "OPTIONS"
    ? 'a path, an absolute URI or "*"'
    : "a path or an absolute URI";
  return new LocalProtocolError(
    `Cannot use target ${quote(target)} with method ${quote(method)}: expected ${expected} ` +
      "(RFC 9112 3.2)",
  );
}

/** The error for a request without the Host field that it needs. */
export function missingHost(): LocalProtocolError {
  return new LocalProtocolError(
    "Cannot use a request without Host: HTTP/1.1 requires it (RFC 9112 3.2)",
  );
}

/** The error for a request with both Transfer-Encoding and Content-Length. */
export function twoFramings(): LocalProtocolError {
  return new LocalProtocolError(
    "Cannot use Transfer-Encoding with Content-Length: expected only one of them (RFC 9112 6.1)",
  );
}

function toHeaders(init: HeadersInit = NO_HEADERS): Headers {
  return init instanceof Headers ? toBuilt(init) : new Headers(init);
}

function toVersion(version = "1.1"): string {
  if (version !== "1.1" && !/^[0-9]\.[0-9]$/.test(version)) throw badVersion(version);
  return version;
}

function badVersion(version: string): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot use HTTP version ${quote(version)}: expected a digit, a dot and a digit (RFC 9112 2.3)`,
  );
}

function isText(members: Uint8Array, text: unknown): boolean {
  return typeof text === "string" && text !== "" &&
    textConsistsOf(members, text);
}
