// What tests of sending begin with: requests that are answered, responses, and the framing of "hello".

import * as h11 from "../../h11.ts";

export type Pairs = [name: string, value: string][];

/** A request as a client of HTTP/1.1 sends it, or of another version. */
export function request(method: string, version = "1.1", ...lines: string[]): string {
  const target = method === "CONNECT" ? "a:443" : "/";
  return [`${method} ${target} HTTP/${version}`, "Host: a", ...lines, "\r\n"].join("\r\n");
}

export function response(statusCode: number, headers: h11.HeadersInit = []): h11.Response {
  return new h11.Response({ statusCode, reason: "x", headers });
}

export const CL: Pairs = [["Content-Length", "5"]];
export const TE: Pairs = [["Transfer-Encoding", "chunked"]];
export const CHUNKED = "5\r\nhello\r\n0\r\n\r\n";
export const CHUNKED_LINE = "Transfer-Encoding: chunked";
export const CLOSE = "Connection: close";
