// Fields of a head (RFC 9112 5, RFC 9110 5), Expect and Upgrade.

import { get, type Group, group, http10, post, REFUSED, request, TAKEN } from "../case.ts";

const POSTED = "200 POST a/ 5, next";

export const FIELDS: readonly Group[] = [
  group("RFC 9112 5", "a field line is name, colon, value with white space around it", [TAKEN], [
    ["a value without a space before", get("X:a")],
    ["a value with white space around", get("X: \t a \t ")],
    ["an empty value", get("X:")],
    ["a byte over 0x7F in a value", get("X: \xe9")],
    ["names in capitals", "GET / HTTP/1.1\r\nHOST: a\r\n\r\n"],
    ["a field many times", get(..."abc".split("").map((value) => `X: ${value}`))],
    ["a name of all token characters", get("!#$%&'*+-.^_`|~1aA: b")],
  ]),
  group(
    "RFC 9112 5.1",
    "white space between a name and its colon is refused; a name is a token",
    [REFUSED],
    [
      ["a space before the colon", get("X : a")],
      ["HTAB before the colon", get("X\t: a")],
      ["a space before Content-Length's colon", post(["Content-Length : 5"], "hello")],
      ["an empty name", get(": a")],
      ["a line without a colon", get("X")],
      ["a space in a name", get("X Y: a")],
      ["a separator in a name", get("X(Y): a")],
      ["NUL in a name", get("X\0: a")],
      ["a byte over 0x7F in a name", get("X\xe9: a")],
    ],
  ),
  group(
    "RFC 9112 5.2",
    "a folded line is refused, or its fold becomes SP",
    [REFUSED, TAKEN],
    [
      ["a fold", get("X: a", " b")],
      ["a fold with HTAB", get("X: a", "\tb")],
      ["a fold after an empty value", get("X:", " a")],
      ["a fold with nothing in it", get("X: a", " ")],
      ["a folded Content-Length", post(["Content-Length:", " 5"], "hello"), [REFUSED, POSTED]],
      [
        "a folded Transfer-Encoding",
        post(["Transfer-Encoding:", " chunked"], "5\r\nhello\r\n0\r\n\r\n"),
        [
          REFUSED,
          POSTED,
        ],
      ],
    ],
  ),
  group(
    "RFC 9110 5.5",
    "CR, LF and NUL in a value are refused or become SP; other control characters may stay in text that is " +
      "safe from them",
    [REFUSED, TAKEN],
    [
      ["NUL in a value", get("X: a\0b")],
      ["a control character in a value", get("X: a\x01b")],
      ["vertical tab before a value", get("X: \x0ba")],
      ["DEL in a value", get("X: a\x7fb")],
    ],
  ),
  group(
    "RFC 6585 5",
    "a server may refuse a section that is too large, with 431",
    ["431, closed", "4xx, closed"],
    [
      ["a field of 20,000 bytes", get(`X: ${"a".repeat(20_000)}`), [
        "431, closed",
        "4xx, closed",
        TAKEN,
      ]],
      ["500 fields", get(...Array<string>(500).fill("X: a")), [
        "431, closed",
        "4xx, closed",
        TAKEN,
      ]],
    ],
  ),
  group(
    "RFC 9110 10.1.1",
    "100 comes before the final answer, unless the body was there or in HTTP/1.0; another expectation may " +
      "get 417",
    ["100, 200 POST a/ 5, next"],
    [
      ["a client that waits for 100", [
        post(["Content-Length: 5", "Expect: 100-continue"], ""),
        "hello",
      ]],
      ["100-Continue in capitals", [
        post(["Content-Length: 5", "Expect: 100-Continue"], ""),
        "hello",
      ]],
      ["a client that waits with chunks to send", [
        post(["Transfer-Encoding: chunked", "Expect: 100-continue"], ""),
        "5\r\nhello\r\n0\r\n\r\n",
      ]],
      [
        "a client that does not wait for 100",
        post(["Content-Length: 5", "Expect: 100-continue"], "hello"),
        [
          POSTED,
          "100, 200 POST a/ 5, next",
        ],
      ],
      ["100-continue without a body", get("Expect: 100-continue"), [TAKEN, `100, ${TAKEN}`]],
      ["100-continue with an empty body", post(["Content-Length: 0", "Expect: 100-continue"], ""), [
        "200 POST a/ 0, next",
        "100, 200 POST a/ 0, next",
      ]],
      ["100-continue in HTTP/1.0", [
        "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
      ], ["200 POST a/ 5, closed"]],
      [
        "100-continue that is answered without the body",
        request("POST /early HTTP/1.1", "Content-Length: 5", "Expect: 100-continue"),
        ["200 early, closed", "100, 200 early, closed"],
        "ends",
      ],
      ["an expectation that nobody knows", get("Expect: 200-ok"), [
        "417, closed",
        "417, next",
        TAKEN,
      ]],
    ],
  ),
  group(
    "RFC 9110 7.8",
    "an Upgrade may be ignored; it is in HTTP/1.0, and without the connection option",
    [TAKEN],
    [
      ["an Upgrade to what nobody knows", get("Upgrade: no/1", "Connection: Upgrade")],
      [
        "an Upgrade to h2c",
        get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ"),
      ],
      ["an Upgrade without the connection option", get("Upgrade: h2c")],
      [
        "an Upgrade with a body",
        post(["Upgrade: no/1", "Connection: Upgrade", "Content-Length: 5"], "hello"),
        [
          POSTED,
        ],
      ],
      [
        "an Upgrade that a handler accepts",
        request("GET /upgrade HTTP/1.1", "Upgrade: no/1", "Connection: Upgrade"),
        [
          "101, closed",
          "200 GET a/upgrade 0, next",
        ],
      ],
      [
        "that Upgrade in HTTP/1.0",
        "GET /upgrade HTTP/1.0\r\nHost: a\r\nUpgrade: no/1\r\nConnection: Upgrade\r\n\r\n",
        [
          "200 GET a/upgrade 0, closed",
        ],
      ],
    ],
  ),
  group(
    "RFC 9112 9.3",
    "a connection persists unless close is asked for, or in HTTP/1.0",
    [TAKEN],
    [
      ["no connection option", get()],
      ["keep-alive", get("Connection: keep-alive")],
      ["an option that nobody knows", get("Connection: x")],
      ["close", get("Connection: close"), ["200 GET a/ 0, closed"]],
      ["CLOSE in capitals", get("Connection: CLOSE"), ["200 GET a/ 0, closed"]],
      ["close among others", get("Connection: x, close"), ["200 GET a/ 0, closed"]],
      ["close in a second field", get("Connection: x", "Connection: close"), [
        "200 GET a/ 0, closed",
      ]],
      ["keep-alive and close", get("Connection: keep-alive, close"), ["200 GET a/ 0, closed"]],
      ["close with a body", post(["Connection: close", "Content-Length: 5"], "hello"), [
        "200 POST a/ 5, closed",
      ]],
      ["HTTP/1.0", http10("Host: a"), ["200 GET a/ 0, closed"]],
      ["HTTP/1.0 without a Host", http10(), [
        "200 GET -/ 0, closed",
        "200 GET / 0, closed",
        "200 GET localhost/ 0, closed",
      ]],
      ["HTTP/1.0 with keep-alive", http10("Host: a", "Connection: keep-alive"), [
        TAKEN,
        "200 GET a/ 0, closed",
      ]],
      ["HTTP/1.0 with Keep-Alive in capitals", http10("Host: a", "Connection: Keep-Alive"), [
        TAKEN,
        "200 GET a/ 0, closed",
      ]],
      [
        "HTTP/1.0 with keep-alive and a stream for an answer",
        "GET /stream HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        [
          "200 stream, closed",
        ],
      ],
    ],
  ),
];
