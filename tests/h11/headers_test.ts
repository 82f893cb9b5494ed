// Headers: what they are made from, what they refuse, how they are read. Everything that is read is
// read from built fields and from received ones.

import { assert, assertEquals, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import { latin1, server } from "./log.ts";

const PAIRS: [string, string][] = [
  ["Host", "a"],
  ["Accept", "text/html"],
  ["X-Empty", ""],
  ["ACCEPT", "text/plain"],
  ["accept", "*/*"],
  ["x-Latin", "\x80\xe9\xff"],
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZ-^_`|~", "@"],
  ["Y".repeat(300), "z".repeat(300)],
];

function received(pairs: [string, string][]): h11.Headers {
  const lines = pairs.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const conn = server();
  conn.receiveData(latin1(`GET / HTTP/1.1\r\n${lines}\r\n`));
  const event = conn.nextEvent();
  assert(event instanceof h11.Request);
  return event.headers;
}

for (
  const [what, make] of [
    ["built", () => new h11.Headers(PAIRS)],
    ["received", () => received(PAIRS)],
    ["copied from received ones", () => new h11.Headers(received(PAIRS))],
  ] as [string, () => h11.Headers][]
) {
  // Each on fields that nobody has read before, as text is made when somebody asks for it.
  Deno.test(`Headers ${what} iterate pairs with names in lower case`, () => {
    assertEquals([...make()], PAIRS.map(([name, value]) => [name.toLowerCase(), value]));
  });
  Deno.test(`Headers ${what} give raw items with names as they came`, () => {
    assertEquals(make().rawItems(), PAIRS);
  });
  Deno.test(`Headers ${what} join the values of a name`, () => {
    const headers = make();
    assertEquals(headers.get("accept"), "text/html, text/plain, */*");
    assertEquals(headers.get("Host"), "a");
    assertEquals(headers.get("x-empty"), "");
    assertEquals(headers.get("X-LATIN"), "\x80\xe9\xff");
    assertEquals(headers.get("abcdefghijklmnopqrstuvwxyz-^_`|~"), "@");
    assertEquals(headers.get("abcdefghijklmnopqrstuvwxyz-~_`|~"), null);
    assertEquals(headers.get("none"), null);
    assertEquals(headers.get(""), null);
  });
  Deno.test(`Headers ${what} give every value of a name`, () => {
    assertEquals(make().getAll("ACCEPT"), ["text/html", "text/plain", "*/*"]);
    assertEquals(make().getAll("none"), []);
  });
  Deno.test(`Headers ${what} know what they have`, () => {
    assertEquals(["host", "X-Empty", "hos", "hostt"].map((name) => make().has(name)), [
      true,
      true,
      false,
      false,
    ]);
    assertEquals(make().length, PAIRS.length);
  });
  Deno.test(`Headers ${what} do not change with what they gave`, () => {
    const headers = make();
    headers.rawItems()[0][1] = "b";
    headers.getAll("accept").length = 0;
    assertEquals(headers.rawItems(), PAIRS);
    assertEquals(headers.getAll("accept").length, 3);
  });
  Deno.test(`Headers ${what} show their fields when printed`, () => {
    assert(Deno.inspect(make()).includes("text/html"));
  });
}

Deno.test("A received request shows its parts when printed", () => {
  const conn = server();
  conn.receiveData(latin1("GET /shown HTTP/1.1\r\nHost: a\r\n\r\n"));
  const shown = Deno.inspect(conn.nextEvent());
  for (const part of ["GET", "/shown", "Host", "1.1"]) assert(shown.includes(part), shown);
});

Deno.test("Headers take nothing, pairs, a record, a Map and web Headers", () => {
  const expected: (readonly [string, string])[] = [["a", "1"], ["b", "2"]];
  assertEquals([...new h11.Headers()], []);
  assertEquals([...new h11.Headers([["A", "1"], ["B", "2"]])], expected);
  assertEquals([...new h11.Headers({ A: "1", B: "2" })], expected);
  assertEquals([...new h11.Headers(new Map([["A", "1"], ["B", "2"]]))], expected);
  assertEquals([...new h11.Headers(new Headers({ A: "1", B: "2" }))], expected);
});

