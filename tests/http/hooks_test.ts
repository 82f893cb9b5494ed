import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HTTPContext, HTTPError, HTTPListener } from "../../http_context.ts";
import { type Dependency, depends, type Event, type Handler } from "../../listener.ts";
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

Deno.test("a handler that calls done() with a result answers with the Response that it returns", async () => {
  const app = new HTTPListener();
  app.onEvent("POST:/order", { name: "order" }, (event) => {
    event.done({ id: 7 });
    return new Response("taken");
  });
  const results: unknown[] = [];
  app.finallyEvent((event) => void event.waitEventDone("order").then((it) => results.push(it)));
  const response = await app.fetch("/order", { method: "POST" });
  assertEquals([await response.text(), results], ["taken", [[{ id: 7 }]]]);
});

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

// A handler that fails when its response has begun, and one that does not end in time.
const LATE_FAILURES: [what: string, handler: Handler<HTTPContext>][] = [
  ["has failed", ({ ctx }) => {
    ctx.response(200, endless());
    throw new Error("late");
  }],
  ["has timed out", ({ ctx }) => ctx.response(200, endless())],
];

/** A part, and no end. */
async function* endless(): AsyncGenerator<string> {
  yield "part";
  await new Promise(() => {});
}

// What looks on.
const ONLOOKERS: [what: string, add: (app: HTTPListener) => void][] = [
  ["a hook around it", (app) => app.aroundRequest((_, next) => next())],
  ["a hook that takes the error", (app) => app.onError(Error, () => {})],
];

for (const [failure, handler] of LATE_FAILURES) {
  for (const [onlooker, add] of ONLOOKERS) {
    test(`a response is cut whose handler ${failure}, with ${onlooker} too`, NET, async () => {
      using _ = new ErrorLog();
      await using app = await serving((app) => {
        add(app);
        app.onEvent("GET:/", handler);
      }, { handlerTimeout: 50 });
      using client = await RawClient.connect(app.addr);
      await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      assert(!(await client.gone()).endsWith("0\r\n\r\n"));
    });
  }
}

test("an HTTPError of 5xx that comes too late for a response is logged", NET, async () => {
  using errors = new ErrorLog();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) =>
      ctx.response(
        200,
        (async function* (): AsyncGenerator<string> {
          yield "part";
          throw new HTTPError(503, "The source failed");
        })(),
      ));
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.gone();
  assertEquals(errors.entries.length, 1);
  assertStringIncludes(errors.entries[0], 'Cannot answer "GET /": HTTPError: The source failed');
});

