import { assertEquals } from "@std/assert";
import { HTTPListener } from "../../http_context.ts";
import type { FoundRoute } from "../../listener.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "GET /"));
  app.onEvent("GET:/user/<name>", ({ ctx, params }) => ctx.response(200, `GET ${params.name}`));
  app.onEvent("PUT:/user/<name>", ({ ctx, params }) => ctx.response(200, `PUT ${params.name}`));
  app.onEvent("GET:/page/<n:int>", ({ ctx, params }) => ctx.response(200, `page ${params.n + 1}`));
  app.onEvent("GET:/files/<path:path>", ({ ctx, params }) => ctx.response(200, params.path));
  app.onEvent("HEAD:/both", ({ ctx }) => ctx.response(200, null, { "X-Route": "HEAD" }));
  app.onEvent("GET:/both", ({ ctx }) => ctx.response(200, null, { "X-Route": "GET" }));
  app.onEvent("OPTIONS:/own", ({ ctx }) => ctx.response(200, "own options"));
  app.onEvent("BREW:/pot", ({ ctx }) => ctx.response(418, "short and stout"));
  app.onEvent("M-SEARCH:/pot", ({ ctx }) => ctx.response(200, "found"));
}

// Method, target, and the answer: status, the fields that matter here, body.
const ROUTED: [line: string, status: number, fields: Record<string, string>, body: string][] = [
  ["GET /", 200, {}, "GET /"],
  ["GET /?a=1", 200, {}, "GET /"],
  ["GET http://example.com/user/bob?a=1", 200, {}, "GET bob"],
  ["GET http://example.com", 200, {}, "GET /"],
  ["GET http://example.com?a=/b", 200, {}, "GET /"],
  ["GET /user/bob", 200, {}, "GET bob"],
  ["PUT /user/bob", 200, {}, "PUT bob"],
  ["GET /page/41", 200, {}, "page 42"],
  ["GET /page/x", 404, {}, "Not Found"],
  ["GET /page/99999999999999999999", 400, {}, "Bad Request"],
  ["GET /user/a%2Fb%20c", 200, {}, "GET a/b c"],
  ["GET /user/a%25b", 200, {}, "GET a%b"],
  ["GET /user/a+b", 200, {}, "GET a+b"],
  ["GET /user/%zz", 400, {}, "Bad Request"],
  ["GET /user/%ff", 400, {}, "Bad Request"],
  ["GET /files/a/b%2Fc", 200, {}, "a/b/c"],
  ["GET /user/", 404, {}, "Not Found"],
  ["GET /user/bob/", 404, {}, "Not Found"],
  ["GET /nope", 404, {}, "Not Found"],
  ["get /", 405, { allow: "GET, HEAD, OPTIONS" }, "Method Not Allowed"],
  ["POST /user/bob", 405, { allow: "GET, PUT, HEAD, OPTIONS" }, "Method Not Allowed"],
  ["POST /user/%zz", 400, {}, "Bad Request"],
  ["GET /pot", 405, { allow: "BREW, M-SEARCH, OPTIONS" }, "Method Not Allowed"],
  ["BREW /pot", 418, {}, "short and stout"],
  ["HEAD /user/bob", 200, { "content-length": "7" }, ""],
  ["HEAD /nope", 404, { "content-length": "9" }, ""],
  ["HEAD /both", 200, { "x-route": "HEAD" }, ""],
  ["OPTIONS /user/bob", 204, { allow: "GET, PUT, HEAD, OPTIONS" }, ""],
  ["OPTIONS /nope", 404, {}, "Not Found"],
  ["OPTIONS /own", 200, {}, "own options"],
  ["OPTIONS *", 204, { allow: "GET, PUT, HEAD, OPTIONS, BREW, M-SEARCH" }, ""],
  ["CONNECT example.com:443", 501, {}, "Not Implemented"],
];

