// What sendWhole() and sendWholeInto() send: the framing they choose, and that it is what three send() would be.

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import { client, latin1, receive, serverAfter, text } from "./log.ts";
import {
  CHUNKED,
  CHUNKED_LINE,
  CL,
  CLOSE,
  type Pairs,
  request,
  response,
  TE,
} from "./responses.ts";

function whole(conn: h11.Connection, event: h11.Response, body: string): string {
  return conn.sendWhole(event, latin1(body)).map(text).join("");
}

const LENGTH = "Content-Length: 5";

// What is sent for the whole body "hello": the head after its status line, and what follows it.
const FRAMING: [
  method: string,
  version: string,
  statusCode: number,
  given: Pairs,
  sent: string[],
  body: string,
][] = [
  ["GET", "1.1", 200, [], [LENGTH], "hello"],
  ["GET", "1.1", 200, CL, [LENGTH], "hello"],
  ["GET", "1.1", 200, [["X", "a"]], ["X: a", LENGTH], "hello"],
  ["GET", "1.1", 200, TE, [CHUNKED_LINE], CHUNKED],
  ["GET", "1.1", 200, [...CL, ...TE], [CHUNKED_LINE], CHUNKED],
  ["GET", "1.1", 404, [], [LENGTH], "hello"],
  // RFC 9110 15.3.6: no content, which is told.
  ["GET", "1.1", 205, [], ["Content-Length: 0"], ""],
  ["GET", "1.1", 205, CL, ["Content-Length: 0"], ""],
  ["GET", "1.1", 205, TE, ["Content-Length: 0"], ""],
  // RFC 9110 8.6: no Content-Length with 204, none that is not known with 304.
  ["GET", "1.1", 204, [], [], ""],
  ["GET", "1.1", 204, CL, [], ""],
  ["GET", "1.1", 204, TE, [], ""],
  ["GET", "1.1", 304, [], [], ""],
  ["GET", "1.1", 304, CL, [LENGTH], ""],
  ["GET", "1.1", 304, TE, [CHUNKED_LINE], ""],
  ["GET", "1.1", 304, [...CL, ...TE], [CHUNKED_LINE], ""],
  // RFC 9110 9.3.2: the fields that GET would have got.
  ["HEAD", "1.1", 200, [], [LENGTH], ""],
  ["HEAD", "1.1", 200, [["Content-Length", "9"]], ["Content-Length: 9"], ""],
  ["HEAD", "1.1", 200, TE, [CHUNKED_LINE], ""],
  ["CONNECT", "1.1", 300, [], [LENGTH], "hello"],
  ["CONNECT", "1.1", 403, [], [LENGTH], "hello"],
  ["GET", "1.0", 200, [], [LENGTH, CLOSE], "hello"],
  ["GET", "1.0", 200, TE, [CLOSE], "hello"],
  ["GET", "1.0", 304, TE, [CLOSE], ""],
  ["HEAD", "1.0", 200, [], [LENGTH, CLOSE], ""],
];
for (const [method, version, statusCode, given, lines, body] of FRAMING) {
  const fields = given.length === 0 ? "no field" : given.map((pair) => pair.join(": ")).join(", ");
  Deno.test(`Connection.sendWhole() frames ${statusCode} with ${fields} to ${method} HTTP/${version}`, () => {
    const conn = serverAfter(request(method, version));
    assertEquals(
      whole(conn, response(statusCode, given), "hello"),
      [`HTTP/1.1 ${statusCode} x`, ...lines, "\r\n"].join("\r\n") + body,
    );
    assertEquals(conn.ourState, lines.includes(CLOSE) ? h11.MUST_CLOSE : h11.DONE);
  });
}

Deno.test("Connection.sendWhole() keeps HTTP/1.0 that asks for it, as the length is known", () => {
  const conn = serverAfter(request("GET", "1.0", "Connection: keep-alive"));
  assertEquals(
    whole(conn, response(200), "hello"),
    `HTTP/1.1 200 x\r\n${LENGTH}\r\nConnection: keep-alive\r\n\r\nhello`,
  );
  assertEquals(conn.ourState, h11.DONE);
});

