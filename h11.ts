/**
 * HTTP/1.1 without I/O: bytes in, events out; events in, bytes out. It works for both sides of a connection,
 * in any JavaScript runtime. It is a port of Python's h11 with camelCase names, stricter where RFC 9110 and
 * RFC 9112 allow a server to refuse a message.
 *
 * A program reads from its socket and calls {@linkcode Connection.receiveData}, takes events from {@linkcode
 * Connection.nextEvent} until it returns {@linkcode NEED_DATA} or {@linkcode PAUSED}, writes the bytes that
 * {@linkcode Connection.send} returns, and calls {@linkcode Connection.startNextCycle} when both sides are
 * {@linkcode DONE}.
 *
 * @example The server side of one exchange
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import * as h11 from "@tiny/listener/h11";
 *
 * function answer(bytes: Uint8Array): string {
 *   const conn = new h11.Connection(h11.SERVER);
 *   conn.receiveData(bytes);
 *   let sent = "";
 *   for (;;) {
 *     const event = conn.nextEvent();
 *     if (event === h11.NEED_DATA || event === h11.PAUSED) return sent;
 *     if (event.type === "EndOfMessage") {
 *       const body = new TextEncoder().encode("Hello");
 *       const headers = { "Content-Length": String(body.length) };
 *       for (
 *         const out of [
 *           new h11.Response({ statusCode: 200, reason: "OK", headers }),
 *           new h11.Data({ data: body }),
 *           new h11.EndOfMessage(),
 *         ]
 *       ) sent += new TextDecoder().decode(conn.send(out)!);
 *     }
 *   }
 * }
 *
 * assertEquals(
 *   answer(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
 *   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello",
 * );
 * ```
 *
 * @module
 */

export { Connection, type ConnectionOptions, NEED_DATA, PAUSED } from "./h11/connection.ts";
export { LocalProtocolError, ProtocolError, RemoteProtocolError } from "./h11/errors.ts";
export {
  type AnyResponse,
  ConnectionClosed,
  Data,
  type DataInit,
  EndOfMessage,
  type EndOfMessageInit,
  type Event,
  InformationalResponse,
  Request,
  type RequestInit,
  Response,
  type ResponseInit,
} from "./h11/events.ts";
export { Headers, type HeadersInit } from "./h11/headers.ts";
export {
  CLIENT,
  CLOSED,
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
} from "./h11/state.ts";