test("what an error hook streams is not cut by the next one", NET, async () => {
  await using app = await serving((app) => {
    app.onError(Error, ({ ctx }) => void ctx.response(500, ReadableStream.from(["so", "rry"])));
    app.onError(Error, () => {});
    app.onEvent("GET:/", () => {
      throw new Error("failed");
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  assertEquals((await client.response()).body, "sorry");
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

test("a failure of a stream is logged once, however many hooks are around it", NET, async () => {
  using errors = new ErrorLog();
  const around: string[] = [];
  await using app = await serving((app) => {
    for (const name of ["outer", "inner"]) {
      app.aroundRequest(async (_, next) => {
        await next();
        around.push(name);
      });
    }
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, failing()));
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.rest();
  await app.stop();
  assertEquals([around, errors.entries.length], [["inner", "outer"], 1]);
});

// Hooks that answer in place of the handler.
const ANSWERING: [what: string, add: (app: HTTPListener) => void][] = [
  ["aroundRequest() returns", (app) => app.aroundRequest(() => refusal())],
  [
    "aroundRequest() returns later",
    (app) => app.aroundRequest(() => Promise.resolve(refusal())),
  ],
  ["beforeEvent() returns", (app) => app.beforeEvent(() => refusal())],
  ["beforeEvent() returns later", (app) => app.beforeEvent(() => Promise.resolve(refusal()))],
  ["beforeEvent() sends", (app) => app.beforeEvent(({ ctx }) => ctx.response(401, "Who?"))],
  ["beforeEvent() sends as a Response", (app) => {
    app.beforeEvent(({ ctx }) => ctx.respondWith(refusal()));
  }],
];

function refusal(): Response {
  return new Response("Who?", { status: 401 });
}

for (const [what, add] of ANSWERING) {
  test(`what a hook of ${what} is the answer, and the handler is not run`, NET, async () => {
    using errors = new ErrorLog();
    const ran: string[] = [];
    await using app = await serving((app) => {
      add(app);
      app.beforeEvent(() => void ran.push("hook"));
      app.onEvent("GET:/", ({ ctx }) => {
        ran.push("handler");
        ctx.response(200);
      });
    });
    const response = await app.fetch("/");
    assertEquals([response.status, await response.text()], [401, "Who?"]);
    assertEquals([ran, errors.entries], [[], []]);
  });
}

test("a Response of a beforeEvent() hook is for the event of the request alone", {}, async () => {
  const app = new HTTPListener();
  app.beforeEvent(({ route }) => route.name === "audit" ? refusal() : undefined);
  app.onEvent("audit", { name: "audit" }, () => "audited");
  app.onEvent("GET:/", async ({ ctx }) => ctx.response(200, `${await ctx.triggerEvent("audit")}`));
  assertEquals(await (await app.fetch("/")).text(), "audited");
});

for (const later of [false, true]) {
  test(`what a hook of onError() returns${later ? " later" : ""} is the answer`, {}, async () => {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    app.onError(RangeError, (_, { message }) => {
      const response = new Response(message, { status: 422 });
      return later ? Promise.resolve(response) : response;
    });
    app.onEvent("GET:/", () => {
      throw new RangeError("too far");
    });
    const response = await app.fetch("/");
    assertEquals([response.status, await response.text()], [422, "too far"]);
    assertEquals(errors.entries, []);
  });
}

test("onHTTPError() hooks make the responses that tell an error", {}, async () => {
  using _ = new ErrorLog();
  const app = new HTTPListener({ maxBodySize: 1 });
  app.onHTTPError(() => {});
  app.onHTTPError(({ status, message, cause }, ctx) =>
    Response.json([message, `${cause}`, ctx.method], { status })
  );
  app.onHTTPError(() => new Response("not asked"));
  app.onEvent("GET:/throws", () => {
    throw new RangeError("secret");
  });
  app.onEvent("GET:/gone", () => {
    throw new HTTPError(410, "It was here", { headers: { "X-Since": "May" } });
  });
  app.onEvent("GET:/<n:int>", () => {});
  app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, await ctx.text()));
  const answers: string[] = [];
  for (
    const [method, path] of [
      ["GET", "/nowhere"],
      ["POST", "/throws"],
      ["GET", "/throws"],
      ["GET", "/gone"],
      ["GET", "/" + "9".repeat(20)],
      ["POST", "/"],
    ]
  ) {
    const response = await app.fetch(path, { method, body: method === "POST" ? "abc" : null });
    const { headers, status } = response;
    answers.push(
      `${status} ${headers.get("allow")} ${headers.get("x-since")} ${await response.text()}`,
    );
  }
  assertEquals(answers, [
    '404 null null ["Not Found","undefined","GET"]',
    '405 GET, HEAD, OPTIONS null ["Method Not Allowed","undefined","POST"]',
    '500 null null ["Internal Server Error","RangeError: secret","GET"]',
    '410 null May ["It was here","undefined","GET"]',
    '400 null null ["Bad Request","PathParamsError: Cannot parse param \\"n\\" of \\"GET:/' +
    "9".repeat(20) +
    '\\": Cannot parse int \\"' + "9".repeat(20) +
    '\\": must be at most 9007199254740991","GET"]',
    '413 null null ["Content Too Large","undefined","POST"]',
  ]);
});

test(
  "onHTTPError() hooks answer with all fields of the error, and none of another body",
  {},
  async () => {
    const app = new HTTPListener();
    app.aroundRequest((ctx, next) => {
      ctx.appendHeader("Set-Cookie", "sid=1");
      return next();
    });
    app.onHTTPError(({ status }) => new Response(null, { status }));
    app.onEvent("GET:/", ({ ctx }) => {
      ctx.setHeader("Cache-Control", "public");
      ctx.setHeader("Content-Encoding", "gzip");
      throw new HTTPError(401, "", {
        headers: [
          ["WWW-Authenticate", "Basic"],
          ["WWW-Authenticate", "Bearer"],
          ["Set-Cookie", "a=1"],
          ["Content-Length", "7"],
        ],
      });
    });
    const { status, headers } = await app.fetch("/");
    assertEquals([status, headers.get("www-authenticate")], [401, "Basic, Bearer"]);
    assertEquals(headers.getSetCookie(), ["sid=1", "a=1"]);
    assertEquals([headers.get("cache-control"), headers.get("content-encoding")], [null, null]);
  },
);

for (const hooks of [[], [() => {}]]) {
  test(
    `a failure is answered without fields of another body, with ${hooks.length} hooks`,
    {},
    async () => {
      const app = new HTTPListener();
      for (const hook of hooks) app.onHTTPError(hook);
      app.onEvent("GET:/", ({ ctx }) => {
        ctx.setHeader("Content-Encoding", "gzip");
        throw new HTTPError(404, "", { headers: { "Set-Cookie": "a=1" } });
      });
      const { headers } = await app.fetch("/");
      assertEquals([headers.get("content-encoding"), headers.getSetCookie()], [null, ["a=1"]]);
    },
  );
}

for (const name of ["beforeEvent", "onError", "aroundRequest", "onHTTPError"] as const) {
  test(`HTTPListener.${name}() refuses a hook that is no function`, {}, () => {
    const args = [...name === "onError" ? [Error] : [], "hook"];
    const app = new HTTPListener();
    assertThrows(() => Reflect.apply(app[name], app, args), TypeError, "must be a function");
  });
}

test("nobody else answers while onHTTPError() hooks work", {}, async () => {
  using errors = new ErrorLog();
  const isAsked = Promise.withResolvers<void>();
  const isLate = Promise.withResolvers<void>();
  const app = new HTTPListener({ handlerTimeout: 1 });
  app.onHTTPError(async ({ status }) => {
    isAsked.resolve();
    await isLate.promise;
    return new Response("too late", { status });
  });
  let late = "";
  app.onEvent("GET:/", async ({ ctx }) => {
    await isAsked.promise;
    try {
      ctx.response(200, "late");
    } catch (error) {
      late = String(error);
    }
    isLate.resolve();
  });
  const response = await app.fetch("/");
  assertEquals([response.status, await response.text()], [503, "too late"]);
  assertStringIncludes(late, "Cannot respond: the request has failed");
  assertEquals(errors.entries.length, 1);
});

test("of two onError() hooks that return a Response the first one answers", {}, async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.onError(RangeError, () => new Response("first", { status: 422 }));
  app.onError(Error, () => new Response("second", { status: 500 }));
  app.onEvent("GET:/", () => {
    throw new RangeError("too far");
  });
  assertEquals(await (await app.fetch("/")).text(), "first");
  assertEquals(errors.entries, []);
});

test(
  "an event of the request's own route that its handler triggers has a handler too",
  {},
  async () => {
    const app = new HTTPListener();
    let runs = 0;
    app.beforeEvent(() => {});
    app.onEvent("GET:/", { name: "own" }, ({ ctx, route }) => {
      if (++runs > 1) return;
      ctx.response(200);
      ctx.trigger(route);
    });
    assertEquals([(await app.fetch("/")).status, runs], [200, 2]);
  },
);

test("onHTTPError() hooks that fail leave the error as it is", {}, async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.onHTTPError(() => {
    throw new TypeError("broken");
  });
  const response = await app.fetch("/nowhere");
  assertEquals([response.status, await response.text()], [404, "Not Found"]);
  assertStringIncludes(
    errors.entries[0],
    'Cannot answer "GET /nowhere": a hook of onHTTPError() failed: TypeError: broken',
  );
});

test("ctx.setHeader() and appendHeader() add fields to whatever is answered", {}, async () => {
  using _ = new ErrorLog();
  const app = new HTTPListener();
  app.aroundRequest((ctx, next) => {
    ctx.setHeader("X-A", "first");
    ctx.setHeader("x-a", "hook");
    ctx.appendHeader("Set-Cookie", "a=1");
    ctx.appendHeader("Set-Cookie", "b=2");
    return next();
  });
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "a"));
  app.onEvent(
    "GET:/own",
    ({ ctx }) => ctx.response(200, "a", { "X-A": "own", "Set-Cookie": "c=3" }),
  );
  app.onEvent("GET:/web", () => new Response("a"));
  app.onEvent("GET:/json", ({ ctx }) => {
    ctx.setHeader("Content-Type", "text/html");
    return Response.json("a", { headers: { "X-A": "own", "Set-Cookie": "c=3" } });
  });
  app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, ReadableStream.from(["a"])));
  app.onEvent("GET:/throws", () => {
    throw new RangeError("no");
  });
  const fields: unknown[] = [];
  for (const path of ["/", "/own", "/json", "/web", "/stream", "/throws", "/nowhere"]) {
    const { headers, body } = await app.fetch(path);
    await body?.cancel();
    fields.push([headers.get("x-a"), headers.getSetCookie()]);
    assertEquals(
      headers.get("content-type")?.startsWith("text/html"),
      path === "/stream" ? undefined : false,
    );
  }
  const added = ["hook", ["a=1", "b=2"]];
  const own = ["own", ["c=3", "a=1", "b=2"]];
  assertEquals(fields, [added, own, own, added, added, added, added]);
});

