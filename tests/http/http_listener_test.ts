import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type HTTPContext,
  HTTPError,
  HTTPListener,
  type ServerOptions,
} from "../../http_context.ts";
import { type AnyEvent, depends, type Handler, RouteError } from "../../listener.ts";
import { test } from "../needs.ts";
import { Program } from "../program.ts";
import { RawClient, type RawResponse } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** The answer of `app` to one GET of "/". */
async function ask(app: HTTPListener): Promise<RawResponse> {
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  return await client.response();
}

class NoSuchUser extends Error {}

const who = depends((): string => {
  throw new HTTPError(401, "Who are you?", { headers: { "WWW-Authenticate": "Basic" } });
});

// What goes wrong in a handler, what the client is told, and what is logged.
const WRONG: [
  what: string,
  handler: (event: AnyEvent & { ctx: HTTPContext }) => unknown,
  status: number,
  body: string,
  logged: RegExp | null,
][] = [
  [
    "throws at once",
    () => {
      throw new NoSuchUser("secret");
    },
    500,
    "Internal Server Error",
    /^Cannot answer "GET \/": NoSuchUser \[Error\]: secret/,
  ],
  [
    "rejects",
    () => Promise.reject(new TypeError("secret")),
    500,
    "Internal Server Error",
    /secret/,
  ],
  [
    "throws what is no error",
    () => {
      throw "secret";
    },
    500,
    "Internal Server Error",
    /secret/,
  ],
  ["throws undefined", () => Promise.reject(undefined), 500, "Internal Server Error", /undefined/],
  [
    "throws an HTTPError",
    () => {
      throw new HTTPError(410, "It was here");
    },
    410,
    "It was here",
    null,
  ],
  ["calls throw404()", ({ ctx }) => ctx.throw404(), 404, "Not Found", null],
  ["calls throw500()", ({ ctx }) => ctx.throw500(), 500, "Internal Server Error", null],
  ["calls throw404() with a message", ({ ctx }) => ctx.throw404("No bob"), 404, "No bob", null],
  [
    "uses a dependency that throws an HTTPError",
    (event) => event.use(who),
    401,
    "Who are you?",
    null,
  ],
  [
    "ends without a response",
    () => {},
    500,
    "Internal Server Error",
    /^Cannot answer "GET \/": the handler of route "home" ended without a response; call ctx\.response\(\)$/,
  ],
  [
    "returns what is no Response",
    () => Promise.resolve("hello"),
    500,
    "Internal Server Error",
    /"home" returned a string; return a Response, or call ctx\.response\(\)$/,
  ],
  [
    "throws after its response",
    ({ ctx }) => {
      ctx.response(200, "sent");
      throw new Error("late");
    },
    200,
    "sent",
    /^Cannot answer "GET \/": Error: late/,
  ],
  [
    "throws an HTTPError with a header that is not valid",
    () => Promise.reject(new HTTPError(400, "", { headers: { "X-A": "\r\n" } })),
    500,
    "Internal Server Error",
    /^Cannot answer "GET \/" with 400/,
  ],
];

for (const [what, handler, status, body, logged] of WRONG) {
  test(`HTTPListener answers ${status} when a handler ${what}`, NET, async () => {
    using errors = new ErrorLog();
    await using app = await serving((app) => app.onEvent("GET:/", { name: "home" }, handler));
    for (let i = 0; i < 2; i++) {
      const response = await ask(app);
      assertEquals([response.status, response.body], [status, body]);
      assertEquals(`${response.head}${response.body}`.includes("secret"), false);
    }
    assertEquals(errors.entries.length, logged === null ? 0 : 2);
    if (logged !== null) assertMatch(errors.entries[0], logged);
  });
}

test("HTTPListener sends the headers of an HTTPError", NET, async () => {
  await using app = await serving((app) => app.onEvent("GET:/", (event) => event.use(who)));
  const { headers } = await ask(app);
  assertEquals(new Map(headers).get("www-authenticate"), "Basic");
});