for (const [line, status, fields, body] of ROUTED) {
  test(`HTTPListener answers ${line} with ${status}`, NET, async () => {
    await using app = await serving(routes);
    using client = await RawClient.connect(app.addr);
    await client.send(`${line} HTTP/1.1\r\nHost: example.com\r\n\r\n`);
    const response = await client.response(line.split(" ")[0]);
    const received = new Map(response.headers);
    assertEquals([response.status, response.body], [status, body]);
    for (const [name, value] of Object.entries(fields)) assertEquals(received.get(name), value);
    if (!("allow" in fields)) assertEquals(received.has("allow"), false);
  });
}

test(
  "HTTPListener runs GET's route for HEAD where it was registered before HEAD's",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, null, { "X-Route": "GET" }));
      app.onEvent("HEAD:/", ({ ctx }) => ctx.response(200, null, { "X-Route": "HEAD" }));
    });
    using client = await RawClient.connect(app.addr);
    await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals(new Map((await client.response("HEAD")).headers).get("x-route"), "GET");
  },
);

test(
  "HTTPListener has a route for everything answer what no other takes, CONNECT excepted",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "home"));
      app.onEvent(({ ctx }) => ctx.response(200, `${ctx.method} ${ctx.path}`));
    });
    const rows = [
      ["GET", "/", 200, "home"],
      ["GET", "/nope", 200, "GET /nope"],
      ["POST", "/", 200, "POST /"],
      ["OPTIONS", "*", 200, "OPTIONS *"],
      ["CONNECT", "a:1", 501, "Not Implemented"],
    ] as const;
    for (const [method, target, status, body] of rows) {
      using client = await RawClient.connect(app.addr);
      await client.send(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const response = await client.response();
      assertEquals([response.status, response.body], [status, body]);
    }
  },
);

test("HTTPListener takes targets of any length, where it has no limit", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/<name>/end", ({ ctx, params }) => {
      return ctx.response(200, `${params.name.length} ${ctx.query.get("q")}`);
    });
  }, { maxTargetSize: 0, maxHeadSize: 64 * 1024 });
  for (const length of [10, 8 * 1024, 20 * 1024]) {
    using client = await RawClient.connect(app.addr);
    await client.send(`GET /${"x".repeat(length)}/end?q=1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals((await client.response()).body, `${length} 1`);
  }
});

test("HTTPListener answers 404 where it has no route at all", NET, async () => {
  await using app = await serving(() => {});
  for (const line of ["GET /", "OPTIONS /"]) {
    using client = await RawClient.connect(app.addr);
    await client.send(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals((await client.response()).status, 404);
  }
});

Deno.test("HTTPListener allows the methods of the routes that it has at the moment", async () => {
  const app = new HTTPListener();
  const allowed = async (): Promise<string | null> =>
    (await app.fetch("/", { method: "PATCH" })).headers.get("allow");
  app.onEvent("GET:/", { name: "get" }, ({ ctx }) => ctx.response(200));
  assertEquals(await allowed(), "GET, HEAD, OPTIONS");
  app.onEvent("PUT:/", { name: "put" }, ({ ctx }) => ctx.response(200));
  assertEquals(await allowed(), "GET, PUT, HEAD, OPTIONS");
  app.removeOnEventHook("get");
  assertEquals(await allowed(), "PUT, OPTIONS");
  app.removeOnEventHook("put");
  assertEquals(await allowed(), null);
});

Deno.test("HTTPListener looks a path that no route takes up once for each method, however many routes there are", async () => {
  let lookUps = 0;
  class Counting extends HTTPListener {
    override findRoute(path: string): FoundRoute | null {
      lookUps++;
      return super.findRoute(path);
    }
  }
  const app = new Counting();
  for (let i = 0; i < 1000; i++) {
    app.onEvent(`GET:/r${i}/<id:int>`, ({ ctx }) => ctx.response(200));
    app.onEvent(`PUT:/r${i}/<id:int>`, ({ ctx }) => ctx.response(200));
  }
  assertEquals((await app.fetch("/nope")).status, 404);
  const response = await app.fetch("/r7/1", { method: "POST" });
  assertEquals([response.status, response.headers.get("allow")], [405, "GET, PUT, HEAD, OPTIONS"]);
  assertEquals(lookUps, 4);
});
