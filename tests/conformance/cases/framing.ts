// Where a message ends: Content-Length, Transfer-Encoding and chunks (RFC 9112 6 and 7).

import { chunked, get, type Group, group, type Outcome, post, REFUSED, request } from "../case.ts";

const HELLO = "200 POST a/ 5, next";
const EMPTY = "200 POST a/ 0, next";
/** What becomes of a body that breaks off: an answer may come before the close, or none (RFC 9112 8). */
const BROKEN: readonly Outcome[] = [REFUSED, "4xx, closed", "5xx, closed", "closed"];
const CHUNKS = "5\r\nhello\r\n0\r\n\r\n";

/** POST with these lines of Transfer-Encoding and a body of chunks. */
function coded(...fields: string[]): string {
  return post(fields.map((field) => `Transfer-Encoding:${field}`), CHUNKS);
}

export const FRAMING: readonly Group[] = [
  group("RFC 9112 6.2", "Content-Length frames a body, with any method; without it there is none", [
    HELLO,
  ], [
    ["a body of 5 bytes", post(["Content-Length: 5"], "hello")],
    ["a body of 0 bytes", post(["Content-Length: 0"], ""), [EMPTY]],
    ["leading zeros", post(["Content-Length: 005"], "hello")],
    ["a GET with a body", get("Content-Length: 5") + "hello", [
      "200 GET a/ 5, next",
      "4xx, closed",
      "200 GET a/ 0, next",
    ]],
    [
      "a body that is a request",
      post(["Content-Length: 30"], "GET /b HTTP/1.1\r\nHost: smug\r\n\r"),
      [
        "200 POST a/ 30, next",
      ],
    ],
    ["a body that is too short", post(["Content-Length: 9"], "hello"), [
      "400, closed",
      "4xx, closed",
      "closed",
      "5xx, closed",
    ], "ends"],
    [
      "a head that is cut short",
      "GET / HTTP/1.1\r\nHo",
      ["400, closed", "4xx, closed", "closed"],
      "ends",
    ],
    ["nothing at all", "", ["closed"], "ends"],
  ]),
  group(
    "RFC 9112 6.3",
    "a Content-Length that is no number gets 400; a list of equal ones may be taken for one",
    [REFUSED],
    [
      ["an empty value", post(["Content-Length:"], "hello")],
      ["a plus", post(["Content-Length: +5"], "hello")],
      ["a minus", post(["Content-Length: -5"], "hello")],
      ["a space between digits", post(["Content-Length: 5 5"], "hello")],
      ["hexadecimal", post(["Content-Length: 0x5"], "hello")],
      ["a fraction", post(["Content-Length: 5.0"], "hello")],
      ["an exponent", post(["Content-Length: 5e0"], "hello")],
      ["quotes", post(['Content-Length: "5"'], "hello")],
      ["an underscore", post(["Content-Length: 0_5"], "hello")],
      ["two different fields", post(["Content-Length: 5", "Content-Length: 6"], "hello")],
      ["a list of different values", post(["Content-Length: 5, 6"], "hello")],
      ["two equal fields", post(["Content-Length: 5", "Content-Length: 5"], "hello"), [
        REFUSED,
        HELLO,
      ]],
      ["a list of equal values", post(["Content-Length: 5, 5"], "hello"), [REFUSED, HELLO]],
      ["2^64 + 5", post(["Content-Length: 18446744073709551621"], "hello"), [
        REFUSED,
        "413, closed",
      ]],
      ["2^53", post(["Content-Length: 9007199254740992"], "hello"), [
        REFUSED,
        "413, closed",
        "413, waits",
        "waits",
      ]],
      ["30 digits", post([`Content-Length: ${"0".repeat(29)}5`], "hello"), [HELLO, REFUSED]],
    ],
  ),
  group(
    "RFC 9112 6.1",
    "Transfer-Encoding with Content-Length may be refused; who takes it closes after the answer. In HTTP/1.0 " +
      "the framing is faulty, and the connection closes",
    [REFUSED, "200 POST a/ 5, closed"],
    [
      [
        "Transfer-Encoding before Content-Length",
        post(["Transfer-Encoding: chunked", "Content-Length: 6"], CHUNKS),
      ],
      [
        "Transfer-Encoding after Content-Length",
        post(["Content-Length: 6", "Transfer-Encoding: chunked"], CHUNKS),
      ],
      [
        "Content-Length that agrees",
        post(["Content-Length: 15", "Transfer-Encoding: chunked"], CHUNKS),
      ],
      [
        "Transfer-Encoding in HTTP/1.0",
        `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
      ],
      [
        "Transfer-Encoding in HTTP/1.0 with keep-alive",
        `POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
      ],
    ],
  ),
  group(
    "RFC 9112 6.1",
    "chunked comes once and last, else 400; a coding that is not understood gets 501",
    [REFUSED],
    [
      ["chunked", coded(" chunked"), [HELLO]],
      ["Chunked in capitals", coded(" CHUNKED"), [HELLO]],
      ["chunked without a space before", coded("chunked"), [HELLO]],
      ["chunked after HTAB", coded("\tchunked"), [HELLO]],
      ["chunked with a space after", coded(" chunked "), [HELLO]],
      ["gzip before chunked", coded(" gzip, chunked"), ["501, closed", REFUSED]],
      ["gzip and chunked in two fields", coded(" gzip", " chunked"), ["501, closed", REFUSED]],
      ["gzip alone", coded(" gzip"), ["501, closed", REFUSED]],
      ["identity", coded(" identity"), ["501, closed", REFUSED]],
      ["xchunked", coded(" xchunked"), ["501, closed", REFUSED]],
      ["chunked before gzip", coded(" chunked, gzip"), [REFUSED, "501, closed"]],
      ["chunked before identity", coded(" chunked, identity"), [REFUSED, "501, closed"]],
      ["chunked twice", coded(" chunked, chunked"), [REFUSED, "501, closed"]],
      ["chunked in two fields", coded(" chunked", " chunked"), [REFUSED, "501, closed"]],
      ["chunked and x in two fields", coded(" chunked", " x"), [REFUSED, "501, closed"]],
      ["chunked with a parameter", coded(" chunked;a=b"), [REFUSED, "501, closed"]],
      ["chunked in quotes", coded(' "chunked"'), [REFUSED, "501, closed"]],
      ["chunked after vertical tab", coded(" \x0bchunked"), [REFUSED, "501, closed"]],
      ["chunked after NUL", coded(" \0chunked"), [REFUSED, "501, closed"]],
      ["a comma before chunked", coded(" ,chunked"), [REFUSED, "501, closed", HELLO]],
      ["a comma after chunked", coded(" chunked,"), [REFUSED, "501, closed", HELLO]],
      ["an empty value", coded(""), [REFUSED, "501, closed"]],
      ["a space before the colon", post(["Transfer-Encoding : chunked"], CHUNKS)],
      ["a bare CR before the name", post(["X: a\rTransfer-Encoding: chunked"], CHUNKS)],
    ],
  ),
  group(
    "RFC 9112 7.1",
    "a chunk is a hexadecimal size, CRLF, data, CRLF; the size 0 ends the body",
    [HELLO],
    [
      ["one chunk", chunked(CHUNKS)],
      ["two chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
      ["no chunk but the last", chunked("0\r\n\r\n"), [EMPTY]],
      ["a last chunk of many zeros", chunked("5\r\nhello\r\n0000\r\n\r\n")],
      ["a size with leading zeros", chunked("005\r\nhello\r\n0\r\n\r\n")],
      ["a size in capitals", chunked("A\r\n0123456789\r\n0\r\n\r\n"), ["200 POST a/ 10, next"]],
      ["chunks in a GET", request("GET / HTTP/1.1", "Transfer-Encoding: chunked") + CHUNKS, [
        "200 GET a/ 5, next",
        "4xx, closed",
        "200 GET a/ 0, next",
      ]],
      ["chunks without their end", chunked("5\r\nhello\r\n"), [
        "400, closed",
        "4xx, closed",
        "closed",
        "5xx, closed",
      ], "ends"],
    ],
  ),
  group("RFC 9112 7.1", "a size that is none, or a chunk without its CRLF, is refused", BROKEN, [
    ["an empty size", chunked("\r\nhello\r\n0\r\n\r\n")],
    ["a size that is no number", chunked("g\r\nhello\r\n0\r\n\r\n")],
    ["a size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n")],
    ["a size with a minus", chunked("-5\r\nhello\r\n0\r\n\r\n")],
    ["a size with a plus", chunked("+5\r\nhello\r\n0\r\n\r\n")],
    ["a size with an underscore", chunked("0_5\r\nhello\r\n0\r\n\r\n")],
    ["a space before a size", chunked(" 5\r\nhello\r\n0\r\n\r\n")],
    ["a space in a size", chunked("0 5\r\nhello\r\n0\r\n\r\n")],
    ["a space after a size", chunked("5 \r\nhello\r\n0\r\n\r\n"), [...BROKEN, HELLO]],
    ["a size of 2^64 + 5", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), BROKEN],
    ["a size of 2^32 + 5", chunked("100000005\r\nhello\r\n0\r\n\r\n"), BROKEN, "ends"],
    ["a chunk that is longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n")],
    ["a chunk without its CRLF", chunked("5\r\nhello0\r\n\r\n")],
    ["two bytes in place of a chunk's CRLF", chunked("5\r\nhelloXX0\r\n\r\n")],
    ["a CR alone after a chunk", chunked("5\r\nhello\r0\r\n\r\n")],
  ]),
  group(
    "RFC 9112 7.1",
    "a line of a chunk ends in CRLF: where a bare LF or CR is taken for it, two parties count differently",
    BROKEN,
    [
      ["a bare LF after a size", chunked("5\nhello\r\n0\r\n\r\n")],
      ["a bare CR after a size", chunked("5\rhello\r\n0\r\n\r\n")],
      ["a bare LF after a chunk", chunked("5\r\nhello\n0\r\n\r\n")],
      ["a bare LF after the last size", chunked("5\r\nhello\r\n0\n\r\n")],
      ["a bare LF at the end of all", chunked("5\r\nhello\r\n0\r\n\n"), [...BROKEN, HELLO]],
      ["CR CR LF after a size", chunked("5\r\r\nhello\r\n0\r\n\r\n")],
      ["a bare LF in an extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n")],
      ["a bare CR in an extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")],
    ],
  ),
  group(
    "RFC 9112 7.1.1",
    "extensions that are not known are ignored; a server may limit them, and refuse what is none",
    [HELLO],
    [
      ["an extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")],
      ["an extension without a value", chunked("5;a\r\nhello\r\n0;b\r\n\r\n")],
      ["an extension in quotes", chunked('5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n')],
      ["white space around a semicolon", chunked("5 ; a=b\r\nhello\r\n0\r\n\r\n")],
      ["white space around =", chunked("5;a = b\r\nhello\r\n0\r\n\r\n"), [REFUSED, HELLO], {
        departs: "it is bad white space that nobody sends, and RFC 9110 5.6.3 has it taken",
      }],
      ["an extension without a name", chunked("5;\r\nhello\r\n0\r\n\r\n"), [...BROKEN, HELLO]],
      ["an extension of two words", chunked("5;a b\r\nhello\r\n0\r\n\r\n"), [...BROKEN, HELLO]],
      ["a quoted string without its end", chunked('5;a="b\r\nhello\r\n0\r\n\r\n'), [
        ...BROKEN,
        HELLO,
      ]],
      ["a control character in an extension", chunked("5;a=\x01\r\nhello\r\n0\r\n\r\n"), [
        ...BROKEN,
        HELLO,
      ]],
      ["extensions of 20,000 bytes", chunked(`5;a=${"b".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`), [
        ...BROKEN,
        HELLO,
      ]],
    ],
  ),
  group(
    "RFC 9112 7.1.2",
    "trailers are fields as those of a head, and frame nothing",
    [HELLO],
    [
      ["a trailer", chunked("5\r\nhello\r\n0\r\nX: a\r\n\r\n")],
      ["a trailer that must be none", chunked("5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n"), [
        HELLO,
        REFUSED,
      ]],
      [
        "Transfer-Encoding in a trailer",
        chunked("5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n"),
        [
          HELLO,
          REFUSED,
        ],
      ],
      ["a trailer with a space before the colon", chunked("5\r\nhello\r\n0\r\nX : a\r\n\r\n"), [
        ...BROKEN,
        HELLO,
      ]],
      ["a trailer without a colon", chunked("5\r\nhello\r\n0\r\nX\r\n\r\n"), [...BROKEN, HELLO]],
      ["a trailer that is folded", chunked("5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"), [
        ...BROKEN,
        HELLO,
      ]],
      ["a bare LF after a trailer", chunked("5\r\nhello\r\n0\r\nX: a\n\r\n"), [...BROKEN, HELLO]],
      ["NUL in a trailer", chunked("5\r\nhello\r\n0\r\nX: \0\r\n\r\n"), [...BROKEN, HELLO]],
      [
        "a trailer of 20,000 bytes",
        chunked(`5\r\nhello\r\n0\r\nX: ${"a".repeat(20_000)}\r\n\r\n`),
        [
          "431, closed",
          "4xx, closed",
          HELLO,
        ],
      ],
    ],
  ),
];
