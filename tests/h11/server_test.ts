// What a server refuses, and what it takes that stands next to it (RFC 9110, RFC 9112, RFC 3986).
// Limits are in limits_test.ts.

import { assertEquals, assertMatch } from "@std/assert";
import { arrivals, END, latin1, receive, server } from "./log.ts";

/** A request line and its fields, after a Host. */
function get(...lines: string[]): string {
  return ["GET / HTTP/1.1", "Host: a", ...lines, "\r\n"].join("\r\n");
}
/** The same with another request line. */
function line(requestLine: string): string {
  return `${requestLine}\r\nHost: a\r\n\r\n`;
}
/** A request with this and no other Host. */
function host(value: string): string {
  return `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;
}
/** A request with a body of chunks. */
function chunked(body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

type Refused = [what: string, message: string, status: number, source: string];

const LINE_ENDS: Refused[] = [
  ["a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "RFC 9112 2.2"],
  ["a bare LF after a field line", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "RFC 9112 2.2"],
  ["a bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "RFC 9112 2.2"],
  ["bare LFs only", "GET / HTTP/1.1\nHost: a\n\n", 400, "RFC 9112 2.2"],
  ["a bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "RFC 9112 2.2"],
  ["a bare CR in a value", get("X: a\rb"), 400, "RFC 9112 2.2"],
  ["a bare CR that looks like a line's end", get("X: a\rY: b"), 400, "RFC 9112 2.2"],
  ["CR CR LF after a value", get("X: a\r"), 400, "RFC 9112 2.2"],
  ["CR CR LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400, "RFC 9112 2.2"],
  ["a bare LF before the request line", "\n" + get(), 400, "RFC 9112 2.2"],
  ["a bare CR before the request line", "\r" + get(), 400, "RFC 9112 2.2"],
  ["two CRLFs before the request line", "\r\n\r\n" + get(), 400, "RFC 9112 2.2"],
];

const REQUEST_LINES: Refused[] = [
  ["a space before the method", line(" GET / HTTP/1.1"), 400, "RFC 9112 3"],
  ["two spaces before the target", line("GET  / HTTP/1.1"), 400, "RFC 9112 3"],
  ["two spaces before the version", line("GET /  HTTP/1.1"), 400, "RFC 9112 3"],
  ["HTAB in place of a space", line("GET\t/ HTTP/1.1"), 400, "RFC 9112 3"],
  ["a space after the version", line("GET / HTTP/1.1 "), 400, "RFC 9112 3"],
  ["a method alone", line("GET"), 400, "RFC 9112 3"],
  ["no target", line("GET HTTP/1.1"), 400, "RFC 9112 3"],
  ["no version, as HTTP/0.9", line("GET /"), 400, "RFC 9112 3"],
  ["an empty method", line("/ HTTP/1.1"), 400, "RFC 9110 9.1"],
  ["a method that is no token", line("G(T / HTTP/1.1"), 400, "RFC 9110 9.1"],
  ["a method with a byte over 0x7E", line("G\xcbT / HTTP/1.1"), 400, "RFC 9110 9.1"],
  ["a method of 65 bytes", line("M".repeat(65) + " / HTTP/1.1"), 501, "RFC 9112 3"],
  ["a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "RFC 9112 3"],

  ["a space in the target", line("GET /a b HTTP/1.1"), 400, "RFC 9112 3.2"],
  ["HTAB after the target", line("GET /\tHTTP/1.1"), 400, "RFC 9112 3"],
  ["a fragment in the target", line("GET /#a HTTP/1.1"), 400, "RFC 9112 3.2"],
  ["NUL in the target", line("GET /\0 HTTP/1.1"), 400, "RFC 9112 3.2"],
  ["DEL in the target", line("GET /\x7f HTTP/1.1"), 400, "RFC 9112 3.2"],
  ["a byte over 0x7F in the target", line("GET /\xe9 HTTP/1.1"), 400, "RFC 9112 3.2"],
  ["a path without its slash", line("GET a/b HTTP/1.1"), 400, "RFC 9112 3.2.1"],
  ["an asterisk with GET", line("GET * HTTP/1.1"), 400, "RFC 9112 3.2.4"],
  ["two asterisks", line("OPTIONS ** HTTP/1.1"), 400, "RFC 9112 3.2.4"],
  ["an authority with GET", line("GET a:80 HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["a path with CONNECT", line("CONNECT / HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["an asterisk with CONNECT", line("CONNECT * HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["a URI with CONNECT", line("CONNECT http://a:80/ HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["CONNECT without a port", line("CONNECT a HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["CONNECT with an empty port", line("CONNECT a: HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["CONNECT with an empty host", line("CONNECT :80 HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["CONNECT to a port over 65535", line("CONNECT a:65536 HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["CONNECT with userinfo", line("CONNECT u@a:80 HTTP/1.1"), 400, "RFC 9112 3.2.3"],
  ["OPTIONS of one letter", line("OPTIONS a HTTP/1.1"), 400, "RFC 9112 3.2.4"],
  ["a URI without a host", line("GET http:///b HTTP/1.1"), 400, "RFC 9110 4.2.1"],
  ["a URI with one slash", line("GET http:/b HTTP/1.1"), 400, "RFC 9112 3.2.2"],
  ["a URI with userinfo", line("GET http://u@a/ HTTP/1.1"), 400, "RFC 9110 4.2.4"],
  ["a URI with a port that is none", line("GET http://a:b/ HTTP/1.1"), 400, "RFC 9112 3.2.2"],
  ["a URI whose scheme begins with a digit", line("GET 1a://b/ HTTP/1.1"), 400, "RFC 3986 3.1"],

  ["http in lower case", line("GET / http/1.1"), 400, "RFC 9112 2.3"],
  ["another protocol's name", line("GET / HTTPS/1.1"), 400, "RFC 9112 2.3"],
  ["a version without a dot", line("GET / HTTP/11"), 400, "RFC 9112 2.3"],
  ["a version without a minor digit", line("GET / HTTP/1."), 400, "RFC 9112 2.3"],
  ["a minor version of two digits", line("GET / HTTP/1.10"), 400, "RFC 9112 2.3"],
  ["a major version of two digits", line("GET / HTTP/01.1"), 400, "RFC 9112 2.3"],
  ["a version with a letter", line("GET / HTTP/1.x"), 400, "RFC 9112 2.3"],
  ["a version with a colon for a digit", line("GET / HTTP/1.:"), 400, "RFC 9112 2.3"],
  ["a version with a slash for a digit", line("GET / HTTP/1./"), 400, "RFC 9112 2.3"],
  ["a version with a comma", line("GET / HTTP/1,1"), 400, "RFC 9112 2.3"],
  ["HTTP/0.9 by name", line("GET / HTTP/0.9"), 505, "RFC 9110 15.6.6"],
  ["HTTP/2.0", line("GET / HTTP/2.0"), 505, "RFC 9110 15.6.6"],
  ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "RFC 9110 15.6.6"],
  ["HTTP/2.0 with a target that is none", line("GET * HTTP/2.0"), 505, "RFC 9110 15.6.6"],
];

const FIELDS: Refused[] = [
  ["a space before the first name", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "RFC 9112 2.2"],
  ["a folded line", get("X: a", " b"), 400, "RFC 9112 5.2"],
  ["a line folded with HTAB", get("X: a", "\tb"), 400, "RFC 9112 5.2"],
  ["a folded line without a value", get("X: a", " "), 400, "RFC 9112 5.2"],
  ["a space before the colon", get("X : a"), 400, "RFC 9112 5.1"],
  ["HTAB before the colon", get("X\t: a"), 400, "RFC 9112 5.1"],
  ["an empty name", get(": a"), 400, "RFC 9110 5.1"],
  ["a line without a colon", get("X"), 400, "RFC 9112 5"],
  ["a space in a name", get("X Y: a"), 400, "RFC 9110 5.1"],
  ["a separator in a name", get("X(Y): a"), 400, "RFC 9110 5.1"],
  ["a byte over 0x7F in a name", get("X\xe9: a"), 400, "RFC 9110 5.1"],
  ["NUL in a name", get("X\0: a"), 400, "RFC 9110 5.1"],
  ["NUL in a value", get("X: a\0b"), 400, "RFC 9110 5.5"],
  ["a control character in a value", get("X: a\x01b"), 400, "RFC 9110 5.5"],
  ["vertical tab in a value", get("X: a\x0bb"), 400, "RFC 9110 5.5"],
  ["form feed before a value", get("X: \x0ca"), 400, "RFC 9110 5.5"],
  ["DEL in a value", get("X: a\x7fb"), 400, "RFC 9110 5.5"],

  ["no Host in HTTP/1.1", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400, "RFC 9112 3.2"],
  ["no field at all in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", 400, "RFC 9112 3.2"],
  ["no Host in HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", 400, "RFC 9112 3.2"],
  ["a second Host", get("Host: b"), 400, "RFC 9112 3.2"],
  ["a second Host that is the same", get("HOST: a"), 400, "RFC 9112 3.2"],
  [
    "a second Host in HTTP/1.0",
    "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    400,
    "RFC 9112 3.2",
  ],
  ["an empty Host", host(""), 400, "RFC 9110 7.2"],
  ["a Host with a space", host("a b"), 400, "RFC 9110 7.2"],
  ["a Host that is a list", host("a, b"), 400, "RFC 9110 7.2"],
  ["a Host with a path", host("a/b"), 400, "RFC 9110 7.2"],
  ["a Host with userinfo", host("u@a"), 400, "RFC 9110 7.2"],
  ["a Host that is a URI", host("http://a"), 400, "RFC 9110 7.2"],
  ["a Host with a query", host("a?b"), 400, "RFC 9110 7.2"],
  ["a Host with a byte over 0x7F", host("\xe9"), 400, "RFC 9110 7.2"],
  ["a Host with half a percent-encoding", host("a%4"), 400, "RFC 3986 2.1"],
  ["a Host with a bad percent-encoding", host("%zz"), 400, "RFC 3986 2.1"],
  ["a Host with a percent-encoding of one digit", host("a%4g"), 400, "RFC 3986 2.1"],
  ["a Host with a percent-encoding that begins with no digit", host("a%g4"), 400, "RFC 3986 2.1"],
  ["a port without a host", host(":80"), 400, "RFC 9110 7.2"],
  ["a port with a letter", host("a:8o"), 400, "RFC 3986 3.2.3"],
  ["two ports", host("a:80:80"), 400, "RFC 3986 3.2.3"],
  ["a port over 65535", host("a:65536"), 400, "RFC 9110 7.2"],
  ["an IPv6 address without brackets", host("::1"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address without its end", host("[::1"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address with a letter past f", host("[::g]"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address of 7 groups", host("[1:2:3:4:5:6:7]"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address of 9 groups", host("[1:2:3:4:5:6:7:8:9]"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address with two gaps", host("[1::2::3]"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address with a group of 5 digits", host("[::12345]"), 400, "RFC 3986 3.2.2"],
  ["an IPv6 address with an octet of 256", host("[::1.2.3.256]"), 400, "RFC 3986 3.2.2"],
  ["empty brackets", host("[]"), 400, "RFC 3986 3.2.2"],
  ["text after the brackets", host("[::1]a"), 400, "RFC 3986 3.2.2"],

  ["an expectation that nobody knows", get("Expect: 200-ok"), 417, "RFC 9110 10.1.1"],
  ["two expectations", get("Expect: 100-continue, 200-ok"), 417, "RFC 9110 10.1.1"],
];

const FRAMING: Refused[] = [
  ["an empty Content-Length", get("Content-Length:"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a plus", get("Content-Length: +5"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a minus", get("Content-Length: -5"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a space", get("Content-Length: 5 5"), 400, "RFC 9110 8.6"],
  ["a Content-Length in hexadecimal", get("Content-Length: 0x5"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a fraction", get("Content-Length: 5.0"), 400, "RFC 9110 8.6"],
  ["a Content-Length with an exponent", get("Content-Length: 1e1"), 400, "RFC 9110 8.6"],
  ["a Content-Length with a unit", get("Content-Length: 5b"), 400, "RFC 9110 8.6"],
  ["a Content-Length in quotes", get('Content-Length: "5"'), 400, "RFC 9110 8.6"],
  ["a Content-Length of other digits", get("Content-Length: \xb2"), 400, "RFC 9110 8.6"],
  ["a list of equal Content-Lengths", get("Content-Length: 5, 5"), 400, "RFC 9110 8.6"],
  ["a list of different Content-Lengths", get("Content-Length: 5, 6"), 400, "RFC 9112 6.3"],
  ["a Content-Length of 2^53", get("Content-Length: 9007199254740992"), 400, "RFC 9110 8.6"],
  ["a Content-Length of 30 digits", get("Content-Length: " + "1".repeat(30)), 400, "RFC 9110 8.6"],
  ["two equal Content-Lengths", get("Content-Length: 5", "Content-Length: 5"), 400, "RFC 9112 6.3"],
  [
    "two different Content-Lengths",
    get("Content-Length: 5", "content-length: 6"),
    400,
    "RFC 9112 6.3",
  ],

  ["a transfer coding that nobody knows", get("Transfer-Encoding: gzip"), 501, "RFC 9112 6.1"],
  ["gzip before chunked", get("Transfer-Encoding: gzip, chunked"), 501, "RFC 9112 6.1"],
  [
    "gzip and chunked in two fields",
    get("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
    501,
    "RFC 9112 6.1",
  ],
  ["the coding identity", get("Transfer-Encoding: identity"), 501, "RFC 9112 7"],
  ["a coding that ends in chunked", get("Transfer-Encoding: xchunked"), 501, "RFC 9112 6.1"],
  ["chunked that is not last", get("Transfer-Encoding: chunked, gzip"), 400, "RFC 9112 6.1"],
  ["chunked twice", get("Transfer-Encoding: chunked, chunked"), 400, "RFC 9112 6.1"],
  [
    "chunked in two fields",
    get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    400,
    "RFC 9112 6.1",
  ],
  ["an empty Transfer-Encoding", get("Transfer-Encoding:"), 400, "RFC 9112 6.1"],
  ["an empty coding before chunked", get("Transfer-Encoding: ,chunked"), 400, "RFC 9112 6.1"],
  ["an empty coding after chunked", get("Transfer-Encoding: chunked,"), 400, "RFC 9112 6.1"],
  ["chunked with a parameter", get("Transfer-Encoding: chunked;a=b"), 400, "RFC 9112 7"],
  ["chunked in quotes", get('Transfer-Encoding: "chunked"'), 400, "RFC 9112 6.1"],
  ["chunked after vertical tab", get("Transfer-Encoding: \x0bchunked"), 400, "RFC 9110 5.5"],
  [
    "a space before Transfer-Encoding's colon",
    get("Transfer-Encoding : chunked"),
    400,
    "RFC 9112 5.1",
  ],
  [
    "Transfer-Encoding before Content-Length",
    get("Transfer-Encoding: chunked", "Content-Length: 5"),
    400,
    "RFC 9112 6.1",
  ],
  [
    "Transfer-Encoding after Content-Length",
    get("Content-Length: 5", "Transfer-Encoding: chunked"),
    400,
    "RFC 9112 6.1",
  ],
  [
    "Transfer-Encoding with a Content-Length of 0",
    get("Content-Length: 0", "Transfer-Encoding: chunked"),
    400,
    "RFC 9112 6.1",
  ],
  [
    "Transfer-Encoding in HTTP/1.0",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    400,
    "RFC 9112 6.1",
  ],
];

const CHUNKS: Refused[] = [
  ["an empty chunk size", chunked("\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size that is no number", chunked("g\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size with a minus", chunked("-5\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size with a plus", chunked("+5\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size with 0x", chunked("0x5\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size with an underscore", chunked("5_0\r\n"), 400, "RFC 9112 7.1"],
  ["a space before a chunk size", chunked(" 5\r\n"), 400, "RFC 9112 7.1"],
  ["a space after a chunk size", chunked("5 \r\n"), 400, "RFC 9112 7.1"],
  ["HTAB after a chunk size", chunked("5\t\r\n"), 400, "RFC 9112 7.1"],
  ["a space in a chunk size", chunked("5 0\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size of 17 digits", chunked("0".repeat(16) + "5\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size of 2^53", chunked("20000000000000\r\n"), 400, "RFC 9112 7.1"],
  ["a bare LF after a chunk size", chunked("5\nhello\r\n0\r\n\r\n"), 400, "RFC 9112 2.2"],
  ["a bare CR after a chunk size", chunked("5\rhello\r\n0\r\n\r\n"), 400, "RFC 9112 2.2"],
  ["an extension without a name", chunked("5;\r\n"), 400, "RFC 9112 7.1.1"],
  ["an extension that begins with =", chunked("5;=b\r\n"), 400, "RFC 9112 7.1.1"],
  ["an extension without its value", chunked("5;a=\r\n"), 400, "RFC 9112 7.1.1"],
  ["an extension of two words", chunked("5;a b\r\n"), 400, "RFC 9112 7.1.1"],
  ["an extension's name that is no token", chunked("5;a@b=c\r\n"), 400, "RFC 9112 7.1.1"],
  ["an extension's value that is no token", chunked("5;a=b@c\r\n"), 400, "RFC 9112 7.1.1"],
  ["a space after =", chunked("5;a= b\r\n"), 400, "RFC 9112 7.1.1"],
  ["a space before =", chunked("5;a =b\r\n"), 400, "RFC 9112 7.1.1"],
  ["a space after an extension", chunked("5;a=b \r\n"), 400, "RFC 9112 7.1"],
  ["a quoted string without its end", chunked('5;a="b\r\n'), 400, "RFC 9112 7.1.1"],
  ["a quoted string that ends in a backslash", chunked('5;a="b\\"\r\n'), 400, "RFC 9112 7.1.1"],
  ["text after a quoted string", chunked('5;a="b"c\r\n'), 400, "RFC 9112 7.1.1"],
  ["a control character in a quoted string", chunked('5;a="\x01"\r\n'), 400, "RFC 9110 5.6.4"],
  ["an escaped control character", chunked('5;a="\\\x01"\r\n'), 400, "RFC 9110 5.6.4"],
  ["a bare LF in an extension", chunked("5;a\nb\r\n"), 400, "RFC 9112 2.2"],
  ["a bare CR in an extension", chunked("5;a\rb\r\n"), 400, "RFC 9112 2.2"],
  ["a byte over 0x7F in an extension", chunked("5;\xe9\r\n"), 400, "RFC 9112 7.1.1"],
  ["no CRLF after a chunk", chunked("5\r\nhello0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["a bare LF after a chunk", chunked("5\r\nhello\n0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["a bare CR after a chunk", chunked("5\r\nhello\r0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["other bytes in place of a chunk's CRLF", chunked("5\r\nhelloXX0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk that is longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["a chunk size after CRLF CRLF", chunked("5\r\nhello\r\n\r\n0\r\n\r\n"), 400, "RFC 9112 7.1"],
  ["a trailer with a space before its colon", chunked("0\r\nX : a\r\n\r\n"), 400, "RFC 9112 5.1"],
  ["a trailer without a colon", chunked("0\r\nX\r\n\r\n"), 400, "RFC 9112 7.1.2"],
  ["a trailer that ends in a bare LF", chunked("0\r\nX: a\n\r\n"), 400, "RFC 9112 2.2"],
  ["a folded trailer", chunked("0\r\nX: a\r\n b\r\n\r\n"), 400, "RFC 9112 5.2"],
  ["a control character in a trailer", chunked("0\r\nX: \x01\r\n\r\n"), 400, "RFC 9110 5.5"],
  ["a bare LF after the last chunk", chunked("0\n\r\n"), 400, "RFC 9112 2.2"],
  ["a bare LF after the trailers", chunked("0\r\n\n"), 400, "RFC 9112 2.2"],
];

for (
  const [what, message, status, source] of [
    ...LINE_ENDS,
    ...REQUEST_LINES,
    ...FIELDS,
    ...FRAMING,
    ...CHUNKS,
  ]
) {
  Deno.test(`SERVER refuses ${what} with ${status} (${source})`, () => {
    const whole = receive(server(), [latin1(message)]).lines;
    for (const parts of arrivals(latin1(message))) {
      const { lines, error } = receive(server(), parts);
      assertEquals(lines, whole);
      assertEquals(lines.at(-1), `refused ${status}`);
      // The house's form of a message: the action first, no period at the end.
      assertMatch(error!.message, /^Cannot [^]*[^.]$/);
    }
  });
}

/** What the head of `chunked` is taken as. */
const CHUNKED_HEAD = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked";

const TRUNCATED: [what: string, message: string, events: string[]][] = [
  ["a request line", "GET / HT", ["refused 400"]],
  ["a head", "GET / HTTP/1.1\r\nHost: a\r\n", ["refused 400"]],
  ["the CRLF before a request line", "\r", ["refused 400"]],
  [
    "a body with Content-Length",
    get("Content-Length: 5") + "hell",
    ["GET / HTTP/1.1\nHost: a\nContent-Length: 5", "data hell", "refused 400"],
  ],
  ["a chunk size", chunked("5"), [CHUNKED_HEAD, "refused 400"]],
  ["a chunk", chunked("5\r\nhell"), [CHUNKED_HEAD, "data [hell", "refused 400"]],
  ["a chunk's CRLF", chunked("5\r\nhello\r"), [CHUNKED_HEAD, "data [hello]", "refused 400"]],
  [
    "a body before its last chunk",
    chunked("5\r\nhello\r\n"),
    [CHUNKED_HEAD, "data [hello]", "refused 400"],
  ],
  ["the trailers", chunked("0\r\nX: a\r\n"), [CHUNKED_HEAD, "refused 400"]],
  ["the end of the trailers", chunked("0\r\n\r"), [CHUNKED_HEAD, "refused 400"]],
];

for (const [what, message, events] of TRUNCATED) {
  Deno.test(`SERVER refuses ${what} that the peer's closing cuts short (RFC 9112 8)`, () => {
    for (const parts of arrivals(latin1(message))) {
      assertEquals(receive(server(), [...parts, END]).lines, events);
    }
  });
}

