// What a connection makes of bytes, as lines that a test can hold against what it expects.
//
//   GET / HTTP/1.1\nHost: a      a head: its start line and its field lines
//   data hello                   a part of a body; parts that belong together are joined
//   data [hello]                 a chunk: [ where it starts, ] where it ends
//   end\nX: y                    the end of a message, with its trailers
//   closed, PAUSED, refused 400  why no more came; nothing where more bytes are needed

import * as h11 from "../../h11.ts";

/** The bytes of `text`, a code unit each. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** The bytes as text, a code unit each. */
export function text(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The peer's end of the stream. */
export const END: Uint8Array = new Uint8Array(0);

/** The ways in which a message can arrive: whole, byte by byte, cut in two at each place. */
export function* arrivals(message: Uint8Array): Generator<Uint8Array[]> {
  yield [message];
  yield Array.from(message, (_, i) => message.subarray(i, i + 1));
  for (let cut = 1; cut < message.length; cut++) {
    yield [message.subarray(0, cut), message.subarray(cut)];
  }
}

/** Takes down events one by one. */
export class Log {
  readonly lines: string[] = [];
  /** What was thrown, where the peer was refused. */
  error: h11.RemoteProtocolError | null = null;
  /** The last event was a part of a body that may go on. */
  #isOpen = false;

  add(event: h11.Event): void {
    if (event.type === "Data") {
      const part = text(event.data) + (event.chunkEnd ? "]" : "");
      if (this.#isOpen && !event.chunkStart) this.lines[this.lines.length - 1] += part;
      else this.lines.push(`data ${event.chunkStart ? "[" : ""}${part}`);
      this.#isOpen = !event.chunkEnd;
      return;
    }
    this.#isOpen = false;
    this.lines.push(shown(event));
  }

  refused(error: unknown): void {
    if (!(error instanceof h11.RemoteProtocolError)) throw error;
    this.error = error;
    this.lines.push(`refused ${error.errorStatusHint}`);
  }
}

function shown(event: Exclude<h11.Event, h11.Data>): string {
  switch (event.type) {
    case "Request":
      return `${event.method} ${event.target} HTTP/${event.httpVersion}${fields(event.headers)}`;
    case "InformationalResponse":
    case "Response":
      return `HTTP/${event.httpVersion} ${event.statusCode} ${event.reason}${
        fields(event.headers)
      }`;
    case "EndOfMessage":
      return `end${fields(event.headers)}`;
    case "ConnectionClosed":
      return "closed";
  }
}

function fields(headers: h11.Headers): string {
  return headers.rawItems().map(([name, value]) => `\n${name}: ${value}`).join("");
}

/** Gives `conn` the bytes part by part and takes down what it makes of them. */
export function receive(conn: h11.Connection, parts: Iterable<Uint8Array>): Log {
  const log = new Log();
  let isPaused = false;
  for (const part of parts) {
    conn.receiveData(part);
    for (;;) {
      let event;
      try {
        event = conn.nextEvent();
      } catch (error) {
        log.refused(error);
        return log;
      }
      isPaused = event === h11.PAUSED;
      if (event === h11.NEED_DATA || event === h11.PAUSED) break;
      log.add(event);
      if (event.type === "ConnectionClosed") return log;
    }
  }
  if (isPaused) log.lines.push("PAUSED");
  return log;
}

/** What takes part in a conversation. */
interface Conversation {
  /** What a client asks with. */
  method?: string;
  /** A server answers when there is nothing more to read, not when the request ends. */
  isLate?: boolean;
}

/**
 * As `receive`, and takes part: a server answers each request, a client whose peer is ahead of it
 * asks again with `method` on another connection, which is given what is left, and where the protocol
 * was switched the bytes that follow are taken down.
 */
export function converse(
  conn: h11.Connection,
  parts: Iterable<Uint8Array>,
  { method = "GET", isLate = false }: Conversation = {},
): Log {
  const log = new Log();
  const rest = parts[Symbol.iterator]();
  let isOwed = false;
  for (;;) {
    let event;
    try {
      event = conn.nextEvent();
    } catch (error) {
      log.refused(error);
      return log;
    }
    if (event === h11.NEED_DATA || event === h11.PAUSED) {
      if (isOwed) {
        isOwed = false;
        conn = goOn(conn, method);
        continue;
      }
      const { value } = rest.next();
      if (value !== undefined) {
        conn.receiveData(value);
        continue;
      }
      if (event === h11.PAUSED) log.lines.push(`PAUSED ${text(conn.trailingData[0])}`);
      return log;
    }
    log.add(event);
    if (event.type === "ConnectionClosed") return log;
    if (event.type !== "EndOfMessage") continue;
    if (isLate) isOwed = true;
    else conn = goOn(conn, method);
  }
}

/** Answers a request; the connection that is used next. */
function goOn(conn: h11.Connection, method: string): h11.Connection {
  if (conn.ourState === h11.SEND_RESPONSE) {
    conn.send(new h11.Response({ statusCode: 200, headers: { "Content-Length": "0" } }));
    if (conn.theirState !== h11.SWITCHED_PROTOCOL) conn.send(new h11.EndOfMessage());
  }
  if (conn.ourState !== h11.DONE || conn.theirState !== h11.DONE) return conn;
  conn.startNextCycle();
  const [rest] = conn.trailingData;
  if (conn.ourRole === h11.SERVER || rest.length === 0) return conn;
  const next = client(method);
  next.receiveData(rest);
  return next;
}

/** Sends a request without a body. */
export function ask(conn: h11.Connection, method: string): void {
  const target = method === "CONNECT" ? "a:443" : "/";
  conn.send(new h11.Request({ method, target, headers: { Host: "a" } }));
  conn.send(new h11.EndOfMessage());
}

/** A server that has received nothing. */
export function server(options?: h11.ConnectionOptions): h11.Connection {
  return new h11.Connection(h11.SERVER, options);
}

/** A client that has sent a request without a body. */
export function client(method = "GET", options?: h11.ConnectionOptions): h11.Connection {
  const conn = new h11.Connection(h11.CLIENT, options);
  ask(conn, method);
  return conn;
}

/** A server that has received `request`, which it must take as a whole. */
export function serverAfter(request: string): h11.Connection {
  const conn = server();
  const { error } = receive(conn, [latin1(request)]);
  if (error !== null) throw error;
  return conn;
}
