// What a client takes and what it refuses (RFC 9110, RFC 9112): a user agent forgives more than a
// server does, but never takes a part of a response for the whole. Limits are in limits_test.ts.

import { assertEquals, assertMatch } from "@std/assert";
import { arrivals, client, END, latin1, receive } from "./log.ts";

/** A response without a body. */
function empty(...lines: string[]): string {
  return ["HTTP/1.1 200 OK", "Content-Length: 0", ...lines, "\r\n"].join("\r\n");
}
/** The same with another status line. */
function status(statusLine: string): string {
  return `${statusLine}\r\nContent-Length: 0\r\n\r\n`;
}
/** A response with a body that needs more than fields to be framed. */
function body(...lines: string[]): string {
  return ["HTTP/1.1 200 OK", ...lines].join("\r\n");
}
/** A response with a body of chunks. */
function chunked(body: string): string {
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}
const EMPTY_HEAD = "HTTP/1.1 200 OK\nContent-Length: 0";
const CHUNKED_HEAD = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked";

const REFUSED: [what: string, message: string, status: number, source: string][] = [
  ["CRLF before the status line", "\r\n" + empty(), 400, "RFC 9112 4"],
  ["a space before the status line", " " + empty(), 400, "RFC 9112 4"],
  ["http in lower case", status("http/1.1 200 OK"), 400, "RFC 9112 2.3"],
  ["another protocol's name", status("ICY 200 OK"), 400, "RFC 9112 2.3"],
  ["a version of three digits", status("HTTP/1.10 200 OK"), 400, "RFC 9112 2.3"],
  ["a version without a minor digit", status("HTTP/1 200 OK"), 400, "RFC 9112 2.3"],
  ["HTTP/2.0", status("HTTP/2.0 200 OK"), 505, "RFC 9110 2.5"],
  ["HTTP/0.9 by name", status("HTTP/0.9 200 OK"), 505, "RFC 9110 2.5"],
  ["two spaces before the status code", status("HTTP/1.1  200 OK"), 400, "RFC 9112 4"],
  ["HTAB before the status code", status("HTTP/1.1\t200 OK"), 400, "RFC 9112 4"],
  ["no status code", status("HTTP/1.1 OK"), 400, "RFC 9112 4"],
  ["a status code of two digits", status("HTTP/1.1 20 OK"), 400, "RFC 9112 4"],
  ["a status code of four digits", status("HTTP/1.1 2000 OK"), 400, "RFC 9112 4"],
  ["a status code with a letter", status("HTTP/1.1 2OO OK"), 400, "RFC 9112 4"],
  ["a status code under 100", status("HTTP/1.1 099 OK"), 400, "RFC 9110 15"],
  ["a control character in the reason phrase", status("HTTP/1.1 200 O\x01K"), 400, "RFC 9112 4"],
  ["NUL in the reason phrase", status("HTTP/1.1 200 O\0K"), 400, "RFC 9112 4"],
  ["a bare CR in the reason phrase", status("HTTP/1.1 200 O\rK"), 400, "RFC 9112 2.2"],
  // What is not HTTP is refused before a head could end.
  ["a TLS alert", "\x15\x03\x01\x00\x02\x02F", 400, "RFC 9112 4"],
  ["a greeting of SSH", "SSH-2.0-x\r\n", 400, "RFC 9112 4"],
  ["HTTP/2 by a name without its minor digit", "HTTP/2 200 OK\r\n", 400, "RFC 9112 2.3"],
  ["a status line that is none, at its bare LF", "HTTP/1.1 2OO OK\n", 400, "RFC 9112 4"],

  ["a space before the colon", empty("X : a"), 400, "RFC 9112 5.1"],
  ["an empty name", empty(": a"), 400, "RFC 9110 5.1"],
  ["a name that is no token", empty("X(Y): a"), 400, "RFC 9110 5.1"],
  ["a line without a colon", empty("X"), 400, "RFC 9112 5"],
  ["a bare CR in a value", empty("X: a\rb"), 400, "RFC 9112 2.2"],
  ["CR CR LF after a value", empty("X: a\r"), 400, "RFC 9112 2.2"],
  ["NUL in a value", empty("X: a\0b"), 400, "RFC 9110 5.5"],
  ["a control character in a value", empty("X: \x1b[31m"), 400, "RFC 9110 5.5"],
  ["DEL in a value", empty("X: a\x7f"), 400, "RFC 9110 5.5"],
  ["a control character in a folded line", empty("X: a", " \x01"), 400, "RFC 9110 5.5"],
  ["a fold before the first field", "HTTP/1.1 200 OK\r\n X: a\r\n\r\n", 400, "RFC 9112 2.2"],

  ["a Content-Length with a sign", body("Content-Length: +5\r\n\r\nhello"), 400, "RFC 9110 8.6"],
  ["an empty Content-Length", body("Content-Length: \r\n\r\n"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a space", body("Content-Length: 1 2\r\n\r\n"), 400, "RFC 9110 8.6"],
  [
    "a Content-Length of 2^53",
    body("Content-Length: 9007199254740992\r\n\r\n"),
    400,
    "RFC 9110 8.6",
  ],
  [
    "different Content-Lengths in a list",
    body("Content-Length: 5, 6\r\n\r\n"),
    400,
    "RFC 9112 6.3",
  ],
  [
    "a Content-Length with an empty member",
    body("Content-Length: 5,\r\n\r\n"),
    400,
    "RFC 9110 8.6",
  ],
  ["two different Content-Lengths", empty("Content-Length: 5"), 400, "RFC 9112 6.3"],
  [
    "a transfer coding that nobody knows",
    body("Transfer-Encoding: br\r\n\r\n"),
    501,
    "RFC 9112 6.1",
  ],
  ["gzip before chunked", body("Transfer-Encoding: gzip, chunked\r\n\r\n"), 501, "RFC 9112 6.1"],
  [
    "gzip after chunked",
    body("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"),
    400,
    "RFC 9112 6.1",
  ],
  [
    "chunked twice",
    body("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    400,
    "RFC 9112 6.1",
  ],

  [
    "a broken Content-Length with Transfer-Encoding",
    body("Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n"),
    400,
    "RFC 9112 6.3",
  ],

  ["101 that was not asked for", "HTTP/1.1 101 x\r\nUpgrade: a\r\n\r\n", 400, "RFC 9110 15.2.2"],
  ["bytes after a response that closes", empty("Connection: close") + "x", 400, "RFC 9112 9.6"],
];
for (const [what, message, status, source] of REFUSED) {
  Deno.test(`CLIENT refuses ${what} with ${status} (${source})`, () => {
    const whole = receive(client(), [latin1(message)]).lines;
    for (const parts of arrivals(latin1(message))) {
      const { lines, error } = receive(client(), parts);
      assertEquals(lines, whole);
      assertEquals(lines.at(-1), `refused ${status}`);
      assertMatch(error!.message, /^Cannot [^]*[^.]$/);
    }
  });
}

Deno.test("CLIENT tells what is wrong with a status line that the peer's closing cuts short", () => {
  for (const parts of arrivals(latin1("HTTP/1.1 2O"))) {
    assertMatch(receive(client(), [...parts, END]).error!.message, /^Cannot read status line/);
  }
});

Deno.test("CLIENT refuses broken framing fields with 4xx to CONNECT, which has a body (RFC 9112 6.3)", () => {
  const message = latin1("HTTP/1.1 403 x\r\nTransfer-Encoding: gzip\r\n\r\n");
  assertEquals(receive(client("CONNECT"), [message]).lines, ["refused 501"]);
});

const REFUSED_CHUNKS: [what: string, body: string, source: string][] = [
  ["an empty chunk size", "\r\n", "RFC 9112 7.1"],
  ["a chunk size that is no number", "xyz\r\n", "RFC 9112 7.1"],
  ["a chunk size with 0x", "0x5\r\n", "RFC 9112 7.1"],
  ["a space before a chunk size", " 5\r\n", "RFC 9112 7.1"],
  ["a chunk size of 17 digits", "0".repeat(16) + "5\r\n", "RFC 9112 7.1"],
  ["a chunk size of 2^53", "20000000000000\r\n", "RFC 9112 7.1"],
  ["a bare LF after a chunk size", "5\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"],
  ["a control character in an extension", "5;a\x01\r\n", "RFC 9112 7.1.1"],
  ["a bare CR in an extension", "5;a\rb\r\n", "RFC 9112 2.2"],
  ["an extension after white space alone", "5 a\r\n", "RFC 9112 7.1.1"],
  ["no CRLF after a chunk", "5\r\nhello0\r\n\r\n", "RFC 9112 7.1"],
  ["a bare LF after a chunk", "5\r\nhello\n0\r\n\r\n", "RFC 9112 7.1"],
  ["a trailer without a colon", "0\r\nX\r\n\r\n", "RFC 9112 7.1.2"],
  ["a fold before the first trailer", "0\r\n X: a\r\n\r\n", "RFC 9112 5.2"],
];
for (const [what, body, source] of REFUSED_CHUNKS) {
  Deno.test(`CLIENT refuses ${what} (${source})`, () => {
    const whole = receive(client(), [latin1(chunked(body))]).lines;
    for (const parts of arrivals(latin1(chunked(body)))) {
      assertEquals(receive(client(), parts).lines, whole);
      assertEquals(whole.at(-1), "refused 400");
    }
  });
}

const TRUNCATED: [what: string, message: string, events: string[]][] = [
  ["a response before its first byte", "", ["refused 400"]],
  ["a status line", "HTTP/1.1 200", ["refused 400"]],
  ["a head", "HTTP/1.1 200 OK\r\nX: a\r\n", ["refused 400"]],
  [
    "a body with Content-Length",
    body("Content-Length: 5\r\n\r\nhell"),
    ["HTTP/1.1 200 OK\nContent-Length: 5", "data hell", "refused 400"],
  ],
  [
    "a body with Content-Length before its first byte",
    body("Content-Length: 5\r\n\r\n"),
    ["HTTP/1.1 200 OK\nContent-Length: 5", "refused 400"],
  ],
  ["a chunk size", chunked("5"), [CHUNKED_HEAD, "refused 400"]],
  ["a chunk", chunked("5\r\nhell"), [CHUNKED_HEAD, "data [hell", "refused 400"]],
  ["a chunk before its CRLF", chunked("5\r\nhello"), [CHUNKED_HEAD, "data [hello]", "refused 400"]],
  [
    "a body before its last chunk",
    chunked("5\r\nhello\r\n"),
    [CHUNKED_HEAD, "data [hello]", "refused 400"],
  ],
  ["the last chunk", chunked("0\r\n"), [CHUNKED_HEAD, "refused 400"]],
  ["the trailers", chunked("0\r\nX: a\r\n"), [CHUNKED_HEAD, "refused 400"]],
];
for (const [what, message, events] of TRUNCATED) {
  Deno.test(`CLIENT refuses ${what} that the peer's closing cuts short (RFC 9112 8)`, () => {
    for (const parts of arrivals(latin1(message))) {
      assertEquals(receive(client(), [...parts, END]).lines, events);
    }
  });
}

// Each of these is followed by the end of the stream.
const ACCEPTED: [what: string, method: string, message: string, events: string[]][] = [
  ["a response", "GET", empty(), [EMPTY_HEAD, "end", "closed"]],
  ["an empty reason phrase", "GET", status("HTTP/1.1 200 "), [
    "HTTP/1.1 200 \nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["a status line that ends with the status code", "GET", status("HTTP/1.1 200"), [
    "HTTP/1.1 200 \nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["a reason phrase with HTAB and bytes over 0x7F", "GET", status("HTTP/1.1 200 a\tb \xe9"), [
    "HTTP/1.1 200 a\tb \xe9\nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["UTF-8 in the reason phrase, a code unit a byte", "GET", status("HTTP/1.1 200 \xc3\xa9"), [
    "HTTP/1.1 200 \xc3\xa9\nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["any status code from 200 to 999", "GET", status("HTTP/1.1 999 x"), [
    "HTTP/1.1 999 x\nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["HTTP/1.0", "GET", status("HTTP/1.0 200 OK"), [
    "HTTP/1.0 200 OK\nContent-Length: 0",
    "end",
    "closed",
  ]],
  [
    "several 1xx before the response",
    "GET",
    [
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
      "HTTP/1.1 199 x\r\n\r\n",
      empty(),
    ].join(""),
    [
      "HTTP/1.1 100 Continue",
      "HTTP/1.1 103 Early Hints\nLink: </a>",
      "HTTP/1.1 199 x",
      EMPTY_HEAD,
      "end",
      "closed",
    ],
  ],

  ["a bare LF after each line", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", [
    "HTTP/1.1 200 OK\nContent-Length: 2",
    "data hi",
    "end",
    "closed",
  ]],
  ["a bare LF after one line", "GET", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", [
    "HTTP/1.1 200 OK\nX: a\nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["a bare LF as the empty line", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", [
    EMPTY_HEAD,
    "end",
    "closed",
  ]],
  ["a folded line, as if by SP", "GET", empty("X: a", " b", "\t \tc"), [
    EMPTY_HEAD + "\nX: a b c",
    "end",
    "closed",
  ]],
  ["a folded line after an empty value", "GET", empty("X:", " a"), [
    EMPTY_HEAD + "\nX: a",
    "end",
    "closed",
  ]],
  ["a folded line without text", "GET", empty("X: a", " "), [
    EMPTY_HEAD + "\nX: a",
    "end",
    "closed",
  ]],
  ["a folded Content-Length", "GET", body("Content-Length:", " 2\r\n\r\nhi"), [
    "HTTP/1.1 200 OK\nContent-Length: 2",
    "data hi",
    "end",
    "closed",
  ]],
  ["a folded line with bare LFs", "GET", "HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n", [
    "HTTP/1.1 200 OK\nX: a b\nContent-Length: 0",
    "end",
    "closed",
  ]],
  ["bytes over 0x7F in a value", "GET", empty("X: \x80\xff"), [
    EMPTY_HEAD + "\nX: \x80\xff",
    "end",
    "closed",
  ]],
  ["fields of a request that mean nothing here", "GET", empty("Host: ?", "Expect: x", "Host: ?"), [
    EMPTY_HEAD + "\nHost: ?\nExpect: x\nHost: ?",
    "end",
    "closed",
  ]],

  ["no body after HEAD, whatever the fields say", "HEAD", body("Content-Length: 5\r\n\r\n"), [
    "HTTP/1.1 200 OK\nContent-Length: 5",
    "end",
    "closed",
  ]],
  ["no body after HEAD with chunked", "HEAD", chunked(""), [CHUNKED_HEAD, "end", "closed"]],
  ["no body after HEAD without either", "HEAD", body("X: a\r\n\r\n"), [
    "HTTP/1.1 200 OK\nX: a",
    "end",
    "closed",
  ]],
  ["no body with 204", "GET", "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", [
    "HTTP/1.1 204 x\nContent-Length: 5",
    "end",
    "closed",
  ]],
  ["no body with 304", "GET", "HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", [
    "HTTP/1.1 304 x\nTransfer-Encoding: chunked",
    "end",
    "closed",
  ]],
  // Fields that frame a body are broken where there is none (RFC 9112 6.3 rules 1 and 2).
  ...[
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked\nTransfer-Encoding: gzip",
    "Content-Length: x",
    "Content-Length: 5, 6",
    "Content-Length: 5\nContent-Length: 6",
  ].flatMap((fields): typeof ACCEPTED => {
    const head = (status: string): string =>
      `HTTP/1.1 ${status} x\r\n${fields.replace("\n", "\r\n")}\r\n\r\n`;
    const what = JSON.stringify(fields);
    return [
      [`${what} after HEAD`, "HEAD", head("200"), [`HTTP/1.1 200 x\n${fields}`, "end", "closed"]],
      [`${what} with 204`, "GET", head("204"), [`HTTP/1.1 204 x\n${fields}`, "end", "closed"]],
      [`${what} with 304`, "GET", head("304"), [`HTTP/1.1 304 x\n${fields}`, "end", "closed"]],
      [`${what} with 2xx to CONNECT`, "CONNECT", head("299"), [
        `HTTP/1.1 299 x\n${fields}`,
        "PAUSED",
      ]],
      [`${what} with 1xx`, "GET", head("103") + empty(), [
        `HTTP/1.1 103 x\n${fields}`,
        EMPTY_HEAD,
        "end",
        "closed",
      ]],
    ];
  }),
  ["a body with 4xx to CONNECT", "CONNECT", "HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno", [
    "HTTP/1.1 403 x\nContent-Length: 2",
    "data no",
    "end",
    "closed",
  ]],
  ["a body that the end of the stream ends", "GET", body("X: a\r\n\r\nhello"), [
    "HTTP/1.1 200 OK\nX: a",
    "data hello",
    "end",
    "closed",
  ]],
  ["an empty body that the end of the stream ends", "GET", body("X: a\r\n\r\n"), [
    "HTTP/1.1 200 OK\nX: a",
    "end",
    "closed",
  ]],
  ["a list of equal Content-Lengths as one", "GET", body("Content-Length: 2 , 2,2\r\n\r\nhi"), [
    "HTTP/1.1 200 OK\nContent-Length: 2",
    "data hi",
    "end",
    "closed",
  ]],
  [
    "equal Content-Lengths as one",
    "GET",
    body("Content-Length: 2\r\ncontent-length: 2\r\n\r\nhi"),
    [
      "HTTP/1.1 200 OK\nContent-Length: 2",
      "data hi",
      "end",
      "closed",
    ],
  ],
  [
    "Transfer-Encoding over Content-Length",
    "GET",
    body("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    [
      "HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked",
      "data [hi]",
      "end",
      "closed",
    ],
  ],
  [
    "Transfer-Encoding in HTTP/1.0",
    "GET",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ["HTTP/1.0 200 OK\nTransfer-Encoding: chunked", "data [hi]", "end", "closed"],
  ],
  ["white space after a chunk size", "GET", chunked("2 \t\r\nhi\r\n0 \r\n\r\n"), [
    CHUNKED_HEAD,
    "data [hi]",
    "end",
    "closed",
  ]],
  ["any text as a chunk extension", "GET", chunked("2; a = (\xe9) \r\nhi\r\n0;;=\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [hi]",
    "end",
    "closed",
  ]],
  ["trailers, whatever they are called", "GET", chunked("0\r\nX: a\r\nContent-Length: ?\r\n\r\n"), [
    CHUNKED_HEAD,
    "end\nX: a\nContent-Length: ?",
    "closed",
  ]],
  ["a folded trailer", "GET", chunked("0\r\nX: a\r\n b\r\n c\r\nY: d\r\n e\r\n\r\n"), [
    CHUNKED_HEAD,
    "end\nX: a b c\nY: d e",
    "closed",
  ]],
  ["trailers with bare LFs", "GET", chunked("0\r\nX: a\nY: b\n\n"), [
    CHUNKED_HEAD,
    "end\nX: a\nY: b",
    "closed",
  ]],
];
for (const [what, method, message, events] of ACCEPTED) {
  Deno.test(`CLIENT takes ${what}`, () => {
    for (const parts of arrivals(latin1(message))) {
      assertEquals(receive(client(method), [...parts, END]).lines, events);
    }
  });
}
