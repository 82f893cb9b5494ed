// What the servers are asked: each case is a request, the answer that is right, and what HTTPListener is
// to reach.

import { BROWSER_GET } from "./h11/cases.ts";
import { confirm, greet, LARGE, LARGE_SIZE, ORDER, page } from "./peers/content.ts";

/** Ratios to Deno.serve in the same round. */
export interface Target {
  /** Requests per second, at least. */
  rps: number;
  /** CPU time per request, at most. */
  cpu: number;
}

/** What the servers are asked in one row of the table. */
export interface Case {
  /** Its name on the command line. */
  name: string;
  /** Its name in tables. */
  title: string;
  /** The path that is asked for. */
  path: string;
  /** The request's line, and its fields without Host. */
  head: string[];
  /** Heads that take turns with that one. */
  others?: string[][];
  /** The request's body. */
  body?: string;
  /** So many requests are sent at once, before an answer is read; 1 if not given. */
  pipelined?: number;
  /** The body of the answer. */
  answer: string;
  /** The answer comes in chunks, without `Content-Length`. */
  isStreamed?: boolean;
  /** Over TLS. */
  isTls?: boolean;
  /** So many routes are registered beside the others. */
  routes?: number;
  /** Only these peers take part, by their names; all if not given. */
  peers?: readonly string[];
  /** What HTTPListener is to reach. */
  target?: Target;
}

const GET = { path: "/user/bob", head: ["GET /user/bob HTTP/1.1"], answer: greet("bob") };
const BROWSER_FIELDS = BROWSER_GET.split("\r\n").slice(1, -2).filter((it) => !/^Host:/.test(it));
const order = JSON.stringify(ORDER);
const large = new TextDecoder().decode(LARGE);
const ROUTES = 10_000;

/** A large body that is counted. */
function upload(path: string): Pick<Case, "path" | "head" | "body" | "answer"> {
  return {
    path,
    head: [`POST ${path} HTTP/1.1`, "Content-Type: application/octet-stream"],
    body: large,
    answer: `${LARGE_SIZE}`,
  };
}

/** All cases, in the order of the table. */
export const CASES: readonly Case[] = [
  {
    ...GET,
    name: "get",
    title: "`GET /user/bob`, minimal headers",
    target: { rps: 1, cpu: 1 },
  },
  {
    ...GET,
    name: "browser",
    title: "the same with 12 browser headers",
    head: [...GET.head, ...BROWSER_FIELDS],
    target: { rps: 1, cpu: 1 },
  },
  {
    ...GET,
    name: "varied",
    title: "these, and each request unlike the last",
    head: [...GET.head, ...BROWSER_FIELDS],
    // They take turns among 64 connections, so a connection hardly ever sends two of one length, one after the
    // other: there is nothing that a client repeats.
    others: Array.from({ length: 60 }, (_, i) => [
      `GET /user/bob${i} HTTP/1.1`,
      ...BROWSER_FIELDS,
      `X-Padding: ${"x".repeat(i)}`,
    ]),
    target: { rps: 1, cpu: 1 },
  },
  {
    ...GET,
    name: "pipelined",
    title: "16 pipelined",
    pipelined: 16,
    target: { rps: 5, cpu: 0.2 },
  },
  {
    name: "json",
    title: "POST 1 KiB of JSON, parsed and answered",
    path: "/json",
    head: ["POST /json HTTP/1.1", "Content-Type: application/json"],
    body: order,
    answer: JSON.stringify(confirm(ORDER)),
    target: { rps: 1.15, cpu: 0.85 },
  },
  {
    name: "page",
    title: "a page of 4 KiB, put together",
    path: "/page",
    head: ["GET /page HTTP/1.1"],
    answer: page(),
    peers: ["raw", "deno_serve", "listener", "serve", "hono", "node_http", "fastify"],
  },
  {
    name: "large",
    title: "1 MiB response from memory",
    path: "/large",
    head: ["GET /large HTTP/1.1"],
    answer: large,
    target: { rps: 1.5, cpu: 0.68 },
  },
  {
    name: "stream",
    title: "1 MiB streamed response, 64 KiB chunks",
    path: "/stream",
    head: ["GET /stream HTTP/1.1"],
    answer: large,
    isStreamed: true,
    target: { rps: 0.95, cpu: 1.05 },
  },
  {
    name: "upload",
    title: "1 MiB upload, streamed and counted",
    ...upload("/upload"),
    target: { rps: 2, cpu: 0.45 },
  },
  {
    name: "for_await",
    title: "the same, all read with `for await`",
    ...upload("/for-await"),
    peers: ["raw", "deno_serve", "listener", "serve"],
  },
  {
    name: "routes",
    title: "10,000 routes registered",
    // The one that was registered last.
    path: `/user${ROUTES - 1}/bob`,
    head: [`GET /user${ROUTES - 1}/bob HTTP/1.1`],
    answer: greet("bob"),
    routes: ROUTES,
    target: { rps: 1, cpu: 1 },
  },
  {
    ...GET,
    name: "tls",
    title: "TLS, GET",
    isTls: true,
    target: { rps: 0.95, cpu: 1.05 },
  },
];

/** What serve() is to reach in the case `get`. */
export const SERVE_TARGET: Target = { rps: 0.85, cpu: 1.15 };

/** What is sent for a case: all of its requests at once. */
export function requestOf({ head, body = "", pipelined = 1 }: Case, host: string): string {
  const [line, ...fields] = head;
  const length = body === "" ? [] : [`Content-Length: ${body.length}`];
  const request = [line, `Host: ${host}`, ...fields, ...length, "", body].join("\r\n");
  return request.repeat(pipelined);
}