test("HTTPListener keeps the connection after an error of a handler", NET, async () => {
  using _errors = new ErrorLog();
  await using app = await serving((app) => {
    app.onEvent("GET:/", () => Promise.reject(new Error("no")));
    app.onEvent("GET:/next", ({ ctx }) => ctx.response(200, "next"));
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET + "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  assertEquals((await client.response()).status, 500);
  assertEquals((await client.response()).body, "next");
});

// Hooks answer as handlers do.
const HOOKS: [what: string, define: (app: HTTPListener) => void, status: number, body: string][] = [
  [
    "beforeEvent() throws an HTTPError",
    (app) => {
      app.beforeEvent(() => {
        throw new HTTPError(403, "Not you");
      });
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "never"));
    },
    403,
    "Not you",
  ],
  [
    "afterEvent() answers for a handler that did not",
    (app) => {
      app.afterEvent((event) => {
        if (!event.ctx.isResponded) event.ctx.response(200, JSON.stringify(event.result));
      });
      app.onEvent("GET:/", () => ({ a: 1 }));
    },
    200,
    `{"a":1}`,
  ],
  [
    "onError() answers for a handler that threw",
    (app) => {
      app.onError(NoSuchUser, ({ ctx }, error) => ctx.response(404, `No ${error.message}`));
      app.onEvent("GET:/", () => Promise.reject(new NoSuchUser("bob")));
    },
    404,
    "No bob",
  ],
  [
    "onError() answers for an HTTPError",
    (app) => {
      app.onError(HTTPError, ({ ctx }, { status }) => ctx.response(status, "<h1>Sorry</h1>"));
      app.onEvent("GET:/", ({ ctx }) => ctx.throw404());
    },
    404,
    "<h1>Sorry</h1>",
  ],
];

for (const [what, define, status, body] of HOOKS) {
  test(`HTTPListener answers ${status} when ${what}`, NET, async () => {
    using errors = new ErrorLog();
    await using app = await serving(define);
    const response = await ask(app);
    assertEquals([response.status, response.body], [status, body]);
    assertEquals(errors.entries, []);
  });
}

test("what of a client stands in an error forges no line of the log", NET, async () => {
  using errors = new ErrorLog();
  await using app = await serving((app) => {
    app.onEvent("GET:/<name>", ({ params }) => {
      throw new RangeError(`no such user: ${params.name}`);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET.replace("/", "/x%0aERROR:%20forged%1b[31m"));
  await client.response();
  const [first, second] = errors.entries[0].split("\n");
  assertMatch(first, /^Cannot answer .*: RangeError: no such user: x$/);
  assertEquals(second, "    ERROR: forged\\x1b[31m");
});

for (
  const [what, error, status, body, logged] of [
    [
      "an error",
      new NoSuchUser("bob"),
      500,
      "Internal Server Error",
      /^Cannot answer "GET \/": NoSuchUser \[Error\]: bob/,
    ],
    ["an HTTPError", new HTTPError(410, "It was here"), 410, "It was here", null],
  ] as [string, Error, number, string, RegExp | null][]
) {
  test(
    `HTTPListener answers ${status} when onError() takes ${what} and answers nothing`,
    NET,
    async () => {
      using errors = new ErrorLog();
      const seen: unknown[] = [];
      await using app = await serving((app) => {
        app.onError(Error, (_, error) => void seen.push(error.message));
        app.onEvent("GET:/", () => Promise.reject(error));
      });
      const response = await ask(app);
      assertEquals([response.status, response.body, seen], [status, body, [error.message]]);
      assertEquals(errors.entries.length, logged === null ? 0 : 1);
      if (logged !== null) assertMatch(errors.entries[0], logged);
    },
  );
}

test("HTTPListener drops the context of each exchange when it is over", NET, async () => {
  using _errors = new ErrorLog();
  const contexts: HTTPContext[] = [];
  await using app = await serving((app) => {
    app.beforeEvent(({ ctx }) => void contexts.push(ctx));
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200));
    app.onEvent("GET:/later", async ({ ctx }) => ctx.response(200, await Promise.resolve("later")));
    app.onEvent("GET:/throw", ({ ctx }) => ctx.throw500());
    app.onEvent("GET:/nothing", () => {});
    app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, ReadableStream.from(["a"])));
    app.onEvent("GET:/break", ({ ctx }) => {
      return ctx.response(200, new ReadableStream<string>({ start: (it) => it.error("broke") }));
    });
  });
  for (const path of ["/", "/later", "/throw", "/nothing", "/stream", "/nope", "/break"]) {
    using client = await RawClient.connect(app.addr);
    await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    await client.gone();
  }
  assertEquals(contexts.length, 6);
  assertEquals(contexts.map((ctx) => ctx.isAlive), Array(6).fill(false));
  assertEquals(app.ctxs.size, 0);
});

