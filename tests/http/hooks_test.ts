import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HTTPError, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** What each answer looks like to a hook: the route's name, the status, the bytes, the error. */
async function seen(
  define: (app: HTTPListener) => void,
  ...requests: string[]
): Promise<string[]> {
  const log: string[] = [];
  await using app = await serving((app) => {
    app.aroundRequest(async (ctx, next) => {
      await next();
      log.push(`${ctx.route?.name} ${ctx.status} ${ctx.bytesSent} ${ctx.error}`);
    });
    define(app);
  });
  using client = await RawClient.connect(app.addr);
  for (const request of requests) {
    await client.send(`${request} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.response(request.split(" ")[0]);
  }
  return log;
}

async function* failing(): AsyncGenerator<string> {
  yield await Promise.resolve("abc");
  throw new RangeError("broken");
}

test("aroundRequest() hooks see how each request was answered", NET, async () => {
  using errors = new ErrorLog();
  const log = await seen(
    (app) => {
      app.onEvent("GET:/now", { name: "now" }, ({ ctx }) => ctx.response(200, "now"));
      app.onEvent("GET:/later", { name: "later" }, async () => await new Response("later"));
      app.onEvent("GET:/none", { name: "none" }, () => {});
      app.onEvent("GET:/throws", { name: "throws" }, () => {
        throw new TypeError("secret");
      });
      app.onEvent("GET:/taken", { name: "taken" }, () => {
        throw new RangeError("taken");
      });
      app.onError(RangeError, ({ ctx }) => ctx.response(422));
      app.onEvent("GET:/teapot", { name: "teapot" }, ({ ctx }) => ctx.throw404("no tea"));
      app.onEvent("GET:/<n:int>", { name: "int" }, () => {});
    },
    ...["GET /now", "HEAD /now", "GET /later", "GET /none", "GET /throws", "GET /taken"],
    ...[
      "GET /teapot",
      "GET /" + "9".repeat(30),
      "GET /a/b",
      "POST /now",
      "OPTIONS /now",
    ],
  );
  assertEquals(log, [
    "now 200 3 undefined",
    "now 200 0 undefined",
    "later 200 5 undefined",
    'none 500 21 TypeError: Cannot answer: the handler of route "none" ended without a response; call ctx.response()',
    "throws 500 21 TypeError: secret",
    "taken 422 0 undefined",
    "teapot 404 6 HTTPError: no tea",
    "undefined 400 11 HTTPError: Bad Request",
    "undefined 404 9 HTTPError: Not Found",
    "undefined 405 18 HTTPError: Method Not Allowed",
    "undefined 204 0 undefined",
  ]);
  assertEquals(errors.entries.length, 2);
});

test("aroundRequest() hooks see a stream fail that was being sent", NET, async () => {
  using _ = new ErrorLog();
  const ended = Promise.withResolvers<string>();
  await using app = await serving((app) => {
    app.aroundRequest(async (ctx, next) => {
      await next();
      ended.resolve(`${ctx.status} ${ctx.bytesSent} ${ctx.error}`);
    });
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, failing()));
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  assertEquals(await ended.promise, "200 3 RangeError: broken");
});

test(
  "aroundRequest() hooks nest in the order of registration, around all other hooks",
  NET,
  async () => {
    const log: string[] = [];
    await seen((app) => {
      for (const name of ["outer", "inner"]) {
        app.aroundRequest((_, next) => {
          log.push(`${name} begins`);
          const running = next();
          log.push(`${name} ends`);
          return running;
        });
      }
      app.beforeEvent(() => log.push("before"));
      app.afterEvent(() => log.push("after"));
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200));
    }, "GET /");
    assertEquals(log, [
      "outer begins",
      "inner begins",
      "before",
      "after",
      "inner ends",
      "outer ends",
    ]);
  },
);

test("aroundRequest() hooks may answer by themselves, or throw", NET, async () => {
  using errors = new ErrorLog();
  const log = await seen(
    (app) => {
      app.aroundRequest(function guard(ctx, next): void | Promise<void> {
        if (ctx.path === "/own") return ctx.response(200, "own");
        if (ctx.path === "/forbidden") throw new HTTPError(403);
        if (ctx.path === "/rejected") return Promise.reject(new HTTPError(401));
        if (ctx.path === "/nothing") return;
        return next();
      });
      app.onEvent("GET:/<any>", { name: "any" }, ({ ctx }) => ctx.response(200, "any"));
    },
    "GET /own",
    "GET /forbidden",
    "GET /rejected",
    "GET /nothing",
    "GET /x",
  );
  assertEquals(log.map((line) => line.slice(0, 20)), [
    "undefined 200 3 unde",
    "undefined 403 9 HTTP",
    "undefined 401 12 HTT",
    "undefined 500 21 Typ",
    "any 200 3 undefined",
  ]);
  assertEquals(errors.entries.length, 1);
  assertStringIncludes(errors.entries[0], 'hook of aroundRequest() "guard" ended without');
});

test("use() hands the application to a plugin and returns it", {}, () => {
  class App extends HTTPListener {
    own = 1;
  }
  const app = new App().use((app) => app.onEvent("GET:/plugin", () => {}));
  app.own satisfies number;
  assertEquals(app.findRoute("GET:/plugin")?.route.pattern, "GET:/plugin");
});

Deno.test("use() refuses a maker of plugins that was not called", () => {
  const hello = () => (app: HTTPListener) => app.onEvent("GET:/", () => {});
  assertThrows(
    () => new HTTPListener().use(hello),
    TypeError,
    "Cannot use a plugin that returns a function: call it first, as in app.use(telemetry())",
  );
});
