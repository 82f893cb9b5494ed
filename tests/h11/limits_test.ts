// Limits on what the peer sends. Each is exact, and the same however the bytes come.

import { assertEquals, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import { client, latin1, receive, server } from "./log.ts";

/** The ways in which bytes can arrive around the place `at`. */
function* arrivalsNear(message: Uint8Array, at: number): Generator<Uint8Array[]> {
  yield [message];
  yield Array.from(message, (_, i) => message.subarray(i, i + 1));
  for (let cut = Math.max(at - 4, 2); cut <= at + 4 && cut < message.length; cut++) {
    yield [message.subarray(0, cut), message.subarray(cut)];
    yield [message.subarray(0, 1), message.subarray(1, cut), message.subarray(cut)];
  }
}

const REQUEST_HEAD = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const RESPONSE_HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** `before` and `after` with as many `filler` between them as make `size` bytes. */
function padded(before: string, filler: string, after: string, size: number): string {
  return before + filler.repeat((size - before.length - after.length) / filler.length) + after;
}

/** Chunks whose extensions have `size` bytes together, 4001 in each chunk but the last. */
function extended(size: number): string {
  return `1;${"b".repeat(4000)}\r\na\r\n`.repeat(4) +
    `0;${"c".repeat(size - 4 * 4001 - 1)}\r\n\r\n`;
}

/** Each limit: how much it is, and a message of which one part has this size. */
const LIMITS: [
  what: string,
  conn: () => h11.Connection,
  limit: number,
  message: (size: number) => string,
  /** Where the part begins in the message. */
  start: number,
  status: number,
][] = [
  [
    "SERVER takes a head of 16 KiB",
    () => server(),
    16 * 1024,
    (size) => padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", "\r\n\r\n", size),
    0,
    431,
  ],
  [
    "SERVER takes a head of maxIncompleteEventSize",
    () => server({ maxIncompleteEventSize: 100 }),
    100,
    (size) => padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", "\r\n\r\n", size),
    0,
    431,
  ],
  [
    "SERVER takes a head of maxIncompleteEventSize after a CRLF",
    () => server({ maxIncompleteEventSize: 100 }),
    100,
    (size) => "\r\n" + padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", "b", "\r\n\r\n", size),
    2,
    431,
  ],
  [
    "CLIENT takes a head of 16 KiB",
    () => client(),
    16 * 1024,
    (size) => padded("HTTP/1.1 200 OK\r\nX: ", "b", "\r\n\r\n", size),
    0,
    431,
  ],
  [
    "CLIENT takes a head of maxIncompleteEventSize",
    () => client("GET", { maxIncompleteEventSize: 100 }),
    100,
    (size) => padded("HTTP/1.1 200 OK\r\nX: ", "b", "\r\n\r\n", size),
    0,
    431,
  ],
  [
    "CLIENT takes a head of maxIncompleteEventSize in bare LFs",
    () => client("GET", { maxIncompleteEventSize: 100 }),
    100,
    (size) => padded("HTTP/1.1 200 OK\nX: ", "b", "\n c\n\n", size),
    0,
    431,
  ],
  [
    "SERVER takes trailers of maxIncompleteEventSize",
    () => server({ maxIncompleteEventSize: 100 }),
    100,
    (size) => REQUEST_HEAD + "0\r\n" + padded("X: ", "b", "\r\n\r\n", size),
    REQUEST_HEAD.length + 3,
    431,
  ],
  [
    "SERVER takes trailers of maxIncompleteEventSize that are dropped",
    () => server({ maxIncompleteEventSize: 100 }),
    100,
    (size) => REQUEST_HEAD + "0\r\n" + padded("TE: ", "b", "\r\n\r\n", size),
    REQUEST_HEAD.length + 3,
    431,
  ],
  [
    "CLIENT takes trailers of maxIncompleteEventSize",
    () => client("GET", { maxIncompleteEventSize: 100 }),
    100,
    (size) => RESPONSE_HEAD + "0\r\n" + padded("X: ", "b", "\r\n\r\n", size),
    RESPONSE_HEAD.length + 3,
    431,
  ],
  [
    "SERVER takes a chunk's size line of 4 KiB",
    () => server(),
    4 * 1024,
    (size) => REQUEST_HEAD + padded("1;", "b", "\r\n", size) + "a\r\n0\r\n\r\n",
    REQUEST_HEAD.length,
    400,
  ],
  [
    "SERVER takes a chunk's size line of maxIncompleteEventSize",
    () => server({ maxIncompleteEventSize: 60 }),
    60,
    (size) => REQUEST_HEAD + padded("1;", "b", "\r\n", size) + "a\r\n0\r\n\r\n",
    REQUEST_HEAD.length,
    400,
  ],
  [
    "CLIENT takes a chunk's size line of 4 KiB",
    () => client(),
    4 * 1024,
    (size) => RESPONSE_HEAD + padded("1;", "b", "\r\n", size) + "a\r\n0\r\n\r\n",
    RESPONSE_HEAD.length,
    400,
  ],
  [
    "SERVER takes chunk extensions of 16 KiB in one message",
    () => server(),
    16 * 1024,
    (size) => REQUEST_HEAD + extended(size),
    REQUEST_HEAD.length + 4 * 4008,
    400,
  ],
  [
    "CLIENT takes chunk extensions of 16 KiB in one message",
    () => client(),
    16 * 1024,
    (size) => RESPONSE_HEAD + extended(size),
    RESPONSE_HEAD.length + 4 * 4008,
    400,
  ],
  [
    "SERVER takes a target of 8 KiB",
    () => server(),
    8 * 1024,
    (size) => `GET ${padded("/", "a", "", size)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    4,
    414,
  ],
  [
    "SERVER takes a target of maxTargetSize",
    () => server({ maxTargetSize: 10 }),
    10,
    (size) => `GET ${padded("/", "a", "", size)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    4,
    414,
  ],
  [
    "SERVER takes 100 fields",
    () => server(),
    100,
    (count) => `GET / HTTP/1.1\r\nHost: a\r\n${"X: b\r\n".repeat(count - 1)}\r\n`,
    0,
    431,
  ],
  [
    "SERVER takes maxFields fields",
    () => server({ maxFields: 3 }),
    3,
    (count) => `GET / HTTP/1.1\r\nHost: a\r\n${"X: b\r\n".repeat(count - 1)}\r\n`,
    0,
    431,
  ],
  [
    "SERVER takes maxFields trailers",
    () => server({ maxFields: 3 }),
    3,
    (count) => `${REQUEST_HEAD}0\r\n${"X: b\r\n".repeat(count)}\r\n`,
    REQUEST_HEAD.length,
    431,
  ],
  [
    "CLIENT takes 100 fields",
    () => client(),
    100,
    (count) => `HTTP/1.1 200 OK\r\n${"X: b\r\n".repeat(count)}\r\n`,
    0,
    431,
  ],
  [
    "CLIENT takes maxFields fields in bare LFs",
    () => client("GET", { maxFields: 3 }),
    3,
    (count) => `HTTP/1.1 200 OK\n${"X: b\n c\n".repeat(count)}\n`,
    0,
    431,
  ],
  [
    "SERVER takes a method of 64 bytes",
    () => server(),
    64,
    (size) => `${"M".repeat(size)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    0,
    501,
  ],
];
for (const [what, conn, limit, message, start, status] of LIMITS) {
  Deno.test(`${what}, and answers one more with ${status}`, () => {
    const last = latin1(message(limit));
    const whole = receive(conn(), [last]);
    assertEquals(whole.error, null);
    for (const parts of arrivalsNear(last, start + limit)) {
      assertEquals(receive(conn(), parts).lines, whole.lines);
    }
    const over = latin1(message(limit + 1));
    const refused = receive(conn(), [over]).lines;
    assertEquals(refused.at(-1), `refused ${status}`);
    for (const parts of arrivalsNear(over, start + limit)) {
      assertEquals(receive(conn(), parts).lines, refused);
    }
  });
}

const WAITING: [
  what: string,
  conn: () => h11.Connection,
  before: string,
  /** Where the part begins that is limited. */
  start: number,
  limit: number,
  status: number,
][] = [
  ["SERVER waits for a head", server, "GET / HTTP/1.1\r\nX: ", 0, 16 * 1024, 431],
  ["CLIENT waits for a head", client, "HTTP/1.1 200 OK\r\nX: ", 0, 16 * 1024, 431],
  ["CLIENT waits for a status line", client, "HTTP/1.1 200 ", 0, 16 * 1024, 431],
  [
    "SERVER waits for trailers",
    server,
    REQUEST_HEAD + "0\r\nX: ",
    REQUEST_HEAD.length + 3,
    16 * 1024,
    431,
  ],
  [
    "CLIENT waits for trailers",
    client,
    RESPONSE_HEAD + "0\r\nX: ",
    RESPONSE_HEAD.length + 3,
    16 * 1024,
    431,
  ],
  [
    "SERVER waits for a chunk's size line",
    server,
    REQUEST_HEAD + "1;",
    REQUEST_HEAD.length,
    4 * 1024,
    400,
  ],
  [
    "CLIENT waits for a chunk's size line",
    client,
    RESPONSE_HEAD + "1;",
    RESPONSE_HEAD.length,
    4 * 1024,
    400,
  ],
];
for (const [what, conn, before, start, limit, status] of WAITING) {
  Deno.test(`${what} as far as its limit, and answers one byte more with ${status}`, () => {
    const bytes = latin1(before + "a".repeat(start + limit - before.length + 1));
    for (const parts of arrivalsNear(bytes.subarray(0, -1), start + limit)) {
      assertEquals(receive(conn(), parts).error, null);
    }
    for (const parts of arrivalsNear(bytes, start + limit)) {
      assertEquals(receive(conn(), parts).lines.at(-1), `refused ${status}`);
    }
  });
}

Deno.test("SERVER answers a target that does not end with 414, however it comes", () => {
  const bytes = latin1("GET /" + "a".repeat(16 * 1024));
  for (const parts of arrivalsNear(bytes, 16 * 1024)) {
    assertEquals(receive(server(), parts).lines, ["refused 414"]);
  }
});

Deno.test("SERVER takes any number of heads whose sizes together are over the limit", () => {
  const conn = server({ maxIncompleteEventSize: 40 });
  const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  conn.receiveData(latin1(request.repeat(10)));
  for (let i = 0; i < 10; i++) {
    assertEquals((conn.nextEvent() as h11.Event).type, "Request");
    assertEquals((conn.nextEvent() as h11.Event).type, "EndOfMessage");
    conn.send(new h11.Response({ statusCode: 204 }));
    conn.send(new h11.EndOfMessage());
    conn.startNextCycle();
  }
  assertEquals(conn.nextEvent(), h11.NEED_DATA);
});

Deno.test("SERVER reads heads of every size around 4 KiB, with what follows them", () => {
  for (let size = 4080; size <= 4110; size++) {
    const first = padded(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: ",
      "x",
      "\r\n\r\n",
      size,
    );
    const bytes = latin1(`${first}abcGET /next HTTP/1.1\r\nHost: b\r\n\r\n`);
    for (const parts of arrivalsNear(bytes, 4096)) {
      const conn = server();
      const head = first.trimEnd().replaceAll("\r\n", "\n");
      assertEquals(receive(conn, parts).lines, [head, "data abc", "end", "PAUSED"]);
      conn.send(new h11.Response({ statusCode: 204 }));
      conn.send(new h11.EndOfMessage());
      conn.startNextCycle();
      assertEquals((conn.nextEvent() as h11.Request).target, "/next");
    }
  }
});

Deno.test("SERVER takes a body that is over every limit", () => {
  const body = "b".repeat(100_000);
  const { lines } = receive(server(), [
    latin1(`${REQUEST_HEAD}186A0\r\n${body}\r\n186a0;x\r\n${body}\r\n0\r\n\r\n`),
  ]);
  assertEquals(lines.slice(1), [`data [${body}]`, `data [${body}]`, "end"]);
});

Deno.test("A limit of 0 switches maxTargetSize and maxFields off", () => {
  const conn = server({ maxIncompleteEventSize: 1 << 20, maxTargetSize: 0, maxFields: 0 });
  const target = "/" + "a".repeat(100_000);
  const { lines } = receive(conn, [
    latin1(`GET ${target} HTTP/1.1\r\nHost: a\r\n${"X: b\r\n".repeat(1000)}\r\n`),
  ]);
  assertEquals(lines, [`GET ${target} HTTP/1.1\nHost: a${"\nX: b".repeat(1000)}`, "end"]);
});

for (const name of ["maxIncompleteEventSize", "maxTargetSize", "maxFields"] as const) {
  const lowest = name === "maxIncompleteEventSize" ? 1 : 0;
  for (const value of [lowest - 1, -5, 1.5, NaN, Infinity, "10" as unknown as number]) {
    Deno.test(`new Connection() refuses to set ${name} to ${JSON.stringify(value)} (${value})`, () => {
      assertThrows(
        () => new h11.Connection(h11.SERVER, { [name]: value }),
        RangeError,
        `Cannot set ${name} to ${value}: must be an integer >= ${lowest}`,
      );
    });
  }
}

Deno.test("new Connection() refuses a role that is none", () => {
  assertThrows(
    () => new h11.Connection("PROXY" as h11.Role),
    RangeError,
    "expected CLIENT or SERVER",
  );
});
