import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { compilePath, RouteError } from "../../listener.ts";

const PARTS: [pattern: string, parts: string[]][] = [
  ["", []],
  ["plain text", ["plain text"]],
  ["GET:/user/<username>/<page:int>", ["GET:/user/", "username:/[^/]+/", "/", "page:/[0-9]+/"]],
  ["{a}-{b:float}", ["a:/[^/]+/", "-", "b:/[0-9]+(?:\\.[0-9]+)?/"]],
  ["<a>{b:path}", ["a:/[^/]+/", "b:/[^]*/"]],
  ["step 1: save <username>'s data", ["step 1: save ", "username:/[^/]+/", "'s data"]],
  ["a < b > {} <> <1> <a b> {a> <é>", ["a < b > {} <> <1> <a b> {a> <é>"]],
  ["<<a>>", ["<", "a:/[^/]+/", ">"]],
];
for (const [pattern, parts] of PARTS) {
  Deno.test(`compilePath() splits "${pattern}"`, () => {
    const compiled = compilePath(pattern);
    assertStrictEquals(compiled.pattern, pattern);
    assertEquals(
      compiled.parts.map((part) =>
        typeof part === "string" ? part : `${part.name}:${part.converter.regex}`
      ),
      parts,
    );
  });
}

const REFUSED: [what: string, pattern: string, message: string][] = [
  [
    "a param name used twice",
    "GET:/user/<id>/<id>",
    'Cannot add route "GET:/user/<id>/<id>": param "id" occurs twice',
  ],
  ["a param name used in both kinds of brackets", "<id> {id:int}", 'param "id" occurs twice'],
  [
    "a converter it does not know",
    "<id:integer>",
    'unknown converter "integer"; expected one of str, int, float, path, uuid',
  ],
  ["a param that would be the prototype", "<__proto__>", 'cannot be named "__proto__"'],
];
for (const [what, pattern, message] of REFUSED) {
  Deno.test(`compilePath() rejects ${what}`, () => {
    assertThrows(() => compilePath(pattern), RouteError, message);
  });
}

Deno.test("compilePath() takes everything outside params literally, anchored at both ends", () => {
  const { regex } = compilePath("a.b*c(d)[e]^$|\\/+? <x>");
  assertEquals(regex.exec("a.b*c(d)[e]^$|\\/+? y")?.groups?.x, "y");
  assertEquals(regex.test("aXb*c(d)[e]^$|\\/+? y"), false);
  assertEquals(regex.test(" a.b*c(d)[e]^$|\\/+? y"), false);
  assertEquals(regex.test("a.b*c(d)[e]^$|\\/+? y/"), false);
});
