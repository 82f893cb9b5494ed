// What is sent for an event: framing, the end of the connection, the caller's own fields; and what
// is refused before a byte of it is made.

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import { client, latin1, receive, server, serverAfter, text } from "./log.ts";
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

/** What `conn` sends for `event`, as text. */
function sent(conn: h11.Connection, event: h11.Event): string {
  return text(conn.send(event)!);
}

// Framing of responses. `sent` is the head after its status line; `body` what is sent for "hello" and
// the end of the message, or null where a body is not allowed.

const FRAMING: [
  method: string,
  version: string,
  statusCode: number,
  given: Pairs,
  sent: string[],
  body: string | null,
][] = [
  ["GET", "1.1", 200, [], [CHUNKED_LINE], CHUNKED],
  ["GET", "1.1", 200, CL, ["Content-Length: 5"], "hello"],
  ["GET", "1.1", 200, TE, [CHUNKED_LINE], CHUNKED],
  ["GET", "1.1", 200, [...CL, ...TE], [CHUNKED_LINE], CHUNKED],
  ["GET", "1.1", 404, [], [CHUNKED_LINE], CHUNKED],
  ["POST", "1.1", 200, CL, ["Content-Length: 5"], "hello"],
  ["GET", "1.1", 204, [], [], null],
  ["GET", "1.1", 204, CL, [], null],
  ["GET", "1.1", 204, TE, [], null],
  ["GET", "1.1", 205, [], ["Content-Length: 0"], null],
  ["GET", "1.1", 205, [["content-length", "0"]], ["content-length: 0"], null],
  ["GET", "1.1", 205, TE, ["Content-Length: 0"], null],
  ["HEAD", "1.1", 205, CL, ["Content-Length: 0"], null],
  ["GET", "1.0", 205, TE, ["Content-Length: 0", CLOSE], null],
  ["GET", "1.1", 304, [], [], null],
  ["GET", "1.1", 304, CL, ["Content-Length: 5"], null],
  ["GET", "1.1", 304, TE, [CHUNKED_LINE], null],
  ["GET", "1.1", 304, [...CL, ...TE], [CHUNKED_LINE], null],
  ["HEAD", "1.1", 200, [], [CHUNKED_LINE], null],
  ["HEAD", "1.1", 200, CL, ["Content-Length: 5"], null],
  ["HEAD", "1.1", 200, TE, [CHUNKED_LINE], null],
  ["HEAD", "1.1", 200, [...CL, ...TE], [CHUNKED_LINE], null],
  ["HEAD", "1.1", 204, CL, [], null],
  ["HEAD", "1.1", 304, CL, ["Content-Length: 5"], null],
  ["CONNECT", "1.1", 403, [], [CHUNKED_LINE], CHUNKED],
  ["CONNECT", "1.1", 403, CL, ["Content-Length: 5"], "hello"],
  ["GET", "1.0", 200, [], [CLOSE], "hello"],
  ["GET", "1.0", 200, CL, ["Content-Length: 5", CLOSE], "hello"],
  ["GET", "1.0", 200, TE, [CLOSE], "hello"],
  ["GET", "1.0", 200, [...CL, ...TE], [CLOSE], "hello"],
  ["GET", "1.0", 204, [], [CLOSE], null],
  ["GET", "1.0", 304, CL, ["Content-Length: 5", CLOSE], null],
  ["GET", "1.0", 304, TE, [CLOSE], null],
  ["GET", "1.0", 304, [...CL, ...TE], [CLOSE], null],
  ["HEAD", "1.0", 200, [], [CLOSE], null],
  ["HEAD", "1.0", 200, CL, ["Content-Length: 5", CLOSE], null],
  ["HEAD", "1.0", 200, TE, [CLOSE], null],
  ["GET", "1.9", 200, [], [CHUNKED_LINE], CHUNKED],
];
for (const [method, version, statusCode, given, lines, body] of FRAMING) {
  const fields = given.length === 0
    ? "no framing"
    : given.map((pair) => pair.join(": ")).join(", ");
  Deno.test(`Connection.send() frames ${statusCode} with ${fields} to ${method} HTTP/${version}`, () => {
    const conn = serverAfter(request(method, version));
    assertEquals(
      sent(conn, response(statusCode, given)),
      [`HTTP/1.1 ${statusCode} x`, ...lines, "\r\n"].join("\r\n"),
    );
    if (body === null) {
      assertEquals(sent(conn, new h11.Data({ data: latin1("") })), "");
      assertEquals(sent(conn, new h11.EndOfMessage()), "");
    } else {
      const data = sent(conn, new h11.Data({ data: latin1("hello") }));
      assertEquals(data + sent(conn, new h11.EndOfMessage()), body);
    }
    assertEquals(conn.ourState, lines.includes(CLOSE) ? h11.MUST_CLOSE : h11.DONE);
  });
  if (body === null) {
    Deno.test(`Connection.send() refuses a body with ${statusCode} and ${fields} to ${method} HTTP/${version}`, () => {
      const conn = serverAfter(request(method, version));
      conn.send(response(statusCode, given));
      assertThrows(
        () => conn.send(new h11.Data({ data: latin1("a") })),
        h11.LocalProtocolError,
        "Cannot send 1 bytes of data: this message has no body",
      );
    });
  }
}