// Fields that cannot be set.
const REFUSED: [what: string, set: (ctx: HTTPContext) => void, why: string][] = [
  [
    "after the response",
    (ctx) => {
      ctx.response(200);
      ctx.setHeader("X-A", "a");
    },
    'TypeError: Cannot set field "X-A": the response has already begun; set it earlier, or in a hook of beforeResponse()',
  ],
  [
    "that frames the message",
    (ctx) => ctx.setHeader("Content-Length", "1"),
    'TypeError: Cannot set field "Content-Length": it describes the body; pass it with the response',
  ],
  [
    "that is not valid",
    (ctx) => ctx.appendHeader("X-A", "a\r\nb"),
    "LocalProtocolError: Cannot use value",
  ],
];

for (const [what, set, why] of REFUSED) {
  test(`ctx.setHeader() refuses a field ${what}`, {}, async () => {
    const app = new HTTPListener();
    let error: unknown;
    app.onEvent("GET:/", ({ ctx }) => {
      try {
        set(ctx);
      } catch (it) {
        error = it;
      }
      if (!ctx.isResponded) ctx.response(200);
    });
    const { status, headers } = await app.fetch("/");
    assertEquals([status, headers.get("x-a")], [200, null]);
    assertStringIncludes(String(error), why);
  });
}

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