test("HTTPListener.addr is the address while the server listens", NET, async () => {
  const app = new HTTPListener({ port: 0, accessLog: false });
  assertThrows(() => app.addr, TypeError, "the server is not listening; await start() first");
  await app.start();
  assertEquals(app.addr.hostname, "127.0.0.1");
  assert(app.addr.port > 0);
  await app.stop();
  assertThrows(() => app.addr, TypeError, "the server is not listening; await start() first");
});

test(
  "a function of the access log sees the context that handlers and hooks have filled",
  NET,
  async () => {
    using errors = new ErrorLog();
    const { promise: logged, resolve } = Promise.withResolvers<unknown[]>();
    await using app = await serving((app) => {
      app.aroundRequest((ctx, next) => {
        ctx.setHeader("X-Request-Id", ctx.cid);
        return next();
      });
      app.onEvent("GET:/orders/<id:int>", ({ ctx }) => {
        ctx.scope.user = "Ada";
        throw new Error("the disk is full");
      });
    }, {
      accessLog: ({ ctx, status }) =>
        resolve([ctx?.cid, ctx?.scope.user, ctx?.route?.pattern, `${ctx?.error}`, status]),
    });
    const { body, headers } = await fetch(`http://127.0.0.1:${app.addr.port}/orders/7`);
    await body?.cancel();
    const id = headers.get("x-request-id");
    assertEquals(await logged, [id, "Ada", "GET:/orders/<id:int>", "Error: the disk is full", 500]);
    assertEquals(errors.entries.length, 1);
  },
);

test("HTTPListener.configure() is of effect at the next start", NET, async () => {
  await using app = new HTTPListener({ port: 8000, accessLog: false });
  app.configure({ port: 0 });
  await app.start();
  assert(app.addr.port !== 8000);
});

test("HTTPListener.configure() leaves what it is not given", NET, async () => {
  await using app = new HTTPListener({ hostname: "0.0.0.0", port: 0, accessLog: false });
  app.configure({ port: 0, hostname: undefined });
  await app.start();
  assertEquals(app.addr.hostname, "0.0.0.0");
});

// What is set while the server runs, a request, and its status before and after the next start.
const SET_ANEW: [options: ServerOptions, request: string, before: number, after: number][] = [
  [{ maxBodySize: 2 }, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 200, 413],
  [{ handlerTimeout: 1 }, GET, 200, 503],
];

for (const [options, request, before, after] of SET_ANEW) {
  const [name] = Object.keys(options);
  test(`HTTPListener.configure() has a server run on with the ${name} it has`, NET, async () => {
    using _errors = new ErrorLog();
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, await ctx.text()));
      app.onEvent("GET:/", async ({ ctx, signal }) => {
        // A timeout of 1 ms comes before this timer.
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (!signal.aborted) ctx.response(200);
      });
    });
    const status = async (): Promise<number> => {
      using client = await RawClient.connect(app.addr);
      await client.send(request);
      return (await client.response()).status;
    };
    app.configure(options);
    assertEquals(await status(), before);
    await app.stop();
    await app.start();
    assertEquals(await status(), after);
  });
}

