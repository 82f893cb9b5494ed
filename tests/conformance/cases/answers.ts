// Answers: HEAD, those without a body, and the order of many (RFC 9110 6 and 9, RFC 9112 9.3).

import { get, type Group, group, post, request, TAKEN } from "../case.ts";

const ECHO = TAKEN.replace(", next", "");

export const ANSWERS: readonly Group[] = [
  group("RFC 9110 9.3.2", "an answer to HEAD ends with its head", ["200, next"], [
    ["HEAD", request("HEAD / HTTP/1.1")],
    ["HEAD of a stream", request("HEAD /stream HTTP/1.1")],
    ["HEAD with a body", request("HEAD / HTTP/1.1", "Content-Length: 5") + "hello", [
      "200, next",
      "4xx, closed",
    ]],
    ["HEAD of what is refused", request("HEAD / HTTP/1.1", "Content-Length: x"), ["400, closed"]],
    [
      "HEAD whose body is refused",
      request("HEAD / HTTP/1.1", "Transfer-Encoding: chunked") + "x\r\n",
      ["400, closed", "4xx, closed", "closed"],
    ],
    ["HEAD in HTTP/1.0", "HEAD / HTTP/1.0\r\nHost: a\r\n\r\n", ["200, closed"]],
  ]),
  group(
    "RFC 9112 6.3",
    "204 and 304 end with their head; a body of unknown length comes in chunks",
    ["204, next"],
    [
      ["204", request("GET /204 HTTP/1.1")],
      ["204 in HTTP/1.0", "GET /204 HTTP/1.0\r\nHost: a\r\n\r\n", ["204, closed"]],
      ["304", request("GET /304 HTTP/1.1"), ["304, next"]],
      ["HEAD of 304", request("HEAD /304 HTTP/1.1"), ["304, next"]],
      ["a stream", request("GET /stream HTTP/1.1"), ["200 stream, next"]],
      ["a stream to HTTP/1.0", "GET /stream HTTP/1.0\r\nHost: a\r\n\r\n", ["200 stream, closed"]],
    ],
  ),
  group("RFC 9112 9.3.2", "requests that come at once are answered in their order", [
    `${ECHO}, ${TAKEN}`,
  ], [
    ["two GETs", get() + get()],
    ["a GET after a POST", post(["Content-Length: 5"], "hello") + get(), [
      `200 POST a/ 5, ${TAKEN}`,
    ]],
    [
      "a GET after chunks",
      post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n") + get(),
      [
        `200 POST a/ 5, ${TAKEN}`,
      ],
    ],
    ["a GET after a HEAD", request("HEAD / HTTP/1.1") + get(), [`200, ${TAKEN}`]],
    ["a GET after a stream", request("GET /stream HTTP/1.1") + get(), [`200 stream, ${TAKEN}`]],
    ["a CRLF between two GETs", `${get()}\r\n${get()}`],
    ["ten GETs", get().repeat(10), [[...Array<string>(9).fill(ECHO), TAKEN].join(", ")]],
    ["a GET after close", get("Connection: close") + get(), [`${ECHO}, closed`]],
    ["a GET after what is refused", get("X : a") + get(), ["400, closed"]],
    ["what is refused after a GET", get() + get("X : a"), [`${ECHO}, 400, closed`]],
    [
      "a GET, and then half of one",
      get() + "GET / HT",
      [`${ECHO}, 400, closed`, `${ECHO}, closed`, "closed"],
      "ends",
    ],
  ]),
  group(
    "RFC 9110 10.1.1",
    "a server that answers before it has read the body says whether it closes, and reads it or closes",
    ["200 early, next", "200 early, closed"],
    [
      ["a body that nobody reads", request("POST /early HTTP/1.1", "Content-Length: 5") + "hello"],
      [
        "chunks that nobody reads",
        request("POST /early HTTP/1.1", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
      ],
      [
        "chunks that nobody reads, and are none",
        request("POST /early HTTP/1.1", "Transfer-Encoding: chunked") + "x\r\nhello\r\n0\r\n\r\n",
        ["200 early, closed", "400, closed", "closed"],
      ],
      [
        "a body of 200,000 bytes that nobody reads",
        request("POST /early HTTP/1.1", "Content-Length: 200000") + "a".repeat(200_000),
        ["200 early, closed", "200 early, next"],
      ],
    ],
  ),
];