Deno.test("use() refuses what is not a plugin", () => {
  assertThrows(
    () => new HTTPListener().use("/path" as unknown as () => void),
    TypeError,
    'Cannot use "/path" (a string): a plugin must be a function of the application',
  );
});

Deno.test("use() tells who passes middleware where it belongs", () => {
  const middleware = async (_ctx: unknown, next: () => Promise<void>) => await next();
  assertThrows(
    () => new HTTPListener().use(middleware as unknown as () => void),
    TypeError,
    "Cannot use a function of 2 parameters as a plugin: give middleware to app.aroundRequest()",
  );
});

Deno.test("use() refuses a plugin that is asynchronous, and its failure is nobody else's", async () => {
  assertThrows(
    () => new HTTPListener().use(() => Promise.reject(new Error("later"))),
    TypeError,
    "Cannot use a plugin that returns a promise: do asynchronous work in a callback of app.startup()",
  );
  // By now it would be an unhandled rejection.
  await new Promise((resolve) => setTimeout(resolve, 0));
});

test("a hook that does not wait for next() is told to", NET, async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.aroundRequest((_, next) => {
    next();
  });
  const isAnswered = Promise.withResolvers<void>();
  app.onEvent("GET:/", () => isAnswered.promise);
  assertEquals((await app.fetch("/")).status, 500);
  isAnswered.resolve();
  assertStringIncludes(
    errors.entries[0],
    "the hook of aroundRequest() ended without a response; return or await next(), or call ctx.response()",
  );
});

for (
  const [what, answer] of [["nobody", undefined], ["an error hook", new Response("sorry")]] as const
) {
  test(
    `a stream that a handler returned is cancelled where an after hook fails and ${what} answers`,
    NET,
    async () => {
      using _errors = new ErrorLog();
      const cancelled = Promise.withResolvers<void>();
      const app = new HTTPListener();
      app.afterEvent(() => {
        throw new Error("no");
      });
      app.onError(Error, () => answer);
      app.onEvent(
        "GET:/",
        () => new Response(new ReadableStream({ cancel: () => cancelled.resolve() })),
      );
      const response = await app.fetch("/");
      assertEquals(await response.text(), answer === undefined ? "Internal Server Error" : "sorry");
      await cancelled.promise;
    },
  );
}

