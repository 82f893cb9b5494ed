// All JavaScript parsers in one Node process. Bundled and run by node.ts; prints nanoseconds as JSON.

import { Buffer } from "node:buffer";
import { BROWSER_GET, BROWSER_GET_READ, CHUNKED_BODY_SIZE, type Read } from "./cases.ts";
import * as httpParserJs from "./http_parser_js.ts";
import * as ours from "./ours.ts";

interface NativeParser {
  initialize(kind: number, resource: object): void;
  execute(bytes: Buffer, start: number, length: number): number;
  [callback: number]: unknown;
}
interface NativeBinding {
  HTTPParser: { new (): NativeParser; [constant: string]: number };
  methods: string[];
}
// llhttp as Node's own server uses it. The name is deprecated, the benchmark has no other way to it.
const { HTTPParser, methods } = (
  globalThis as unknown as { process: { binding(name: string): NativeBinding } }
).process.binding("http_parser");

const bytes = Buffer.from(BROWSER_GET, "latin1");
const llhttp = new HTTPParser();
llhttp.initialize(HTTPParser.REQUEST, {});
let last: { fields: string[]; method: number; url: string };
llhttp[HTTPParser.kOnHeadersComplete] = (
  _major: number,
  _minor: number,
  fields: string[],
  method: number,
  url: string,
): number => {
  last = { fields, method, url };
  return 0;
};
llhttp[HTTPParser.kOnMessageComplete] = (): void => {};

function llhttpParse(): number {
  llhttp.execute(bytes, 0, bytes.length);
  return last.fields.length;
}

function llhttpReadAll(): Read {
  llhttpParse();
  const { fields, method, url } = last;
  const headers: Read["headers"] = [];
  for (let i = 0; i < fields.length; i += 2) headers.push([fields[i].toLowerCase(), fields[i + 1]]);
  return { method: methods[method], target: url, headers };
}

for (
  const [name, readAll] of Object.entries({
    llhttp: llhttpReadAll,
    "http-parser-js": httpParserJs.readAll,
    ours: ours.readAll,
  })
) {
  const [read, expected] = [JSON.stringify(readAll()), JSON.stringify(BROWSER_GET_READ)];
  if (read !== expected) throw new Error(`${name} reads ${read}, expected ${expected}`);
}
if (ours.readChunkedBody() !== CHUNKED_BODY_SIZE) throw new Error("the chunked body is not whole");

/** What is timed, and how often in a round. */
const CASES: Record<string, [run: () => number, times: number]> = {
  "llhttp parse": [llhttpParse, 50_000],
  "http-parser-js parse": [httpParserJs.parse, 20_000],
  "ours cycle": [ours.cycle, 50_000],
  "ours cycle, same head again": [ours.cycleAgain, 50_000],
  "ours cycle, each field read": [ours.cycleWithHeaders, 50_000],
  "ours chunked 1 MiB": [ours.readChunkedBody, 200],
};
const ROUNDS = 10;

// The rounds are interleaved, so that what else the machine does meets all the same.
const best: Record<string, number> = {};
let sink = 0;
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, [run, times]] of Object.entries(CASES)) {
    const start = performance.now();
    for (let i = 0; i < times; i++) sink += run();
    const ns = (performance.now() - start) * 1e6 / times;
    best[name] = Math.min(best[name] ?? Infinity, ns);
  }
}
console.log(JSON.stringify({ best, sink }));