for (
  const [when, isBefore] of [["of the next start", true], ["of a server that runs", false]] as const
) {
  const effect = isBefore ? "sets" : "leaves";
  test(`HTTPListener.configure() ${effect} the shutdownGrace ${when}`, NET, async () => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    await using app = new HTTPListener({
      port: 0,
      accessLog: false,
      shutdownGrace: isBefore ? 0 : 10_000,
    });
    app.onEvent("GET:/", async ({ ctx }) => {
      asked.resolve();
      await goOn.promise;
      ctx.response(200, "in time");
    });
    app.onEvent("GET:/idle", ({ ctx }) => ctx.response(200));
    if (isBefore) app.configure({ shutdownGrace: 10_000 });
    await app.start();
    if (!isBefore) app.configure({ shutdownGrace: 0 });
    using busy = await RawClient.connect(app.addr);
    await busy.send(GET);
    await asked.promise;
    using idle = await RawClient.connect(app.addr);
    await idle.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
    await idle.response();
    const stopped = app.stop();
    // A grace of 0 is over before the server closes what is idle.
    await idle.gone();
    idle[Symbol.dispose]();
    goOn.resolve();
    assertEquals((await busy.response()).body, "in time");
    busy[Symbol.dispose]();
    await stopped;
  });
}

test("HTTPListener.start() begins again after stop()", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "again"));
  });
  await app.stop();
  await app.start();
  assertEquals((await ask(app)).body, "again");
});

test("HTTPListener.stop() closes idle connections and accepts no more", NET, async () => {
  await using app = await serving((app) => app.onEvent("GET:/", ({ ctx }) => ctx.response(200)));
  const { hostname, port } = app.addr;
  using idle = await RawClient.connect({ hostname, port });
  using used = await RawClient.connect({ hostname, port });
  await used.send(GET);
  await used.response();
  // Accepted is what was answered on a later connection.
  await ask(app);
  await app.stop();
  assertEquals([await idle.gone(), await used.gone()], ["", ""]);
  await assertRejects(() => Deno.connect({ hostname, port }), Deno.errors.ConnectionRefused);
});

test(
  "HTTPListener.stop() lets exchanges under way finish and says Connection: close",
  NET,
  async () => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", async ({ ctx }) => {
        asked.resolve();
        await goOn.promise;
        ctx.response(200, "finished");
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(GET + GET);
    await asked.promise;
    const stopped = app.stop();
    goOn.resolve();
    const { body, headers } = await client.response();
    assertEquals([body, new Map(headers).get("connection")], ["finished", "close"]);
    assertEquals(await client.rest(), "");
    client[Symbol.dispose]();
    await stopped;
  },
);

test("HTTPListener.stop() lets a stream under way finish", NET, async () => {
  const goOn = Promise.withResolvers<void>();
  async function* parts(): AsyncGenerator<string> {
    yield "first ";
    await goOn.promise;
    yield "last";
  }
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, parts(), { "Content-Length": "10" }));
  });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await client.until("first ");
  const stopped = app.stop();
  goOn.resolve();
  assertEquals(await client.rest(), "last");
  client[Symbol.dispose]();
  await stopped;
});

test("HTTPListener.stop() aborts what is under way when shutdownGrace is over", NET, async () => {
  using _errors = new ErrorLog();
  const asked = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ signal }) => {
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      asked.resolve();
      return aborted.promise;
    });
  }, { shutdownGrace: 0 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  await asked.promise;
  await app.stop();
  assertStringIncludes(String(await aborted.promise), "AbortError");
  await client.gone();
});

test("HTTPListener.stop() within a handler lets its exchange finish", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      await app.stop();
      ctx.response(200, "stopped");
    });
  });
  assertEquals((await ask(app)).body, "stopped");
});