for (const how of ["before the first call has ended", "after that"]) {
  Deno.test(`aroundRequest() runs no handler twice, whose hook calls next() again ${how}`, async () => {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    let runs = 0;
    app.aroundRequest(async function retry(_, next): Promise<void> {
      const first = next();
      if (how === "after that") await first;
      await next();
    });
    app.onEvent("POST:/order", async () => {
      runs++;
      return await new Response("taken");
    });
    await (await app.fetch("/order", { method: "POST" })).text();
    assertEquals(runs, 1);
    assertStringIncludes(
      errors.entries[0],
      "Cannot call next() twice in a hook of aroundRequest()",
    );
  });
}

Deno.test("an event of the request's own route that a handler triggers leaves the answer to the handler", async () => {
  const app = new HTTPListener();
  app.onEvent("GET:/tree/<depth:int>", ({ ctx, params: { depth } }) => {
    if (depth === 0) throw new RangeError("too deep");
    const { event } = ctx.triggerEvent(`GET:/tree/${depth - 1}`);
    return new Response(`below: ${event.error}`);
  });
  app.onError(RangeError, (_, { message }) => new Response(message, { status: 422 }));
  const response = await app.fetch("/tree/1");
  assertEquals(await response.text(), "below: RangeError: too deep");
  assertEquals((await app.fetch("/tree/0")).status, 422);
});

/** What dependencies of a request open is closed as docs/recipes.md has it. */
class OpenedContext extends HTTPContext {
  readonly opened = new AsyncDisposableStack();
}

type OpenedEvent = Event<OpenedContext>;

function opens(
  log: string[],
  name: string,
  open: (event: OpenedEvent) => unknown = () => {},
): Dependency<AsyncDisposable, OpenedEvent> {
  return depends(async (event: OpenedEvent) => {
    await open(event);
    log.push(`open ${name}`);
    const opened: AsyncDisposable = {
      async [Symbol.asyncDispose](): Promise<void> {
        await null;
        log.push(`close ${name}`);
        if (name === "bad") throw new Error("it does not close");
      },
    };
    if (event.ctx.opened.disposed) {
      await using _ = opened;
    }
    return event.ctx.opened.use(opened);
  });
}

const OPENED: [what: string, path: string, status: number, log: string[]][] = [
  ["answered", "/", 200, ["open a", "open b", "answer", "close b", "close a"]],
  ["failed", "/fails", 500, ["open a", "open b", "close b", "close a"]],
  ["closed badly", "/bad", 200, [
    "open a",
    "open bad",
    "open b",
    "close b",
    "close bad",
    "close a",
  ]],
  ["taken too long", "/late", 503, ["open a", "close a", "open late", "close late"]],
];

for (const [what, path, status, expected] of OPENED) {
  test(
    `what a dependency opened is closed, last first, when its request has ${what}`,
    NET,
    async () => {
      using errors = new ErrorLog();
      const log: string[] = [];
      const isOver = Promise.withResolvers<void>();
      const isGivenUp = Promise.withResolvers<void>();
      const a = opens(log, "a");
      const b = opens(log, "b", (event) => event.use(a));
      const bad = opens(log, "bad", (event) => event.use(a));
      const late = opens(log, "late", () => isGivenUp.promise);
      const app = new HTTPListener({ port: 0, accessLog: false }).setContextClass(OpenedContext);
      app.aroundRequest(async (ctx, next) => {
        {
          await using _ = ctx.opened;
          await next();
        }
        isGivenUp.resolve();
      });
      app.onEvent("GET:/", async (event) => {
        await Promise.all([event.use(b), event.use(b)]);
        log.push("answer");
        return event.ctx.response(200, "a");
      });
      app.onEvent("GET:/fails", async (event) => {
        await event.use(b);
        throw new RangeError("no");
      });
      app.onEvent("GET:/bad", async (event) => {
        await event.use(bad);
        await event.use(b);
        return event.ctx.response(200, "a");
      });
      app.onEvent("GET:/late", { handlerTimeout: 1 }, async (event) => {
        await event.use(a);
        await event.use(late).finally(isOver.resolve);
      });
      await app.start();
      const response = await fetch(`http://127.0.0.1:${app.addr.port}${path}`);
      await response.body?.cancel();
      // It waits for what is closed.
      await app.stop();
      if (path === "/late") await isOver.promise;
      assertEquals([response.status, log], [status, expected]);
      const isTold = errors.entries.some((entry) => entry.includes("it does not close"));
      assertEquals(isTold, path === "/bad");
    },
  );
}