for (const given of [[], CL, TE]) {
  Deno.test(`Connection.send() sends 2xx to CONNECT without framing (${given.length} given)`, () => {
    const conn = serverAfter(request("CONNECT"));
    assertEquals(sent(conn, response(200, given)), "HTTP/1.1 200 x\r\n\r\n");
    assertEquals(conn.states, { CLIENT: h11.SWITCHED_PROTOCOL, SERVER: h11.SWITCHED_PROTOCOL });
  });
}

for (const statusCode of [100, 101, 103, 199]) {
  Deno.test(`Connection.send() sends ${statusCode} without framing (RFC 9110 8.6)`, () => {
    const conn = serverAfter(request("GET", "1.1", "Connection: Upgrade", "Upgrade: b"));
    const headers: Pairs = [["Upgrade", "b"], ...CL, ...TE];
    const event = new h11.InformationalResponse({ statusCode, reason: "x", headers });
    assertEquals(sent(conn, event), `HTTP/1.1 ${statusCode} x\r\nUpgrade: b\r\n\r\n`);
  });
}

Deno.test("Connection.send() closes after an answer that came before any request", () => {
  const conn = server();
  assertEquals(
    sent(conn, response(408, [["Content-Length", "0"]])),
    "HTTP/1.1 408 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  conn.send(new h11.EndOfMessage());
  assertEquals(conn.states, { CLIENT: h11.IDLE, SERVER: h11.MUST_CLOSE });
});

// Whether the connection goes on (RFC 9112 9.3). All answers have Content-Length: 0 and what is given.

const PERSISTENCE: [
  what: string,
  version: string,
  asked: string[],
  given: Pairs,
  sent: string[],
  state: h11.State,
][] = [
  ["keeps HTTP/1.1 without a word", "1.1", [], [], [], h11.DONE],
  ["keeps HTTP/1.1 that asked for it", "1.1", ["Connection: keep-alive"], [], [], h11.DONE],
  ["closes when the answer says so", "1.1", [], [["connection", "Close"]], [
    "connection: Close",
  ], h11.MUST_CLOSE],
  ["closes when the request said so", "1.1", [CLOSE], [], [CLOSE], h11.MUST_CLOSE],
  ["says close once", "1.1", [CLOSE], [["Connection", "close"]], [CLOSE], h11.MUST_CLOSE],
  [
    "closes when the request said so among other options",
    "1.1",
    ["Connection: a, , CLOSE"],
    [],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
  [
    "replaces keep-alive that cannot be",
    "1.1",
    [CLOSE],
    [["Connection", "Keep-Alive"]],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
  [
    "keeps the other options",
    "1.1",
    [CLOSE],
    [["Connection", "x"], ["X", "1"], ["Connection", "keep-alive, y"]],
    ["X: 1", "Connection: x, y, close"],
    h11.MUST_CLOSE,
  ],
  [
    "closes when the answer says both",
    "1.1",
    [],
    [["Connection", "keep-alive, close"]],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
  ["closes HTTP/1.0", "1.0", [], [], [CLOSE], h11.MUST_CLOSE],
  [
    "closes HTTP/1.0 whatever the answer says",
    "1.0",
    [],
    [["Connection", "keep-alive"]],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
  [
    "keeps HTTP/1.0 that asked for it, and says so",
    "1.0",
    ["Connection: Keep-Alive"],
    [],
    ["Connection: keep-alive"],
    h11.DONE,
  ],
  [
    "keeps HTTP/1.0 and the other options",
    "1.0",
    ["Connection: keep-alive"],
    [["Connection", "x"]],
    ["Connection: x, keep-alive"],
    h11.DONE,
  ],
  [
    "says keep-alive once",
    "1.0",
    ["Connection: keep-alive"],
    [["Connection", "keep-alive"]],
    ["Connection: keep-alive"],
    h11.DONE,
  ],
  [
    "closes HTTP/1.0 that asked for both",
    "1.0",
    ["Connection: keep-alive, close"],
    [],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
  [
    "closes HTTP/1.0 that asked to go on when the answer says so",
    "1.0",
    ["Connection: keep-alive"],
    [["Connection", "close"]],
    [CLOSE],
    h11.MUST_CLOSE,
  ],
];
for (const [what, version, asked, given, lines, state] of PERSISTENCE) {
  Deno.test(`Connection.send() ${what}`, () => {
    const conn = serverAfter(request("GET", version, ...asked));
    assertEquals(
      sent(conn, response(200, [["Content-Length", "0"], ...given])),
      ["HTTP/1.1 200 x", "Content-Length: 0", ...lines, "\r\n"].join("\r\n"),
    );
    conn.send(new h11.EndOfMessage());
    assertEquals(conn.states, { CLIENT: state, SERVER: state });
  });
}

Deno.test("Connection.send() closes after a request that was refused", () => {
  const conn = server();
  receive(conn, [latin1("GET / HTTP/1.1\r\n\r\n")]);
  assertEquals(
    sent(conn, response(400, [["Content-Length", "0"]])),
    "HTTP/1.1 400 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  assertEquals(sent(conn, new h11.EndOfMessage()), "");
  assertEquals(conn.states, { CLIENT: h11.ERROR, SERVER: h11.MUST_CLOSE });
});

Deno.test("Connection.send() answers in HTTP/1.0's framing only once a client of HTTP/1.0 spoke", () => {
  const conn = serverAfter(request("GET"));
  conn.send(response(200, [["Content-Length", "0"]]));
  conn.send(new h11.EndOfMessage());
  conn.startNextCycle();
  receive(conn, [latin1(request("GET", "1.0", "Connection: keep-alive"))]);
  assertEquals(sent(conn, response(200)), "HTTP/1.1 200 x\r\nConnection: close\r\n\r\n");
});

// Requests.

const REQUESTS: [
  what: string,
  headers: Pairs,
  head: string[],
  parts: string[],
  body: string,
][] = [
  ["a request without a body", [["Host", "a"]], ["Host: a"], [], ""],
  [
    "Host first, and the rest in its order and case",
    [["b", "1"], ["HOST", "a"], ["A", "2"], ["B", "3"]],
    ["HOST: a", "b: 1", "A: 2", "B: 3"],
    [],
    "",
  ],
  [
    "a body of its Content-Length in parts",
    [["Host", "a"], ["content-length", "5"]],
    ["Host: a", "content-length: 5"],
    ["he", "", "llo"],
    "hello",
  ],
  [
    "chunks, and no chunk for empty data",
    [["Host", "a"], ["Transfer-Encoding", "chunked"]],
    ["Host: a", CHUNKED_LINE],
    ["he", "", "0123456789abcdef"],
    "2\r\nhe\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
  ],
  [
    "bytes over 0x7F in a value",
    [["Host", "a"], ["X", "\x80\xe9\xff"]],
    [
      "Host: a",
      "X: \x80\xe9\xff",
    ],
    [],
    "",
  ],
];
for (const [what, headers, head, parts, body] of REQUESTS) {
  Deno.test(`Connection.send() sends ${what}`, () => {
    const conn = new h11.Connection(h11.CLIENT);
    assertEquals(
      sent(conn, new h11.Request({ method: "POST", target: "/b?c", headers })),
      ["POST /b?c HTTP/1.1", ...head, "\r\n"].join("\r\n"),
    );
    let all = "";
    for (const part of parts) all += sent(conn, new h11.Data({ data: latin1(part) }));
    assertEquals(all + sent(conn, new h11.EndOfMessage()), body);
    assertEquals(conn.ourState, h11.DONE);
  });
}

Deno.test("Connection.send() sends a URI whose host is Host's in any case (RFC 9112 3.2)", () => {
  for (const [target, host] of [["http://A:1?b", "a:1"], ["HTTP://[::a]/", "[::A]"]]) {
    const event = new h11.Request({ method: "GET", target, headers: { Host: host } });
    assertEquals(
      sent(new h11.Connection(h11.CLIENT), event),
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    );
  }
});

Deno.test("Connection.send() sends heads and chunks of any size, and what it gave stays", () => {
  const given: [Uint8Array, string][] = [];
  for (const size of [1, 15, 16, 24, 25, 48, 49, 255, 4000, 5000, 40_000, 1]) {
    const conn = new h11.Connection(h11.CLIENT);
    const value = "\xe9".repeat(size);
    const headers: Pairs = [["Host", "a"], ["X", value], ["Transfer-Encoding", "chunked"]];
    given.push([
      conn.send(new h11.Request({ method: "GET", target: "/", headers }))!,
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${value}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ], [
      conn.send(data("b".repeat(size)))!,
      `${size.toString(16)}\r\n${"b".repeat(size)}\r\n`,
    ], [conn.send(new h11.EndOfMessage())!, "0\r\n\r\n"]);
  }
  for (const [bytes, expected] of given) assertEquals(text(bytes), expected);
});

Deno.test("Connection.send() sends a request that a server received, with its names as they came", () => {
  const received = server();
  received.receiveData(latin1("GET /\x7e HTTP/1.1\r\nX-a: 1\r\nhost: b\r\nX-A: \xe9\r\n\r\n"));
  const event = received.nextEvent();
  assert(event instanceof h11.Request);
  assertEquals(
    sent(new h11.Connection(h11.CLIENT), event),
    "GET /~ HTTP/1.1\r\nhost: b\r\nX-a: 1\r\nX-A: \xe9\r\n\r\n",
  );
});

Deno.test("Connection.send() keeps the case and the order of a response's fields", () => {
  const conn = serverAfter(request("GET"));
  const headers: Pairs = [["b", "1"], ["A", "2"], ["CONTENT-length", "0"], ["B", "3"]];
  assertEquals(
    sent(conn, response(200, headers)),
    "HTTP/1.1 200 x\r\nb: 1\r\nA: 2\r\nCONTENT-length: 0\r\nB: 3\r\n\r\n",
  );
});

Deno.test("Connection.send() sends on what a response has of a request's fields", () => {
  const fields = "Host: my server\r\nHost: b\r\nExpect: x\r\n";
  const conn = client();
  conn.receiveData(latin1(`HTTP/1.1 204 x\r\n${fields}\r\n`));
  const received = conn.nextEvent() as h11.Response;
  for (const event of [received, response(204, received.headers)]) {
    assertEquals(sent(serverAfter(request("GET")), event), `HTTP/1.1 204 x\r\n${fields}\r\n`);
  }
});

Deno.test("Connection.send() sends an empty reason phrase and any latin-1 one", () => {
  for (const reason of ["", "Not Found", "a\tb \xe9"]) {
    const event = new h11.Response({ statusCode: 204, reason });
    assertEquals(sent(serverAfter(request("GET")), event), `HTTP/1.1 204 ${reason}\r\n\r\n`);
  }
});

Deno.test("Connection.send() sends trailers after chunks", () => {
  const conn = serverAfter(request("GET"));
  conn.send(response(200));
  const headers: Pairs = [["X-Sum", "a"], ["etag", "b"]];
  assertEquals(
    sent(conn, new h11.EndOfMessage({ headers })),
    "0\r\nX-Sum: a\r\netag: b\r\n\r\n",
  );
});

const DROPPED: [what: string, request: string, statusCode: number, given: Pairs][] = [
  ["to HEAD", request("HEAD"), 200, TE],
  ["to HEAD with Content-Length", request("HEAD"), 200, CL],
  ["with 204", request("GET"), 204, TE],
  ["with 304", request("GET"), 304, TE],
  ["to HTTP/1.0", request("GET", "1.0"), 200, TE],
  ["to HTTP/1.0 without framing", request("GET", "1.0"), 200, []],
];
for (const [what, asked, statusCode, given] of DROPPED) {
  Deno.test(`Connection.send() drops trailers of an answer ${what} (RFC 9112 7.1.2)`, () => {
    const conn = serverAfter(asked);
    conn.send(response(statusCode, given));
    assertEquals(sent(conn, new h11.EndOfMessage({ headers: { X: "a" } })), "");
  });
}

Deno.test("Connection.sendWithDataPassthrough() returns the caller's own array", () => {
  const data = latin1("hello");
  for (const headers of [CL, TE]) {
    const conn = serverAfter(request("GET"));
    conn.send(response(200, headers));
    const parts = conn.sendWithDataPassthrough(new h11.Data({ data }))!;
    assertStrictEquals(parts.find((part) => part.length === 5), data);
    assertEquals(parts.map(text).join(""), headers === CL ? "hello" : "5\r\nhello\r\n");
  }
});

Deno.test("Connection.send() returns the caller's own array where nothing goes around it", () => {
  const data = latin1("hello");
  const conn = serverAfter(request("GET"));
  conn.send(response(200, CL));
  assertStrictEquals(conn.send(new h11.Data({ data })), data);
});

Deno.test("Connection.send() returns null for ConnectionClosed", () => {
  const conn = server();
  assertEquals(conn.send(new h11.ConnectionClosed()), null);
  assertEquals(conn.sendWithDataPassthrough(new h11.ConnectionClosed()), null);
});

const RECEIVED_TRAILERS = "X: a\r\nset-COOKIE: b=c\r\nContent-Length: 5\r\nY: d\r\n";

/** The end of a response, as a client received it. */
function receivedTrailers(trailers: string): h11.EndOfMessage {
  const conn = client();
  conn.receiveData(
    latin1(`HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`),
  );
  assert(conn.nextEvent() instanceof h11.Response);
  const end = conn.nextEvent();
  assert(end instanceof h11.EndOfMessage);
  return end;
}

Deno.test("Connection.send() leaves out received trailers that must not be trailers (RFC 9110 6.5.1)", () => {
  const conn = serverAfter(request("GET"));
  conn.send(response(200));
  assertEquals(sent(conn, receivedTrailers(RECEIVED_TRAILERS)), "0\r\nX: a\r\nY: d\r\n\r\n");
});

Deno.test("A Response that is built with received trailers is framed by them", () => {
  const event = response(200, receivedTrailers(RECEIVED_TRAILERS).headers);
  const conn = serverAfter(request("GET"));
  assertEquals(
    sent(conn, event),
    `HTTP/1.1 200 x\r\n${RECEIVED_TRAILERS}\r\n`,
  );
  assertEquals(sent(conn, data("hello")), "hello");
});

// What is refused when an event is built.

const REFUSED_EVENTS: [what: string, build: () => unknown, source: string][] = [
  ...[
    ...["", "G T", "G\r\nT", "GÉT", "G\0T", "GET:", '"GET"', "GET\u0120"],
    {} as unknown as string,
  ].map((method): [string, () => unknown, string] => [
    `the method ${JSON.stringify(method)}`,
    () => new h11.Request({ method, target: "/", headers: { Host: "a" } }),
    "RFC 9110 9.1",
  ]),
  ...[
    ...[
      "",
      "a",
      "/a b",
      "/a\r\nb",
      "/\0",
      "/#a",
      "/é",
      "/\u0120",
      "*",
      "a:80",
      "http://",
      "http://u@a/",
    ],
  ].map((target): [string, () => unknown, string] => [
    `the target ${JSON.stringify(target)}`,
    () => new h11.Request({ method: "GET", target, headers: { Host: "a" } }),
    "RFC 9112 3.2",
  ]),
  ...["/", "a", "*", "http://a/"].map((target): [string, () => unknown, string] => [
    `CONNECT to ${JSON.stringify(target)}`,
    () => new h11.Request({ method: "CONNECT", target, headers: { Host: "a" } }),
    "RFC 9112 3.2.3",
  ]),
  ...["", "1", "11", "1.10", "1,1", "HTTP/1.1", "1.1\r\n"].map((
    httpVersion,
  ): [string, () => unknown, string] => [
    `the version ${JSON.stringify(httpVersion)}`,
    () => new h11.Request({ method: "GET", target: "/", headers: { Host: "a" }, httpVersion }),
    "RFC 9112 2.3",
  ]),
  [
    "a request without Host",
    () => new h11.Request({ method: "GET", target: "/", headers: [] }),
    "RFC 9112 3.2",
  ],
  ...([
    [["Host", ""]],
    [["host", "a/b"]],
    [["Host", "a"], ["host", "a"]],
  ] as Pairs[]).map((headers): [string, () => unknown, string] => [
    `a request's ${JSON.stringify(headers)}`,
    () => new h11.Request({ method: "GET", target: "/", headers }),
    "RFC 9112 3.2",
  ]),
  [
    "an unknown expectation of a request",
    () => new h11.Request({ method: "GET", target: "/", headers: { Host: "a", Expect: "200-ok" } }),
    "RFC 9110 10.1.1",
  ],
  [
    "a request with both framings",
    () => new h11.Request({ method: "GET", target: "/", headers: [["Host", "a"], ...CL, ...TE] }),
    "RFC 9112 6.1",
  ],
  [
    "half a percent-encoding in Host",
    () => new h11.Request({ method: "GET", target: "/", headers: { Host: "a%4" } }),
    "RFC 3986 2.1",
  ],
  ...[0, 99, 100, 199, 1000, 200.5, NaN, Infinity, -200, "200" as unknown as number].map((
    statusCode,
  ): [string, () => unknown, string] => [
    `a Response of status ${JSON.stringify(statusCode)} (${statusCode})`,
    () => new h11.Response({ statusCode }),
    "RFC 9110 15",
  ]),
  ...[0, 99, 200, 100.5, NaN].map((statusCode): [string, () => unknown, string] => [
    `an InformationalResponse of status ${statusCode}`,
    () => new h11.InformationalResponse({ statusCode }),
    "RFC 9110 15.2",
  ]),
  ...["a\r\nX: b", "a\nb", "a\rb", "a\0b", "a\x7f", "\u20ac", {} as unknown as string].map((
    reason,
  ): [string, () => unknown, string] => [
    `the reason phrase ${JSON.stringify(reason)}`,
    () => new h11.Response({ statusCode: 200, reason }),
    "RFC 9112 4",
  ]),
  ...[
    ...["Content-Length", "transfer-encoding", "HOST", "Set-Cookie", "Authorization", "TE"],
  ].map((name): [string, () => unknown, string] => [
    `the trailer ${name}`,
    () => new h11.EndOfMessage({ headers: [[name, name === "HOST" ? "a" : "chunked"]] }),
    "RFC 9110 6.5.1",
  ]),
  ["data that is text", () => new h11.Data({ data: "hello" as unknown as Uint8Array }), "DataInit"],
];
for (const [what, build, source] of REFUSED_EVENTS) {
  Deno.test(`An event cannot be built with ${what} (${source})`, () => {
    assertThrows(build, h11.LocalProtocolError, "Cannot ");
  });
}

// What is refused when an event is sent: nothing of it is sent, and our state is ERROR for good.

const REFUSED_SENDS: [
  what: string,
  conn: () => h11.Connection,
  event: h11.Event,
  message: string,
][] = [
  [
    "a request of HTTP/1.0",
    () => new h11.Connection(h11.CLIENT),
    new h11.Request({ method: "GET", target: "/", headers: { Host: "a" }, httpVersion: "1.0" }),
    'expected "1.1"',
  ],
  [
    "a response of HTTP/1.0",
    () => serverAfter(request("GET")),
    new h11.Response({ statusCode: 200, httpVersion: "1.0" }),
    'expected "1.1"',
  ],
  [
    "100 of HTTP/1.0",
    () => serverAfter(request("GET")),
    new h11.InformationalResponse({ statusCode: 100, httpVersion: "1.0" }),
    'expected "1.1"',
  ],
  [
    "100 to a client of HTTP/1.0",
    () => serverAfter(request("GET", "1.0")),
    new h11.InformationalResponse({ statusCode: 100 }),
    "RFC 9110 15.2",
  ],
  [
    "101 that was not asked for",
    () => serverAfter(request("GET")),
    new h11.InformationalResponse({ statusCode: 101 }),
    "did not request it",
  ],
  ...([
    ["101 without Upgrade", [], [], "Cannot send 101 without Upgrade"],
    ["101 with an empty Upgrade", [], [["Upgrade", ","]], "Cannot send 101 without Upgrade"],
    [
      "101 to what the client did not offer",
      [],
      [["Upgrade", "d"]],
      'Cannot switch to "d": the client offered "b/1, c"',
    ],
    [
      "101 before 100",
      ["Expect: 100-continue", "Content-Length: 5"],
      [["Upgrade", "c"]],
      "send 100 first",
    ],
  ] as [string, string[], Pairs, string][]).map((
    [what, asked, headers, message],
  ): typeof REFUSED_SENDS[number] => [
    what,
    () =>
      serverAfter(
        request("GET", "1.1", "Connection: Upgrade", "Upgrade: B/1", "Upgrade: c", ...asked),
      ),
    new h11.InformationalResponse({ statusCode: 101, headers }),
    message,
  ]),
  [
    "100 before a request",
    () => server(),
    new h11.InformationalResponse({ statusCode: 100 }),
    "IDLE",
  ],
  ["data before a head", () => serverAfter(request("GET")), data("a"), "SEND_RESPONSE"],
  [
    "the end before a head",
    () => serverAfter(request("GET")),
    new h11.EndOfMessage(),
    "SEND_RESPONSE",
  ],
  ["a response as client", () => new h11.Connection(h11.CLIENT), response(200), "CLIENT"],
  [
    "a request as server",
    () => server(),
    new h11.Request({ method: "GET", target: "/", headers: { Host: "a" } }),
    "SERVER",
  ],
  [
    "a request as server, whatever was received",
    () => {
      const conn = server();
      conn.receiveData(latin1("GE"));
      return conn;
    },
    new h11.Request({ method: "GET", target: "/", headers: { Host: "a" } }),
    "Cannot send Request as SERVER in state IDLE",
  ],
  ...([
    ["a URI of another host", "GET", "http://b/", [], "RFC 9112 3.2"],
    ["a URI with another port", "GET", "http://a:80?b", [], "RFC 9112 3.2"],
    ["a TRACE with content", "TRACE", "/", CL, "RFC 9110 9.3.8"],
    ["a TRACE with chunks", "TRACE", "/", TE, "RFC 9110 9.3.8"],
    ["an expectation without content", "GET", "/", [["Expect", "100-continue"]], "RFC 9110 10.1.1"],
    [
      "an expectation with a length of 0",
      "POST",
      "/",
      [["Expect", "100-continue"], ["Content-Length", "0"]],
      "RFC 9110 10.1.1",
    ],
  ] as [string, string, string, Pairs, string][]).map((
    [what, method, target, headers, message],
  ): typeof REFUSED_SENDS[number] => [
    what,
    () => new h11.Connection(h11.CLIENT),
    new h11.Request({ method, target, headers: [["Host", "a"], ...headers] }),
    message,
  ]),
  [
    "a second request in one cycle",
    () => client(),
    new h11.Request({ method: "GET", target: "/", headers: { Host: "a" } }),
    "DONE",
  ],
  ["data after the end", () => client(), data("a"), "DONE"],
  ["a second response in one cycle", () => answering(CL), response(200), "SEND_BODY"],
  ["closing inside a body", () => answering(CL), new h11.ConnectionClosed(), "SEND_BODY"],
  [
    "closing before an answer",
    () => serverAfter(request("GET")),
    new h11.ConnectionClosed(),
    "SEND_RESPONSE",
  ],
  [
    "more than the Content-Length",
    () => answering(CL),
    data("hello!"),
    "Content-Length allows only 5",
  ],
  [
    "data after a request without a length",
    () => {
      const conn = new h11.Connection(h11.CLIENT);
      conn.send(new h11.Request({ method: "POST", target: "/", headers: { Host: "a" } }));
      return conn;
    },
    data("hi"),
    "this message has no body",
  ],
  ["the end before the Content-Length", () => answering(CL), new h11.EndOfMessage(), "5 bytes"],
  [
    "trailers after a Content-Length",
    () => answering([["Content-Length", "0"]]),
    new h11.EndOfMessage({ headers: { X: "a" } }),
    "they require Transfer-Encoding: chunked",
  ],
  [
    "what is no event",
    () => server(),
    { type: "Nothing" } as unknown as h11.Event,
    "Cannot send Nothing: expected an event",
  ],
  ...[undefined, null, "Data", 5, {}].map((value): typeof REFUSED_SENDS[number] => [
    `${JSON.stringify(value)} in place of an event`,
    () => server(),
    value as unknown as h11.Event,
    ": expected an event created with its constructor",
  ]),
  // What only looks like an event was never checked: this one would split the head.
  ...[
    { ...new h11.InformationalResponse({ statusCode: 103 }), reason: "x\r\nSet-Cookie: a=b" },
    { ...response(200), reason: "x\r\nSet-Cookie: a=b" },
    { type: "Request", method: "GET", target: "/ HTTP/1.1\r\nX: ", httpVersion: "1.1" },
    { ...data("a") },
    { type: "EndOfMessage", headers: new h11.Headers({ "Set-Cookie": "a=b" }) },
    { type: "ConnectionClosed" },
  ].map((event): typeof REFUSED_SENDS[number] => [
    `an object that looks like ${event.type}`,
    () => event.type === "Request" ? new h11.Connection(h11.CLIENT) : serverAfter(request("GET")),
    event as unknown as h11.Event,
    `Cannot send ${event.type}: expected an event created with its constructor`,
  ]),
];

function data(text: string): h11.Data {
  return new h11.Data({ data: latin1(text) });
}
/** A server that has sent the head of its answer. */
function answering(headers: Pairs, version = "1.1"): h11.Connection {
  const conn = serverAfter(request("GET", version));
  conn.send(response(200, headers));
  return conn;
}

Deno.test("Connection.send() takes no object that only looks like an event, nor does its type", () => {
  const early = new h11.InformationalResponse({ statusCode: 103 });
  const conn = server();
  // @ts-expect-error spread objects are not checked
  assertThrows(() => conn.send({ ...early, reason: "x" }));
  // @ts-expect-error nor are literals
  assertThrows(() => conn.send({ type: "EndOfMessage", headers: new h11.Headers() }));
  // @ts-expect-error nor are literals
  assertThrows(() => conn.send({ type: "ConnectionClosed" }));
  // @ts-expect-error nor is data
  assertThrows(() => conn.send({ ...data("a") }));
});

for (const [what, start, event, message] of REFUSED_SENDS) {
  Deno.test(`Connection.send() refuses ${what} and stays in ERROR`, () => {
    const conn = start();
    assertThrows(() => conn.send(event), h11.LocalProtocolError, message);
    assertEquals(conn.ourState, h11.ERROR);
    for (const next of [event, new h11.ConnectionClosed()]) {
      assertThrows(() => conn.send(next), h11.LocalProtocolError, "an earlier send failed");
    }
  });
}