for (
  const [where, prepare] of [
    ["on another free port", () => {}],
    ["on the port it had", (app) => app.configure({ port: app.addr.port })],
  ] as [where: string, prepare: (app: HTTPListener) => void][]
) {
  test(`HTTPListener.start() after stop() within a handler listens ${where}`, NET, async () => {
    let starts = 0;
    await using app = await serving((app) => {
      app.startup(() => void starts++);
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, `start ${starts}`));
      app.onEvent("GET:/restart", async ({ ctx }) => {
        prepare(app);
        await app.stop();
        await app.start();
        ctx.response(200, "restarted");
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send("GET /restart HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals((await client.response()).body, "restarted");
    // The old server has ended with its last connection, and the new one is still known.
    assertEquals(await client.rest(), "");
    client[Symbol.dispose]();
    for (let i = 0; i < 2; i++) assertEquals((await ask(app)).body, "start 2");
  });
}

test(
  "HTTPListener.start() after stop() within a handler has the port it had, though there is no grace",
  NET,
  async () => {
    const restarted = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
      app.onEvent("GET:/restart", ({ ctx }) => {
        app.configure({ port: app.addr.port });
        void app.stop();
        restarted.resolve(app.start());
        ctx.response(200);
      });
    }, { shutdownGrace: 0 });
    using client = await RawClient.connect(app.addr);
    await client.send("GET /restart HTTP/1.1\r\nHost: a\r\n\r\n");
    await restarted.promise;
    assertEquals((await ask(app)).body, "Welcome!");
  },
);

test("HTTPListener serves fetch()", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("POST:/user/<username>", async ({ ctx, params }) => {
      ctx.response(200, `${params.username}: ${await ctx.text()}`);
    });
  });
  const client = Deno.createHttpClient({});
  const url = `http://127.0.0.1:${app.addr.port}/user/${encodeURIComponent("Jürgen 🦕")}`;
  const response = await fetch(url, { method: "POST", body: "hello", client });
  assertEquals([response.status, await response.text()], [200, "Jürgen 🦕: hello"]);
  client.close();
});

test(
  "HTTPListener.run() finishes what is under way at SIGINT and ends with status 0",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program(
      "run",
      "--no-prompt",
      "--allow-net",
      "tests/http/slow_program.ts",
    );
    const port = Number(await program.nextLine());
    using client = await RawClient.connect({ hostname: "127.0.0.1", port });
    await client.send(GET);
    assertEquals(await program.nextLine(), "asked");
    program.signal("SIGINT");
    const { body, headers } = await client.response();
    assertEquals([body, new Map(headers).get("connection")], ["finished", "close"]);
    assertEquals(await client.rest(), "");
    client[Symbol.dispose]();
    assertEquals(await program.end(), { code: 0, stdout: "", stderr: "" });
  },
);

Deno.test("a route may have a maxBodySize of its own", async () => {
  const app = new HTTPListener({ maxBodySize: 2 });
  const echo: Handler<HTTPContext> = async ({ ctx }) => ctx.response(200, await ctx.text());
  app.onEvent("POST:/", { name: "small" }, echo);
  app.onEvent("POST:/large", { name: "large", maxBodySize: 4 }, echo);
  for (
    const [path, body, status] of [["/", "123", 413], ["/large", "1234", 200], [
      "/large",
      "12345",
      413,
    ]]
  ) {
    assertEquals((await app.fetch(`${path}`, { method: "POST", body: `${body}` })).status, status);
  }
  assertThrows(
    () => app.onEvent("POST:/none", { maxBodySize: -1 }, echo),
    RangeError,
    'Cannot add route "POST:/none": maxBodySize is set to -1: must be an integer from 0 to',
  );
});

Deno.test("the log tells who answers with a plain object how JSON is answered", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.onEvent("GET:/returned", () => ({ id: 7 }));
  app.onEvent("GET:/given", ({ ctx }) => ctx.response(200, { id: 7 } as never));
  await app.fetch("/returned");
  await app.fetch("/given");
  assertEquals(errors.entries.map((entry) => entry.split("\n")[0]), [
    'Cannot answer "GET /returned": the handler of route "GET:/returned" returned an object that is not a Response ' +
    "(use Response.json()); return a Response, or call ctx.response()",
    'Cannot answer "GET /given": TypeError: Cannot send a body of type object: must be a string, a Uint8Array, ' +
    "a ReadableStream, an async iterable or null; for other types, return a Response such as Response.json(data)",
  ]);
});

