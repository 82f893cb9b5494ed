// One exchange: a request that came and the response that goes out for it.

import * as h11 from "../h11.ts";
import type { AnyEvent } from "../listener.ts";
import { HTTPError, reasonPhrase } from "./http_error.ts";
import { RequestBody } from "./request_body.ts";
import type { Socket } from "./socket.ts";

/** What a response's body can be made from. */
export type ResponseBody =
  | string
  | Uint8Array
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | null;

/** What an exchange needs of the connection it belongs to. */
export interface ExchangeHost {
  /** The connection's protocol. */
  readonly protocol: h11.Connection;
  /** The connection's socket. */
  readonly socket: Socket;
  /** The most that the buffering readers of a body take. */
  readonly maxBodySize: number;
  /** Whether this exchange is the connection's last. */
  readonly isClosing: boolean;
  /** Whether what is written is flushed by the connection soon, together with what else there is. */
  readonly isCorked: boolean;
  /** The next part of the request's body. */
  readBody(exchange: Exchange): Promise<Uint8Array<ArrayBuffer> | null>;
}

const encoder = new TextEncoder();

/** One request and its response. */
export class Exchange {
  readonly request: h11.Request;
  readonly #host: ExchangeHost;
  #body: RequestBody | null = null;
  /** The status that was sent; 0 before. */
  status = 0;
  /** Set when nothing can be sent any more. */
  isOver = false;
  /** The event that a handler runs for; for its signal. */
  event: AnyEvent | null = null;
  #sending: Promise<void> | null = null;

  constructor(host: ExchangeHost, request: h11.Request) {
    this.#host = host;
    this.request = request;
  }

  /** The socket below. */
  get socket(): Socket {
    return this.#host.socket;
  }

  /** Whether the response has begun. */
  get isResponded(): boolean {
    return this.status !== 0;
  }

  /** A promise for the end of a response that is sent as it comes; null where there is none. */
  get sending(): Promise<void> | null {
    return this.#sending;
  }

  /** The request's body. */
  get body(): RequestBody {
    if (this.#body === null) {
      const host = this.#host;
      const length = this.request.headers.get("content-length");
      this.#body = new RequestBody({
        readBody: () => host.readBody(this),
        contentLength: length === null ? null : Number(length),
        maxBodySize: host.maxBodySize,
      });
    }
    return this.#body;
  }

  /** Sends an interim response. */
  inform(status: number, headers: h11.HeadersInit): void {
    this.#checkOpen();
    const { protocol } = this.#host;
    const reason = reasonPhrase(status);
    const response = new h11.InformationalResponse({ statusCode: status, reason, headers });
    if (protocol.theirHttpVersion !== "1.0") this.#write(protocol.send(response));
  }

  /** Sends the response. */
  respond(
    status: number,
    body: ResponseBody,
    headers: h11.HeadersInit,
    reason = "",
  ): void | Promise<void> {
    this.#checkOpen();
    const { protocol } = this.#host;
    const isHead = this.request.method === "HEAD";
    const hasNoBody = status === 204 || status === 205 || status === 304;
    const fields = [...(Symbol.iterator in headers ? rawItems(headers) : Object.entries(headers))];
    const has = (name: string): boolean => fields.some((field) => field[0].toLowerCase() === name);

    let bytes: Uint8Array | null = null;
    if (typeof body === "string") {
      if (!has("content-type")) fields.push(TEXT);
      bytes = encoder.encode(body);
    } else if (body instanceof Uint8Array) {
      if (!has("content-type")) fields.push(BINARY);
      bytes = body;
    } else if (body === null) {
      bytes = NO_BYTES;
    }
    if (hasNoBody) bytes = NO_BYTES;
    if (bytes !== null && !has("content-length") && status !== 204 && status !== 304) {
      // A null body may be that of a HEAD whose GET has one: only what is known is told.
      if (!(isHead && body === null)) fields.push(["Content-Length", String(bytes.length)]);
    }
    if (!has("date")) fields.push(["Date", httpDate()]);
    if (this.#host.isClosing && !has("connection")) fields.push(CLOSE);

    const head = new h11.Response({
      statusCode: status,
      reason: reason || reasonPhrase(status),
      headers: fields,
    });
    if (bytes !== null && !isHead && !hasNoBody) checkLength(head, bytes.length);
    this.#write(protocol.send(head), false);
    this.status = status;
    if (bytes === null && (isHead || hasNoBody)) {
      discard(body as ReadableStream | AsyncIterable<unknown>);
      bytes = NO_BYTES;
    }
    if (bytes === null) {
      return this.#sending = this.#sendStream(body as AsyncIterable<Uint8Array | string>);
    }
    if (!isHead && bytes.length > 0) {
      for (const part of protocol.sendWithDataPassthrough(new h11.Data({ data: bytes }))!) {
        this.#write(part, false);
      }
    }
    this.#write(protocol.send(new h11.EndOfMessage()));
  }

  async #sendStream(body: AsyncIterable<Uint8Array | string>): Promise<void> {
    const { protocol, socket } = this.#host;
    try {
      for await (const part of body) {
        const data = typeof part === "string" ? encoder.encode(part) : part;
        for (const bytes of protocol.sendWithDataPassthrough(new h11.Data({ data }))!) {
          socket.write(bytes);
        }
        // Not one part more than the peer has taken.
        await socket.flush();
      }
      socket.write(protocol.send(new h11.EndOfMessage())!);
      await socket.flush();
    } catch (error) {
      // A client must never take a part for the whole: the message stays without its end.
      protocol.sendFailed();
      socket.close();
      throw error;
    }
  }

  #write(bytes: Uint8Array | null, isLast = true): void {
    if (bytes !== null) this.#host.socket.write(bytes);
    // Where the peer is gone there is nobody to tell; the connection notices by itself.
    if (isLast && !this.#host.isCorked) this.#host.socket.flush().catch(() => {});
  }

  #checkOpen(): void {
    if (this.isOver) throw new TypeError("Cannot respond: the exchange is over");
    if (this.isResponded) throw new TypeError("Cannot respond twice: the response was sent before");
  }
}

const NO_BYTES = new Uint8Array(0);
const TEXT: [string, string] = ["Content-Type", "text/plain; charset=utf-8"];
const BINARY: [string, string] = ["Content-Type", "application/octet-stream"];
const CLOSE: [string, string] = ["Connection", "close"];

function rawItems(
  headers: Iterable<readonly [string, string]>,
): Iterable<readonly [string, string]> {
  return headers instanceof h11.Headers ? headers.rawItems() : headers;
}

/** What is sent must be as long as is said; found out here, it can still become a 500. */
function checkLength(head: h11.Response, length: number): void {
  const given = head.headers.get("content-length");
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

let second = 0;
let date = "";

/** The time as HTTP writes it (RFC 9110 5.6.7), made once a second. */
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}

/** What the client is told of an error: an HTTPError carries its own answer, the rest is a 500. */
export function toHTTPError(error: unknown): HTTPError {
  return error instanceof HTTPError ? error : new HTTPError(500, undefined, { cause: error });
}