Deno.test("Connection.sendWhole() sends the same event again and again, each time with its own length", () => {
  const event = response(200, [["X", "a"], ["X", "ü"]]);
  const conn = serverAfter(request("GET"));
  for (const body of ["hello", "", "hi", "hello"]) {
    assertEquals(
      whole(conn, event, body),
      `HTTP/1.1 200 x\r\nX: a\r\nX: ü\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    conn.startNextCycle();
    receive(conn, [latin1(request("GET"))]);
  }
  // What was kept of it does not get in the way where the connection has to be told to close.
  const last = serverAfter(request("GET", "1.1", CLOSE));
  assertEquals(
    whole(last, event, "hi"),
    `HTTP/1.1 200 x\r\nX: a\r\nX: ü\r\nContent-Length: 2\r\n${CLOSE}\r\n\r\nhi`,
  );
});

for (const size of [0, 1, 2048, 2049, 100_000]) {
  Deno.test(`Connection.sendWhole() sends ${size} bytes as three send() do`, () => {
    const data = new Uint8Array(size).fill(0x61);
    const headers: Pairs = [["X", "a"], ["Content-Length", String(size)]];
    const three = serverAfter(request("GET"));
    const expected = [
      three.send(response(200, headers))!,
      three.send(new h11.Data({ data }))!,
      three.send(new h11.EndOfMessage())!,
    ];
    const conn = serverAfter(request("GET"));
    const parts = conn.sendWhole(response(200, headers), data);
    assertEquals(parts.map(text).join(""), expected.map(text).join(""));
    assertEquals(conn.states, three.states);
    // What is large is not copied.
    if (size > 2048) assertStrictEquals(parts.at(-1), data);
    else assertEquals(parts.length, 1);
  });
}

const REFUSED: [what: string, start: () => h11.Connection, body: string, message: string][] = [
  [
    "a length that is not the body's",
    () => serverAfter(request("GET")),
    "hi",
    "they must be equal",
  ],
  [
    "a second response in one cycle",
    () => {
      const conn = serverAfter(request("GET"));
      conn.sendWhole(response(204), latin1(""));
      return conn;
    },
    "hello",
    "DONE",
  ],
  [
    "2xx to CONNECT",
    () => serverAfter(request("CONNECT")),
    "hello",
    "Cannot send 2xx to CONNECT with sendWhole(): a tunnel has no body; use send()",
  ],
  [
    "an answer of the client's",
    () => new h11.Connection(h11.CLIENT),
    "hello",
    "CLIENT in state IDLE",
  ],
];
for (const [what, start, body, message] of REFUSED) {
  Deno.test(`Connection.sendWhole() refuses ${what} and stays in ERROR`, () => {
    const conn = start();
    const send = (): unknown => conn.sendWhole(response(200, CL), latin1(body));
    assertThrows(send, h11.LocalProtocolError, message);
    assertEquals(conn.ourState, h11.ERROR);
    assertThrows(send, h11.LocalProtocolError, "an earlier send failed");
  });
}

Deno.test("Connection.sendWhole() and sendWholeInto() refuse an object that looks like a Response", () => {
  const fake = { ...response(200), reason: "x\r\nSet-Cookie: a=b" } as unknown as h11.Response;
  assertThrows(
    () => serverAfter(request("GET")).sendWhole(fake, latin1("hello")),
    h11.LocalProtocolError,
    "Cannot send Response: expected a Response created with its constructor",
  );
  const bytes = new Uint8Array(100);
  const conn = serverAfter(request("GET"));
  assertThrows(() => conn.sendWholeInto(fake, "hello", bytes, 0), TypeError, "private");
  assertEquals([bytes, conn.ourState], [new Uint8Array(100), h11.SEND_RESPONSE]);
});

/** What `sendWholeInto` writes, with a place before and behind that it must leave alone; null where it declines. */
function into(conn: h11.Connection, event: h11.Response, data: string | Uint8Array): string | null {
  const bytes = new Uint8Array(1024).fill(0x2e);
  const end = conn.sendWholeInto(event, data, bytes, 3);
  if (end < 0) return null;
  assertEquals(text(bytes.subarray(0, 3)) + text(bytes.subarray(end, end + 8)), "...........");
  return text(bytes.subarray(3, end));
}

for (const [method, version, statusCode, given] of FRAMING) {
  const fields = given.length === 0 ? "no field" : given.map((pair) => pair.join(": ")).join(", ");
  Deno.test(`Connection.sendWholeInto() sends ${statusCode} with ${fields} to ${method} HTTP/${version} as sendWhole() does, or leaves it to that`, () => {
    const event = response(statusCode, given);
    const conn = serverAfter(request(method, version));
    const other = serverAfter(request(method, version));
    const { states } = conn;
    const expected = whole(other, event, "hello");
    const isUsual = version === "1.1" && method === "GET" &&
      ![204, 205, 304].includes(statusCode) &&
      given.every(([name]) => name === "X");
    const sent = into(conn, event, "hello");
    assertEquals(sent, isUsual ? expected : null);
    if (sent === null) {
      assertEquals(conn.states, states);
      assertEquals(whole(conn, event, "hello"), expected);
    }
    assertEquals(conn.states, other.states);
  });
}

Deno.test("Connection.sendWholeInto() sends text, bytes and nothing, each with its length, one behind the other", () => {
  const event = response(200, [["X", "a"], ["X", "ü"]]);
  const conn = serverAfter(request("GET"));
  const bytes = new Uint8Array(1024);
  const bodies = ["hello", latin1("\xff\0"), "", "a".repeat(100)];
  let end = 0, expected = "";
  for (const body of bodies) {
    end = conn.sendWholeInto(event, body, bytes, end);
    expected += `HTTP/1.1 200 x\r\nX: a\r\nX: ü\r\nContent-Length: ${body.length}\r\n\r\n` +
      (typeof body === "string" ? body : text(body));
    assertEquals(text(bytes.subarray(0, end)), expected);
    conn.startNextCycle();
    receive(conn, [latin1(request("GET"))]);
  }
});

Deno.test("Connection.sendWholeInto() ends the client's wait for 100", () => {
  const conn = serverAfter(
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
  );
  assertEquals(conn.clientIsWaitingFor100Continue, true);
  into(conn, response(417), "");
  assertEquals(conn.clientIsWaitingFor100Continue, false);
});

const DECLINED: [what: string, start: () => h11.Connection, data: string, room: number][] = [
  ["a client's answer to its own request", () => client(), "hello", 100],
  ["text that is not ASCII", () => serverAfter(request("GET")), "hellö", 100],
  ["a response that there is no room for", () => serverAfter(request("GET")), "hello", 44],
  [
    "an answer that has to tell that the connection ends",
    () => {
      return serverAfter(request("GET", "1.1", CLOSE));
    },
    "hello",
    100,
  ],
  ["an answer to what was never a request", () => new h11.Connection(h11.SERVER), "hello", 100],
  [
    "an answer to nothing after a cycle",
    () => {
      const conn = serverAfter(request("GET"));
      conn.sendWhole(response(200), latin1(""));
      conn.startNextCycle();
      return conn;
    },
    "hello",
    100,
  ],
  [
    "an answer to a request that is broken later",
    () => {
      const conn = serverAfter("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
      receive(conn, [latin1("no size\r\n")]);
      return conn;
    },
    "hello",
    100,
  ],
  [
    "an answer that declines an upgrade",
    () => {
      return serverAfter(request("GET", "1.1", "Connection: upgrade\r\nUpgrade: a"));
    },
    "hello",
    100,
  ],
  [
    "a second response",
    () => {
      const conn = serverAfter(request("GET"));
      conn.sendWhole(response(200), latin1(""));
      return conn;
    },
    "hello",
    100,
  ],
];
for (const [what, start, data, room] of DECLINED) {
  Deno.test(`Connection.sendWholeInto() leaves ${what} to sendWhole(), with nothing sent`, () => {
    const conn = start();
    const { states } = conn;
    assertEquals(conn.sendWholeInto(response(200), data, new Uint8Array(room), 0), -1);
    assertEquals(conn.states, states);
  });
}