Deno.test("Headers are taken by web Headers, and do not change with the pairs they give", () => {
  const headers = new h11.Headers([["A", "1"], ["B", "2"], ["a", "3"]]);
  // Compiling is the test: the type of a web Headers wants pairs that may be changed.
  assertEquals([...new globalThis.Headers(headers)], [["a", "1, 3"], ["b", "2"]]);
  for (const pair of headers) pair[1] = "changed";
  assertEquals([...headers], [["a", "1"], ["b", "2"], ["a", "3"]]);
});

Deno.test("Headers do not change with what they were made from", () => {
  const pairs: [string, string][] = [["A", "1"]];
  const headers = new h11.Headers(pairs);
  pairs[0][1] = "2";
  pairs.push(["B", "3"]);
  assertEquals(headers.rawItems(), [["A", "1"]]);
});

const REFUSED: [what: string, name: string, value: string][] = [
  ["an empty name", "", "a"],
  ["a space in a name", "X Y", "a"],
  ["a colon in a name", "X:", "a"],
  ["CR LF in a name", "X\r\nY", "a"],
  ["NUL in a name", "X\0", "a"],
  ["a letter over U+007F in a name", "Xé", "a"],
  ["a name over U+00FF", "X\u0158", "a"],
  ["a Kelvin sign as k", "\u212aeep-alive", "a"],
  ["CR LF in a value", "X", "a\r\nY: b"],
  ["CR in a value", "X", "a\rb"],
  ["LF in a value", "X", "a\nb"],
  ["LF at a value's end", "X", "a\n"],
  ["NUL in a value", "X", "a\0b"],
  ["a control character in a value", "X", "a\x1bb"],
  ["DEL in a value", "X", "a\x7fb"],
  ["a value over U+00FF", "X", "a\u010d\u010a"],
  ["U+0100 in a value", "X", "a\u0100"],
  ["a space before a value", "X", " a"],
  ["HTAB after a value", "X", "a\t"],
  ["a value of white space", "X", " "],
  ["null as the first value of a name", "X-Never-Before", null as unknown as string],
  ["a Content-Length with a sign", "Content-Length", "-1"],
  ["a list as Content-Length", "content-length", "5, 5"],
  ["a Content-Length of 2^53", "CONTENT-LENGTH", "9007199254740992"],
  ["a transfer coding that is not chunked", "Transfer-Encoding", "gzip"],
  ["chunked twice", "Transfer-Encoding", "chunked, chunked"],
];
for (const [what, name, value] of REFUSED) {
  Deno.test(`Headers refuse ${what}`, () => {
    assertThrows(() => new h11.Headers([[name, value]]), h11.LocalProtocolError, "Cannot ");
    assertThrows(() => new h11.Headers({ [name]: value }), h11.LocalProtocolError, "Cannot ");
  });
}

const NO_TEXT: [value: unknown, shown: string][] = [
  [5, "5 (a number)"],
  [true, "true (a boolean)"],
  [undefined, "undefined"],
  [null, "null"],
  [["a", "b"], "[object Array]"],
  [Object.create(null), "[object Object]"],
];
for (const [value, shown] of NO_TEXT) {
  Deno.test(`Headers refuse the value ${shown} as no string`, () => {
    assertThrows(
      () => new h11.Headers({ "X-A": value as string }),
      h11.LocalProtocolError,
      `Cannot use value ${shown} for field "X-A": must be a string`,
    );
  });
}

const REFUSED_TWICE: [name: string, value: string][] = [
  ["Content-Length", "5"],
  ["Transfer-Encoding", "chunked"],
];
for (const [name, value] of REFUSED_TWICE) {
  Deno.test(`Headers refuse ${name} twice`, () => {
    assertThrows(
      () => new h11.Headers([[name, value], [name.toLowerCase(), value]]),
      h11.LocalProtocolError,
      "Cannot ",
    );
  });
}