Deno.test("the log tells who returns an error to throw it", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.onEvent("GET:/", () => new HTTPError(404));
  assertEquals((await app.fetch("/")).status, 500);
  assertEquals(errors.entries, [
    'Cannot answer "GET /": the handler of route "GET:/" returned an error (throw it); ' +
    "return a Response, or call ctx.response()",
  ]);
});

Deno.test("the log tells who throws a Response to return it", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.onEvent("GET:/", () => {
    throw new Response("not here", { status: 404 });
  });
  assertEquals((await app.fetch("/")).status, 500);
  assertEquals(errors.entries, [
    'Cannot answer "GET /": a Response was thrown; return it, or throw an HTTPError',
  ]);
});

Deno.test("HTTPListener.onEvent() refuses a limit that only the whole server has", () => {
  assertThrows(
    () => new HTTPListener().onEvent("PUT:/film", { bodyTimeout: 60_000 }, () => {}),
    RouteError,
    'Cannot add route "PUT:/film": bodyTimeout is a server-wide option; ' +
      "a route can only set handlerTimeout and maxBodySize",
  );
});

Deno.test("HTTPListener.onEvent() tells who gives a request's route `data` to read the body", () => {
  const app = new HTTPListener();
  const toName = (data: unknown): string => String(Object(data).name);
  assertThrows(
    () => app.onEvent("POST:/users", { data: toName }, ({ ctx, data }) => ctx.response(200, data)),
    RouteError,
    'Cannot add route "POST:/users": a request is an event without data',
  );
  app.onEvent("greet", { data: toName }, ({ data }) => data.length);
});

const MISNAMED: [name: string, option: string][] = [
  ["handlertimeout", "handlerTimeout"],
  ["handler_timeout", "handlerTimeout"],
  ["handlerTimeOut", "handlerTimeout"],
  ["handlerTimout", "handlerTimeout"],
  ["timeout", "handlerTimeout"],
  ["maxBodysize", "maxBodySize"],
  ["bodyLimit", "maxBodySize"],
];
for (const [name, option] of MISNAMED) {
  Deno.test(`HTTPListener.onEvent() refuses the limit ${name}, and names ${option}`, () => {
    assertThrows(
      () => new HTTPListener().onEvent("GET:/", { [name]: 5_000 }, () => {}),
      RouteError,
      `Cannot add route "GET:/": ${name} is not an option; use ${option}`,
    );
  });
}

Deno.test("HTTPListener.onEvent() keeps the application's own options with the route", () => {
  const own = { role: "admin", title: "Host", cacheTimeout: 5, host: "a.example" };
  const { options } = new HTTPListener().onEvent("GET:/", own, () => {});
  assertEquals(options, own);
});

test("what a trusted proxy says is the scheme of a context and of its Request", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, `${ctx.scheme} ${ctx.request.url}`));
  }, { trustedProxies: ["127.0.0.1"] });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n");
  assertEquals((await client.response()).body, "https https://a/");
});

test("what a PROXY header says is the scheme of a context and of its Request", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, `${ctx.scheme} ${ctx.request.url}`));
  }, { proxyProtocol: true });
  const v2 = `\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14${"\x01".repeat(12)}`;
  for (
    const [header, scheme] of [
      [`${v2}\x20\0\x05\x01\0\0\0\0`, "https"],
      [`${v2}\x20\0\x05\0\0\0\0\0`, "http"],
    ]
  ) {
    using client = await RawClient.connect(app.addr);
    await client.send(`${header}GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals((await client.response()).body, `${scheme} ${scheme}://a/`);
  }
});

test(
  "routes, ctx.path and the URL of ctx.request are of one path, whatever the target",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("GET:/admin", ({ ctx }) => ctx.response(200, `${ctx.path} ${ctx.request.url}`));
    });
    using client = await RawClient.connect(app.addr);
    const targets = [
      "/admin",
      "/x/../admin",
      "/c:/../admin",
      "/x/%2E./admin",
      "http://a/c:/../admin",
    ];
    for (const target of targets) {
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      assertEquals((await client.response()).body, "/admin http://a/admin", target);
    }
  },
);
