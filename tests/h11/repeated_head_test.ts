// What a client repeats is read as if it came for the first time (properties_test.ts has that at random), and what
// is kept for it is bounded.

import { assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import { parseRequest } from "../../h11/heads.ts";
import { heads, place } from "../../h11/received_fields.ts";
import { RepeatedHead } from "../../h11/repeated_head.ts";
import { converse, latin1, server } from "./log.ts";

/** Reads heads as a connection does. @returns How many bytes are kept after each. */
function keptAfter(texts: Iterable<string>): number[] {
  const repeated = new RepeatedHead();
  return Array.from(texts, (text) => {
    const bytes = latin1(text);
    place(bytes, 0, bytes.length);
    parseRequest(heads, heads.used, heads.used + bytes.length, {
      rules: "strict",
      maxSize: 0,
      maxTargetSize: 0,
      maxFields: 0,
      trailers: false,
      repeated,
    });
    return repeated.size;
  });
}

function head(target: string, ...fields: string[]): string {
  return [`GET ${target} HTTP/1.1`, "Host: a", ...fields, "\r\n"].join("\r\n");
}

/** `count` heads of one length, no two of which are the same. */
function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => head("/", `X-Id: ${100_000 + i}`));
}

const LONG = `X: ${"x".repeat(4096)}`;
const KEPT: [what: string, heads: string[], kept: string][] = [
  ["nothing of one request", [head("/a")], ""],
  ["a head that came twice", [head("/a"), head("/a")], head("/a")],
  ["a head whose fields came twice", [head("/a"), head("/bc")], head("/bc")],
  ["a head that comes after another again", [head("/a"), head("/a"), head("/bc")], head("/a")],
  ["nothing of heads of different lengths", [head("/"), head("/", "A: b"), head("/")], ""],
  ["nothing of over 4 KiB", [head("/", LONG), head("/", LONG)], ""],
  ["one of eight heads that are as long and come once", numbered(9), head("/", "X-Id: 100000")],
  ["nothing of more of them", numbered(10), ""],
  ["nothing for 100 requests after that", [...numbered(10), ...Array(100).fill(head("/"))], ""],
  ["a head that comes again later", [...numbered(10), ...Array(102).fill(head("/"))], head("/")],
];
for (const [what, heads, kept] of KEPT) {
  Deno.test(`RepeatedHead keeps ${what}`, () => {
    assertEquals(keptAfter(heads).at(-1), kept.length);
  });
}

Deno.test("RepeatedHead keeps what came again however much else comes between", () => {
  const other = head("/", "A: b");
  const sizes = keptAfter([head("/"), ...Array(100).fill([head("/"), other]).flat()]);
  assertEquals(new Set(sizes.slice(1)), new Set([head("/").length]));
});

const [OLD, NEW] = ["/ HTTP/1.0\r\n", "/ HTTP/1.1\r\n"];
const NO_HOST = "Connection: keep-alive\r\n\r\n";
const CHUNKED = "Host: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
// Fields that are right behind one request line and wrong behind another.
const JUDGED: [what: string, taken: string, refused: string][] = [
  ["a Host of HTTP/1.1", `GET ${OLD}${NO_HOST}`, `GET ${NEW}${NO_HOST}`],
  [
    "no Transfer-Encoding in HTTP/1.0",
    `POST ${NEW}${CHUNKED}0\r\n\r\n`,
    `POST ${OLD}${CHUNKED}0\r\n\r\n`,
  ],
];
for (const [what, taken, refused] of JUDGED) {
  Deno.test(`SERVER asks for ${what} behind fields that it has taken before`, () => {
    const { lines, error } = converse(server(), [latin1(taken.repeat(4) + refused)]);
    assertEquals(lines.filter((line) => line === "end").length, 4);
    assertEquals(error?.errorStatusHint, 400);
  });
}

Deno.test("SERVER tells heads from a repeated one by any single bit", () => {
  const conn = server();
  const usual = "a".repeat(20);
  // "`" and "a" differ in their lowest bit.
  const others = Array.from(usual, (_, i) => usual.slice(0, i) + "`" + usual.slice(i + 1));
  const different = others.flatMap((it) => [[it, usual], [usual, it], [it, it]]);
  const pairs = [
    ...Array(3).fill([usual, usual]),
    ...different.flatMap((it) => [it, [usual, usual]]),
  ];
  for (const [target, value] of pairs) {
    conn.receiveData(latin1(head(`/${target}`, `X: ${value}`)));
    const request = conn.nextEvent() as h11.Request;
    assertEquals([request.target, request.headers.get("x")], [`/${target}`, value]);
    conn.nextEvent();
    conn.sendWhole(new h11.Response({ statusCode: 200 }), new Uint8Array(0));
    conn.startNextCycle();
  }
});

Deno.test("SERVER reads other fields that are as long as the repeated ones behind another request line", () => {
  const other = head("/b", "Content-Length: 1") + "x";
  const { lines } = converse(server(), [
    latin1(head("/", "Content-Length: 0").repeat(4) + other),
  ]);
  assertEquals(lines.slice(-3), ["GET /b HTTP/1.1\nHost: a\nContent-Length: 1", "data x", "end"]);
});

Deno.test("SERVER makes a request of its own of each head that comes again", () => {
  const conn = server();
  const requests = Array.from({ length: 4 }, () => {
    conn.receiveData(latin1(head("/", "A: b")));
    const request = conn.nextEvent() as h11.Request;
    conn.nextEvent();
    conn.sendWhole(new h11.Response({ statusCode: 200 }), new Uint8Array(0));
    conn.startNextCycle();
    return request;
  });
  assertEquals(new Set(requests).size, 4);
  for (const request of requests) {
    // The pairs are the caller's.
    for (const pair of request.headers) pair[1] += "!";
    assertEquals([...request.headers], [["host", "a"], ["a", "b"]]);
  }
});
