// The protocol engine: one browser's GET, and a body of chunks. bench/h11/node.ts has the peers that
// Node and Python run.

import { assertEquals } from "@std/assert";
import { BROWSER_GET_READ, CHUNKED_BODY_SIZE } from "./h11/cases.ts";
import * as httpParserJs from "./h11/http_parser_js.ts";
import * as ours from "./h11/ours.ts";

// A parser that reads something else is not timed.
assertEquals(ours.readAll(), BROWSER_GET_READ);
assertEquals(httpParserJs.readAll(), BROWSER_GET_READ);
assertEquals(ours.readChunkedBody(), CHUNKED_BODY_SIZE);

Deno.bench("h11: read and answer", { group: "GET of 12 fields", baseline: true }, () => {
  ours.cycle();
});
Deno.bench("h11: read the same again and answer", { group: "GET of 12 fields" }, () => {
  ours.cycleAgain();
});
Deno.bench("h11: read each field and answer", { group: "GET of 12 fields" }, () => {
  ours.cycleWithHeaders();
});
Deno.bench("http-parser-js: read", { group: "GET of 12 fields" }, () => {
  httpParserJs.parse();
});

Deno.bench("h11: read 1 MiB in chunks of 16 KiB", { group: "body", baseline: true }, () => {
  ours.readChunkedBody();
});
