// deno-lint-ignore-file no-import-prefix -- peers of a benchmark are no dependencies of the package
// http-parser-js, a parser in JavaScript with the interface of Node's own.

// @ts-types="./http_parser_js.d.ts"
import { HTTPParser } from "npm:http-parser-js@0.5.10";
import { Buffer } from "node:buffer";
import { BROWSER_GET, type Read } from "./cases.ts";

const bytes = Buffer.from(BROWSER_GET, "latin1");
const parser = new HTTPParser(HTTPParser.REQUEST);
let last: { method: number; url: string; headers: string[] };
parser[HTTPParser.kOnHeadersComplete] = (info) => {
  last = info;
};
parser[HTTPParser.kOnMessageComplete] = () => {};

/** Reads the request, with its fields. */
export function parse(): number {
  parser.execute(bytes, 0, bytes.length);
  return last.headers.length;
}

/** What it reads in the request. */
export function readAll(): Read {
  parse();
  const { method, url, headers } = last;
  const pairs: Read["headers"] = [];
  for (let i = 0; i < headers.length; i += 2) {
    pairs.push([headers[i].toLowerCase(), headers[i + 1]]);
  }
  return { method: HTTPParser.methods[method], target: url, headers: pairs };
}
