// What this engine does in its benchmarks, on one connection that is kept alive.

import * as h11 from "../../h11.ts";
import { ANSWER_FIELDS, BROWSER_GET, CHUNKED_POST, type Read } from "./cases.ts";

const conn = new h11.Connection(h11.SERVER);
const encoder = new TextEncoder();
const bytes = encoder.encode(BROWSER_GET);
// What a client repeats is compared and not read: these differ from one to the next in their length.
const varied = Array.from(
  { length: 60 },
  (_, i) => encoder.encode(BROWSER_GET.replace("theme=dark", `theme=${"x".repeat(i)}`)),
);
let turn = 0;

function read(): h11.Request {
  turn = (turn + 1) % varied.length;
  conn.receiveData(varied[turn]);
  return readHead(conn);
}

function readHead(conn: h11.Connection): h11.Request {
  const request = conn.nextEvent() as h11.Request;
  conn.nextEvent();
  return request;
}

function answer(conn: h11.Connection): number {
  const headers = ANSWER_FIELDS;
  const head = conn.send(new h11.Response({ statusCode: 200, reason: "OK", headers }))!;
  const end = conn.send(new h11.EndOfMessage())!;
  conn.startNextCycle();
  return head.length + end.length;
}

/** Reads a request, sends the head of an answer and its end, begins the next cycle. */
export function cycle(): number {
  return read().method.length + answer(conn);
}

/** As `cycle`, of a client that sends the same head again and again. */
export function cycleAgain(): number {
  again.receiveData(bytes);
  return readHead(again).method.length + answer(again);
}
const again = new h11.Connection(h11.SERVER);

/** As `cycle`, and looks at each field. */
export function cycleWithHeaders(): number {
  let length = 0;
  for (const [name, value] of read().headers) length += name.length + value.length;
  return length + answer(conn);
}

/** What the engine reads in the request. */
export function readAll(): Read {
  conn.receiveData(bytes);
  const { method, target, headers } = readHead(conn);
  const all: Read = { method, target, headers: Array.from(headers, ([n, v]) => [n, v]) };
  answer(conn);
  return all;
}

/** Reads a body of chunks and answers. @returns The bytes of the body. */
export function readChunkedBody(): number {
  let length = 0;
  for (const piece of CHUNKED_POST) {
    conn.receiveData(piece);
    for (let event; (event = conn.nextEvent()) !== h11.NEED_DATA;) {
      if (event instanceof h11.Data) length += event.data.length;
    }
  }
  answer(conn);
  return length;
}
