import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HTTPListener, RouteError } from "../../mod.ts";

const FORM = 'must be "METHOD:/path"';
const PARAM = 'write a param as "<name>" or "<name:converter>"';

const REFUSED: [pattern: string, message: string][] = [
  ["/", FORM],
  ["/foo", FORM],
  ["GET /foo", FORM],
  ["get /foo", FORM],
  ["GET:foo", FORM],
  ["GET: /foo", FORM],
  ["GET :/foo", FORM],
  ["GET:", FORM],
  ["POST:users/<id>", FORM],
  ["GET:/a/../b", 'remove "." and ".."'],
  ["GET:/%2E", 'remove "." and ".."'],
  ["GET|POST:/a", "register a route for each method"],
  ["*:/a", 'to match all methods, begin with a param, as in "<method>:/foo"'],
  ["all:/a", 'to match all methods, begin with a param, as in "<method>:/foo"'],
  ["GET,POST:/a", "register a route for each method"],
  ["GET, POST /a", "register a route for each method"],
  ["get:/foo", "methods are upper case"],
  ["Get:/foo", "methods are upper case"],
  ["get: /foo", "methods are upper case"],
  ["GET:/:id", 'write a param as "<id>", not as ":id"'],
  ["GET:/user/:id/posts", 'write a param as "<id>", not as ":id"'],
  ["GET:/*", 'write the rest of a path as "<rest:path>", not as "*"'],
  ["GET:/a/*", 'write the rest of a path as "<rest:path>", not as "*"'],
  ["GET:/a/**/b", 'write the rest of a path as "<rest:path>", not as "*"'],
  ["GET:/<id", PARAM],
  ["GET:/<>", PARAM],
  ["GET:/<my-id>", PARAM],
  ["GET:/<id?>", PARAM],
  ["GET:/{1st}", PARAM],
  ["GET:/{id:int", PARAM],
  ["GET:/<int:id:3>", PARAM],
  ["GET:/search?q=<q>", "the query is not part of the path; omit it, and read ctx.query"],
  ["GET:/<id>?", "the query is not part of the path"],
  ["GET:/a#top", "clients do not send what follows #"],
  ["GET:/a b", 'a path contains no whitespace; clients send "%20"'],
  ["GET:/a\n", "a path contains no whitespace"],
  ["GET:/café", 'a path is ASCII; clients send other characters encoded, as in "%C3%A9"'],
];
for (const [pattern, message] of REFUSED) {
  Deno.test(`HTTPListener.onEvent() refuses ${JSON.stringify(pattern)}`, () => {
    const register = (): unknown => new HTTPListener().onEvent(pattern, () => {});
    const { message: found } = assertThrows(register, RouteError);
    assertStringIncludes(found, `Cannot add route "${pattern}": ${message}`);
  });
}

const TAKEN: string[] = [
  "GET:/",
  "GET:/user/<username>/<page:int>",
  "GET:/{file:path}",
  "GET:/<a>-<b>.<c:float>",
  "GET:/v1/<name>:cancel",
  "GET:/a*b",
  "GET:/@<user>/~x/(a)/[b]",
  "GET://a",
  "GET:<path:path>",
  "GET:{path:path}",
  "BREW:/pot",
  "OPTIONS:*",
  "CONNECT:<host>:<port:int>",
  "CONNECT:example.com:443",
  "<_:path>",
  "<method>:/a",
  // Events that are no requests.
  "GET",
  "save <username>",
  "get <what> from <where>",
  "GET price of <what>",
  "TOPIC:/home/#",
  "post a letter: how?",
  "delete:user",
  "post:<id:int>",
  "What is #1?",
  "note:/a b",
  "step 1: save <username>'s data to database",
  "",
];
for (const pattern of TAKEN) {
  Deno.test(`HTTPListener.onEvent() takes ${JSON.stringify(pattern)}`, () => {
    assertEquals(new HTTPListener().onEvent(pattern, () => {}).pattern, pattern);
  });
}