const ACCEPTED: [what: string, message: string, events: string[]][] = [
  ["a request", get(), ["GET / HTTP/1.1\nHost: a", "end"]],
  ["one CRLF before the request line", "\r\n" + get(), ["GET / HTTP/1.1\nHost: a", "end"]],
  [
    "a second request, and pauses before it",
    get() + get(),
    ["GET / HTTP/1.1\nHost: a", "end", "PAUSED"],
  ],

  ["a method that is any token", line("M!#$%&'*+-.^_`|~1 / HTTP/1.1"), [
    "M!#$%&'*+-.^_`|~1 / HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a method in lower case as another method", line("get / HTTP/1.1"), [
    "get / HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a method of 64 bytes", line("M".repeat(64) + " / HTTP/1.1"), [
    "M".repeat(64) + " / HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a target with what browsers leave as it is", line('GET /"<>[]\\^`{|}?a=[1] HTTP/1.1'), [
    'GET /"<>[]\\^`{|}?a=[1] HTTP/1.1\nHost: a',
    "end",
  ]],
  ["a path of two slashes", line("GET //a HTTP/1.1"), ["GET //a HTTP/1.1\nHost: a", "end"]],
  ["an asterisk with OPTIONS", line("OPTIONS * HTTP/1.1"), [
    "OPTIONS * HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a path with OPTIONS", line("OPTIONS /a HTTP/1.1"), ["OPTIONS /a HTTP/1.1\nHost: a", "end"]],
  ["a URI with GET", line("GET http://a:80/b?c HTTP/1.1"), [
    "GET http://a:80/b?c HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a URI without a path", line("GET http://a?c HTTP/1.1"), [
    "GET http://a?c HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a URI of any scheme", line("GET a+b-1.c://[::1]/ HTTP/1.1"), [
    "GET a+b-1.c://[::1]/ HTTP/1.1\nHost: a",
    "end",
  ]],
  ["a URI with OPTIONS", line("OPTIONS http://a HTTP/1.1"), [
    "OPTIONS http://a HTTP/1.1\nHost: a",
    "end",
  ]],
  ["CONNECT to a host and a port", line("CONNECT a:443 HTTP/1.1"), [
    "CONNECT a:443 HTTP/1.1\nHost: a",
    "end",
    "PAUSED",
  ]],
  ["CONNECT to an IPv6 address", line("CONNECT [::1]:65535 HTTP/1.1"), [
    "CONNECT [::1]:65535 HTTP/1.1\nHost: a",
    "end",
    "PAUSED",
  ]],
  ["HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", ["GET / HTTP/1.0", "end"]],
  ["HTTP/1.9 as HTTP/1.1", line("GET / HTTP/1.9"), ["GET / HTTP/1.9\nHost: a", "end"]],

  ["a name in any case", "GET / HTTP/1.1\r\nhOsT: a\r\n\r\n", ["GET / HTTP/1.1\nhOsT: a", "end"]],
  ["a name that is any token", get("!#$%&'*+-.^_`|~1: a"), [
    "GET / HTTP/1.1\nHost: a\n!#$%&'*+-.^_`|~1: a",
    "end",
  ]],
  ["an empty value", get("X:", "Y: \t "), ["GET / HTTP/1.1\nHost: a\nX: \nY: ", "end"]],
  ["no space before a value", get("X:a"), ["GET / HTTP/1.1\nHost: a\nX: a", "end"]],
  ["white space around a value", get("X: \t a \t "), ["GET / HTTP/1.1\nHost: a\nX: a", "end"]],
  ["SP and HTAB in a value", get("X: a \t b"), ["GET / HTTP/1.1\nHost: a\nX: a \t b", "end"]],
  ["bytes over 0x7F in a value", get("X: \x80\xe9\xff"), [
    "GET / HTTP/1.1\nHost: a\nX: \x80\xe9\xff",
    "end",
  ]],
  ["UTF-8 in a value, a code unit a byte", get("X: \xc3\xa9\xe2\x82\xac", "Y: a"), [
    "GET / HTTP/1.1\nHost: a\nX: \xc3\xa9\xe2\x82\xac\nY: a",
    "end",
  ]],
  ["a value with colons", get("X: a:b: c"), ["GET / HTTP/1.1\nHost: a\nX: a:b: c", "end"]],
  ["a name twice", get("X: a", "x: b"), ["GET / HTTP/1.1\nHost: a\nX: a\nx: b", "end"]],
  ["names as long as those that frame", get("Hosu: a", "Xonnection: b", "Content-Lengti: c"), [
    "GET / HTTP/1.1\nHost: a\nHosu: a\nXonnection: b\nContent-Lengti: c",
    "end",
  ]],
  ...["a", "a:80", "a:", "a:65535", "127.0.0.1", "A-b.c_d~e", "!$&'()*+,;=", "%41", "[::1]:80"].map(
    (value): [string, string, string[]] => [`the Host ${value}`, host(value), [
      `GET / HTTP/1.1\nHost: ${value}`,
      "end",
    ]],
  ),
  ...["[1:2:3:4:5:6:7:8]", "[::]", "[1::]", "[1:2:3::8]", "[::ffff:1.2.3.255]", "[v1.a:b]"].map(
    (value): [string, string, string[]] => [`the Host ${value}`, host(value), [
      `GET / HTTP/1.1\nHost: ${value}`,
      "end",
    ]],
  ),
  ["100-continue in any case", get("Expect: 100-Continue"), [
    "GET / HTTP/1.1\nHost: a\nExpect: 100-Continue",
    "end",
  ]],

  ["a Content-Length of 0", get("Content-Length: 0"), [
    "GET / HTTP/1.1\nHost: a\nContent-Length: 0",
    "end",
  ]],
  ["a body of its Content-Length", get("Content-Length: 5") + "hello", [
    "GET / HTTP/1.1\nHost: a\nContent-Length: 5",
    "data hello",
    "end",
  ]],
  ["a Content-Length with zeros before it", get("content-length: 005") + "hello", [
    "GET / HTTP/1.1\nHost: a\ncontent-length: 005",
    "data hello",
    "end",
  ]],
  ["a Content-Length of 2^53-1", get("Content-Length: 9007199254740991") + "hi", [
    "GET / HTTP/1.1\nHost: a\nContent-Length: 9007199254740991",
    "data hi",
  ]],
  ["a body in HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", [
    "POST / HTTP/1.0\nContent-Length: 2",
    "data hi",
    "end",
  ]],
  ["bytes after a body as the next request", get("Content-Length: 2") + "hiX", [
    "GET / HTTP/1.1\nHost: a\nContent-Length: 2",
    "data hi",
    "end",
    "PAUSED",
  ]],
  ["Transfer-Encoding in any case", get("TRANSFER-ENCODING: Chunked") + "0\r\n\r\n", [
    "GET / HTTP/1.1\nHost: a\nTRANSFER-ENCODING: Chunked",
    "end",
  ]],
  ["white space around chunked", get("Transfer-Encoding: \tchunked ") + "0\r\n\r\n", [
    "GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked",
    "end",
  ]],
  ["chunks", chunked("5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [hello]",
    "data [0123456789]",
    "end",
  ]],
  ["chunk sizes in both cases", chunked("a\r\n0123456789\r\n0A\r\n0123456789\r\n0\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [0123456789]",
    "data [0123456789]",
    "end",
  ]],
  ["a chunk size of 16 digits", chunked("0".repeat(15) + "1\r\na\r\n0\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [a]",
    "end",
  ]],
  ["a chunk size of 2^53-1", chunked("1FFFFFFFFFFFFF\r\na"), [CHUNKED_HEAD, "data [a"]],
  ["a last chunk of many zeros", chunked("0000\r\n\r\n"), [CHUNKED_HEAD, "end"]],
  ["CR and LF in a chunk", chunked("6\r\n\r\n0\r\n\r\r\n0\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [\r\n0\r\n\r]",
    "end",
  ]],
  [
    "chunk extensions, and drops them",
    chunked('1;a;b=c;d="e;\\"\\\\\t\xe9"\r\na\r\n0;z\r\n\r\n'),
    [CHUNKED_HEAD, "data [a]", "end"],
  ],
  ["an empty quoted string", chunked('1;a=""\r\na\r\n0\r\n\r\n'), [
    CHUNKED_HEAD,
    "data [a]",
    "end",
  ]],
  ["white space around an extension's semicolon", chunked("1 \t; \ta ;b\r\na\r\n0 ;c\r\n\r\n"), [
    CHUNKED_HEAD,
    "data [a]",
    "end",
  ]],
  ["trailers", chunked("0\r\nX: a\r\nETag: b\r\n\r\n"), [CHUNKED_HEAD, "end\nX: a\nETag: b"]],
  [
    "trailers, and drops those that must not be any",
    chunked("0\r\nContent-Length: 5\r\nX: a\r\nHost: b\r\nTransfer-Encoding: x\r\nTE: y\r\n\r\n"),
    [CHUNKED_HEAD, "end\nX: a"],
  ],
];

for (const [what, message, events] of ACCEPTED) {
  Deno.test(`SERVER takes ${what}`, () => {
    for (const parts of arrivals(latin1(message))) {
      assertEquals(receive(server(), parts).lines, events);
    }
  });
}

/** Names that a field of a trailer section may not have (RFC 9110 6.5.1). */
const NO_TRAILERS = [
  ...["Content-Length", "Transfer-Encoding", "Host", "Connection", "Upgrade", "TE", "Trailer"],
  ...["Cache-Control", "Expect", "Max-Forwards", "Pragma", "Range", "If-Match", "If-None-Match"],
  ...["If-Modified-Since", "If-Unmodified-Since", "If-Range", "Authorization", "Cookie"],
  ...["Proxy-Authorization", "Set-Cookie", "WWW-Authenticate", "Proxy-Authenticate", "Age"],
  ...["Date", "Expires", "Location", "Retry-After", "Vary", "Warning", "Content-Encoding"],
  ...["Content-Type", "Content-Range", "Keep-Alive", "Proxy-Connection"],
];
for (const name of NO_TRAILERS) {
  Deno.test(`SERVER drops the trailer ${name} (RFC 9110 6.5.1)`, () => {
    for (const parts of arrivals(latin1(chunked(`0\r\n${name}: 1\r\nX: a\r\n\r\n`)))) {
      assertEquals(receive(server(), parts).lines, [CHUNKED_HEAD, "end\nX: a"]);
    }
  });
}
