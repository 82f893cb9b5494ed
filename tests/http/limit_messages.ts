// Messages that have as much of something as a limit allows, or more.

import type { ServerOptions } from "../../http_context.ts";

/** The head of a POST with a body in chunks. */
export const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/** `start`, as many characters as make the whole `size` bytes long, and `end`. */
function padded(start: string, size: number, end: string): string {
  return start + "a".repeat(size - start.length - end.length) + end;
}

/** Chunks whose extensions have `size` bytes in all, in lines far below the limit of a line. */
function extensions(size: number): string {
  const lines: string[] = [];
  for (let left = size; left > 0; left -= 1000) {
    lines.push(`1${padded(";", Math.min(left, 1000), "")}\r\nx\r\n`);
  }
  return lines.join("");
}

/** What a client may send, how much of it by default, a message with so much, and the status of more. */
export const LIMITS: [
  what: string,
  max: number,
  message: (size: number) => string,
  status: number,
  option?: keyof ServerOptions,
][] = [
  [
    "bytes of a head",
    16 * 1024,
    (size) => padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", size, "\r\n\r\n"),
    431,
    "maxHeadSize",
  ],
  [
    "bytes of a target",
    8 * 1024,
    (size) => `GET ${padded("/", size, "")} HTTP/1.1\r\nHost: a\r\n\r\n`,
    414,
    "maxTargetSize",
  ],
  [
    "fields",
    100,
    (count) => `GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(count - 1)}\r\n`,
    431,
    "maxFields",
  ],
  [
    "bytes of a method",
    64,
    (size) => `${padded("", size, "")} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    501,
  ],
  [
    "bytes of a chunk's line",
    4 * 1024,
    (size) => `${CHUNKED}${padded("1;", size, "\r\n")}x\r\n0\r\n\r\n`,
    400,
  ],
  [
    "bytes of chunk extensions in a message",
    16 * 1024,
    (size) => `${CHUNKED}${extensions(size)}0\r\n\r\n`,
    400,
  ],
  [
    "bytes of a trailer section",
    16 * 1024,
    (size) => `${CHUNKED}0\r\n${padded("X: ", size, "\r\n\r\n")}`,
    431,
    "maxHeadSize",
  ],
  [
    "fields of a trailer section",
    100,
    (count) => `${CHUNKED}0\r\n${"X: a\r\n".repeat(count)}\r\n`,
    431,
    "maxFields",
  ],
  [
    "bytes of a body with Content-Length",
    16 * 1024,
    (size) =>
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${padded("", size, "")}`,
    413,
    "maxBodySize",
  ],
  [
    "bytes of a body in chunks",
    16 * 1024,
    (size) => `${CHUNKED}${size.toString(16)}\r\n${padded("", size, "")}\r\n0\r\n\r\n`,
    413,
    "maxBodySize",
  ],
];
