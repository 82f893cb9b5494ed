// Work is linear in the bytes, whatever they are: four times the input takes about four times the
// time, where quadratic work would take sixteen.

import { assert } from "@std/assert";
import * as h11 from "../../h11.ts";
import { processorTime } from "../processor_time.ts";
import { client, latin1, server } from "./log.ts";

const LIMITS = { maxIncompleteEventSize: 1 << 30, maxTargetSize: 0, maxFields: 0 };

/** As most of the messages here are not complete, or refused: what matters is that time passes. */
const CASES: [
  what: string,
  conn: () => h11.Connection,
  /** The size of the smaller of the two inputs. */
  size: number,
  message: (size: number) => string,
  /** Bytes of a piece. */
  piece: number,
][] = [
  [
    "SERVER reads a long value byte by byte",
    () => server(LIMITS),
    16 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(size)}\r\n\r\n`,
    1,
  ],
  [
    "SERVER reads many fields byte by byte",
    () => server(LIMITS),
    16 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\n${"X: b\r\n".repeat(size / 6)}\r\n`,
    1,
  ],
  [
    "SERVER reads a long target byte by byte",
    () => server(LIMITS),
    16 * 1024,
    (size) => `GET /${"a".repeat(size)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    1,
  ],
  [
    "SERVER reads bare CRs byte by byte",
    () => server(LIMITS),
    16 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\nX: ${"\r".repeat(size)}`,
    1,
  ],
  [
    "SERVER reads many fields at once",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\n${"X:b\r\n".repeat(size / 5)}\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads a Host of a megabyte",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: [${"1:".repeat(size / 2)}\r\n\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads a Host of dots and digits",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: [${":1.1.1.1".repeat(size / 8)}]\r\n\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads a long list of connection options",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${"a, ".repeat(size / 3)}b\r\n\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads many fields of connection options",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\n${"Connection: a\r\n".repeat(size / 15)}\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads a long list of transfer codings",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ${"a , ".repeat(size / 4)}b\r\n\r\n`,
    1 << 30,
  ],
  [
    "SERVER reads white space in a list",
    () => server(LIMITS),
    256 * 1024,
    (size) => `GET / HTTP/1.1\r\nHost: a\r\nUpgrade: a${" \t".repeat(size / 2)},b\r\n\r\n`,
    1 << 30,
  ],
  [
    "CLIENT reads a long list of equal Content-Lengths",
    () => client("GET", LIMITS),
    256 * 1024,
    (size) => `HTTP/1.1 200 OK\r\nContent-Length: ${"0,".repeat(size / 2)}0\r\n\r\n`,
    1 << 30,
  ],
  [
    "CLIENT reads many equal Content-Lengths",
    () => client("GET", LIMITS),
    256 * 1024,
    (size) => `HTTP/1.1 200 OK\r\n${"Content-Length: 0\r\n".repeat(size / 19)}\r\n`,
    1 << 30,
  ],
  [
    "CLIENT reads many folded lines at once",
    () => client("GET", LIMITS),
    256 * 1024,
    (size) => `HTTP/1.1 200 OK\r\nX: a\r\n${" b\r\n".repeat(size / 4)}\r\n`,
    1 << 30,
  ],
  [
    "CLIENT reads many folded lines byte by byte",
    () => client("GET", LIMITS),
    16 * 1024,
    (size) => `HTTP/1.1 200 OK\r\nX: a\r\n${" b\r\n".repeat(size / 4)}\r\n`,
    1,
  ],
  [
    "CLIENT reads many bare LFs byte by byte",
    () => client("GET", LIMITS),
    16 * 1024,
    (size) => `HTTP/1.1 200 OK\n${"X: a\n".repeat(size / 5)}\n`,
    1,
  ],
  [
    "SERVER reads many tiny chunks at once",
    () => server(),
    128 * 1024,
    (size) => chunked("1\r\na\r\n".repeat(size / 6)),
    1 << 30,
  ],
  [
    "SERVER reads many tiny chunks byte by byte",
    () => server(),
    16 * 1024,
    (size) => chunked("1\r\na\r\n".repeat(size / 6)),
    1,
  ],
  [
    "SERVER reads long chunk size lines byte by byte",
    () => server(),
    4 * 1024,
    // The extensions of one message are limited, so this is many messages.
    (size) => chunked(`0;${"a".repeat(1000)}\r\n\r\n`).repeat(size / 1000),
    1,
  ],
  [
    "SERVER reads many trailers byte by byte",
    () => server(LIMITS),
    16 * 1024,
    (size) => chunked(`0\r\n${"TE: b\r\n".repeat(size / 7)}\r\n`),
    1,
  ],
  [
    "SERVER reads a body byte by byte",
    () => server(),
    32 * 1024,
    (size) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${"a".repeat(size)}`,
    1,
  ],
];

function chunked(body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

/** Milliseconds to read `message`, the best of several. */
function duration(conn: () => h11.Connection, message: Uint8Array, piece: number): number {
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = processorTime();
    receiveOnly(conn(), message, piece);
    best = Math.min(best, processorTime() - start);
  }
  return best;
}

/** Gives the pieces and takes the events, and nothing else that could take time. */
function receiveOnly(conn: h11.Connection, message: Uint8Array, piece: number): void {
  for (let at = 0; at < message.length; at += piece) {
    conn.receiveData(message.subarray(at, at + piece));
    try {
      for (;;) {
        const event = conn.nextEvent();
        if (event === h11.NEED_DATA || event === h11.PAUSED) break;
        if (event.type === "EndOfMessage" && conn.ourRole === h11.SERVER) {
          conn.send(new h11.Response({ statusCode: 204 }));
          conn.send(new h11.EndOfMessage());
          conn.startNextCycle();
        }
      }
    } catch (error) {
      if (error instanceof h11.RemoteProtocolError) return;
      throw error;
    }
  }
}

for (const [what, conn, size, message, piece] of CASES) {
  Deno.test(`${what} in linear time`, () => {
    const [small, large] = [latin1(message(size)), latin1(message(4 * size))];
    // Compiled code first, and a larger input where the smaller is over in no time.
    duration(conn, small, piece);
    let [short, long] = [0, Infinity];
    // Below a millisecond it says nothing. It is asked again, as a collection may come between: what is not linear
    // takes 16 times as long each time.
    for (let i = 0; i < 3 && long >= 8 * Math.max(short, 1); i++) {
      [short, long] = [duration(conn, small, piece), duration(conn, large, piece)];
    }
    assert(
      long < 8 * Math.max(short, 1),
      `${short} ms for ${size} bytes, ${long} ms for 4 times that`,
    );
  });
}
