import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type HTTPContext,
  HTTPError,
  HTTPListener,
  type ResponseBody,
} from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** Adds the length of the text to a response, and puts its text in capitals. */
async function shout(response: Response): Promise<Response> {
  const text = await response.text();
  const { status, headers } = response;
  headers.set("X-Length", String(text.length));
  headers.delete("Content-Length");
  return new Response(text.toUpperCase(), { status, headers });
}

async function* parts(...texts: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const text of texts) yield await Promise.resolve(text);
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Applications that answer "abc", each in another way. */
const ANSWERS: Record<string, (app: HTTPListener) => void> = {
  "a text": (app) => app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "abc")),
  "a text that is not returned": (app) =>
    app.onEvent("GET:/", ({ ctx }) => {
      ctx.response(200, "abc");
    }),
  "bytes": (app) => app.onEvent("GET:/", ({ ctx }) => ctx.response(200, bytes("abc"))),
  "a stream of texts": (app) =>
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, ReadableStream.from(["a", "bc"]))),
  "a generator": (app) =>
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, parts("a", bytes("bc")))),
  "a Response": (app) => app.onEvent("GET:/", () => new Response("abc")),
  "a Response that takes time": (app) =>
    app.onEvent("GET:/", async () => await Promise.resolve(new Response("abc"))),
  "a Response with a stream": (app) =>
    app.onEvent("GET:/", () => new Response(ReadableStream.from([bytes("a"), bytes("bc")]))),
  "a Response whose fields are immutable": (app) =>
    app.onEvent("GET:/", () => fetch("data:text/plain,abc")),
  "a hook of beforeEvent()": (app) => {
    app.beforeEvent(() => new Response("abc"));
    app.onEvent("GET:/", () => {});
  },
  "a hook of aroundRequest()": (app) => app.aroundRequest(() => new Response("abc")),
  "a hook of onError()": (app) => {
    app.onError(RangeError, () => new Response("abc"));
    app.onEvent("GET:/", () => {
      throw new RangeError();
    });
  },
  "a hook of onHTTPError()": (app) => app.onHTTPError(() => new Response("abc")),
  "an HTTPError": (app) =>
    app.onEvent("GET:/", () => {
      throw new HTTPError(404, "abc");
    }),
};

for (const [name, define] of Object.entries(ANSWERS)) {
  Deno.test(`beforeResponse() sees the response from ${name}, and can change its fields`, async () => {
    const app = new HTTPListener();
    app.aroundRequest((ctx, next) => {
      ctx.setHeader("X-Set", "1");
      return next();
    });
    app.beforeResponse(({ headers }, ctx) =>
      headers.set("X-Seen", headers.get("x-set") + ctx.path)
    );
    define(app);
    const { headers, ...response } = await answer(app);
    assertEquals(response.body, "abc");
    assertEquals([headers.get("x-set"), headers.get("x-seen")], ["1", "1/"]);
  });

  Deno.test(`beforeResponse() can replace the response from ${name}, after some time`, async () => {
    const app = new HTTPListener();
    const statuses: (number | null)[] = [];
    app.aroundRequest(async (ctx, next) => {
      ctx.setHeader("X-Set", "1");
      await next();
      statuses.push(ctx.status);
    });
    app.beforeResponse(shout);
    define(app);
    const { status, headers, body } = await answer(app);
    assertEquals(body, "ABC");
    assertEquals([headers.get("x-set"), headers.get("x-length")], ["1", "3"]);
    // Errors are responded to around these hooks.
    assertEquals(statuses.filter((it) => it !== null), statuses.length > 0 ? [status] : []);
  });
}

/** Gets "/" of an application. */
async function answer(
  app: HTTPListener,
  init?: RequestInit,
): Promise<{ status: number; headers: Headers; body: string }> {
  const response = await app.fetch("/", init);
  return { status: response.status, headers: response.headers, body: await response.text() };
}

Deno.test("hooks of beforeResponse() run in order, each with the response of the one before", async () => {
  const app = new HTTPListener();
  for (const name of ["a", "b", "c"]) {
    app.beforeResponse(async (response) => new Response(await response.text() + name));
  }
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "-"));
  assertEquals((await answer(app)).body, "-abc");
});

Deno.test("beforeResponse() sees what the server itself responds", async () => {
  const app = new HTTPListener();
  const seen: unknown[] = [];
  app.beforeResponse(({ status, headers }) => void seen.push(status, headers.get("allow")));
  app.onEvent("POST:/", () => {});
  for (const method of ["GET", "OPTIONS"]) await answer(app, { method });
  assertEquals(seen, [405, "POST, OPTIONS", 204, "POST, OPTIONS"]);
});

Deno.test("beforeResponse() leaves the length, the type and the date as they are without it", async () => {
  const [plain, hooked] = [new HTTPListener(), new HTTPListener()];
  hooked.beforeResponse(() => {});
  const bodies: Record<string, () => ResponseBody> = {
    text: () => "é",
    bytes: () => bytes("abc"),
    none: () => null,
    stream: () => ReadableStream.from(["a", "b"]),
  };
  for (const status of [200, 201, 204, 205, 304, 404]) {
    for (const [name, body] of Object.entries(bodies)) {
      for (const fields of [{}, { "content-type": "text/html", "X-A": "b" }]) {
        for (const method of ["GET", "HEAD"]) {
          const path = `/${status}/${name}/${Object.keys(fields).length}`;
          for (const app of [plain, hooked]) {
            if (method === "GET") {
              app.onEvent(`GET:${path}`, ({ ctx }) => ctx.response(status, body(), fields));
            }
          }
          const heads = [plain, hooked].map(async (app) => {
            const { status, headers } = await app.fetch(path, { method });
            return {
              status,
              fields: [...headers].filter(([name]) => name !== "date"),
              hasDate: headers.has("date"),
            };
          });
          assertEquals(await heads[1], await heads[0], `${method} ${path}`);
        }
      }
    }
  }
});

Deno.test("a hook of beforeResponse() that fails is a 500 with the fields that were set, which no hook sees", async () => {
  for (const how of ["at once", "in time"]) {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    let count = 0;
    const fail = (): void => {
      count++;
      throw new RangeError("secret");
    };
    app.beforeResponse(how === "at once" ? fail : () => Promise.resolve().then(fail));
    app.onEvent("GET:/", ({ ctx }) => {
      ctx.setHeader("Access-Control-Allow-Origin", "*");
      return ctx.response(200, "abc");
    });
    const { status, headers, body } = await answer(app);
    assertEquals([status, body, count], [500, "Internal Server Error", 1]);
    assertEquals(headers.get("access-control-allow-origin"), "*");
    assertEquals(errors.entries.length, 1);
    assertStringIncludes(errors.entries[0], 'Cannot answer "GET /": RangeError: secret');
    // It fails for the responses of the server itself.
    assertEquals((await app.fetch("/none")).status, 500);
    assertEquals((await app.fetch("/", { method: "OPTIONS" })).status, 500);
  }
});

test(
  "a hook of beforeResponse() that fails for OPTIONS does not stop the server",
  NET,
  async () => {
    using errors = new ErrorLog();
    await using app = await serving((app) => {
      app.beforeResponse(() => Promise.reject(new RangeError("secret")));
      app.onEvent("GET:/", () => {});
    });
    for (let count = 1; count <= 2; count++) {
      using client = await RawClient.connect(app.addr);
      await client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n");
      assertEquals((await client.response()).status, 500);
      assertEquals(errors.entries.length, count);
    }
  },
);

/** Responses whose fields or bodies are out of the ordinary. */
const UNUSUAL: Record<string, (ctx: HTTPContext) => void | Response> = {
  "a type that was set before": (ctx) => {
    ctx.setHeader("Content-Type", "text/html");
    ctx.response(200, "abc");
  },
  "a type that was set before a Response": (ctx) => {
    ctx.setHeader("Content-Type", "text/html");
    return new Response(bytes("abc"));
  },
  "a type that was appended": (ctx) => {
    ctx.appendHeader("Content-Type", "text/html");
    ctx.response(200, bytes("abc"));
  },
  "a field with a short name": (ctx) => ctx.response(200, "abc", { X: "1", y: "2" }) as void,
  "cookies": (ctx) => {
    ctx.appendHeader("Set-Cookie", "a=1");
    ctx.appendHeader("Set-Cookie", "b=2");
    ctx.response(200, "abc", [["Set-Cookie", "c=3"], ["X-A", "\xe9"], ["set-cookie", "d=4"]]);
  },
  "shared memory": (ctx) => {
    const shared = new Uint8Array(new SharedArrayBuffer(3));
    shared.set(bytes("abc"));
    ctx.response(200, shared);
  },
  "a Proxy of a Response": () => new Proxy(new Response("abc", { headers: { A: "b" } }), {}),
  "an object that inherits from a Response": () =>
    Object.create(new Response("abc", { headers: { A: "b" } })),
};

for (const [name, answerTo] of Object.entries(UNUSUAL)) {
  Deno.test(`beforeResponse() leaves ${name} as it is without it`, async () => {
    const [plain, hooked] = [new HTTPListener(), new HTTPListener()];
    hooked.beforeResponse(({ headers }) => void headers.get("a"));
    const [expected, actual] = await Promise.all([plain, hooked].map(async (app) => {
      app.onEvent("GET:/", ({ ctx }) => answerTo(ctx));
      const { status, headers, body } = await answer(app);
      return { status, headers: [...headers].filter(([name]) => name !== "date"), body };
    }));
    assertEquals(actual, expected);
  });
}

Deno.test("a hook of beforeResponse() can change the fields that an earlier one got from fetch()", async () => {
  const app = new HTTPListener();
  app.beforeResponse(() => fetch("data:text/plain,abc"));
  app.beforeResponse(({ headers }) => headers.set("X-A", "b"));
  app.onEvent("GET:/", () => new Response());
  const { headers, body } = await answer(app);
  assertEquals([body, headers.get("x-a")], ["abc", "b"]);
});

Deno.test("a hook of beforeResponse() that only reads the body is told to return a Response", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.beforeResponse(async function log(response): Promise<void> {
    await response.text();
  });
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "abc"));
  assertEquals((await answer(app)).status, 500);
  assertStringIncludes(
    errors.entries[0],
    'Cannot send the response after the hook of beforeResponse() "log": the body of the Response was already read',
  );
});

Deno.test("a hook of beforeResponse() cannot respond itself", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.beforeResponse((_response, ctx) => ctx.response(200, "mine"));
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "abc"));
  assertEquals((await answer(app)).status, 500);
  assertStringIncludes(errors.entries[0], "Cannot respond twice");
});

Deno.test("the producer of a stream that a hook of beforeResponse() replaces is told", async () => {
  const app = new HTTPListener();
  const { promise, resolve } = Promise.withResolvers<void>();
  app.beforeResponse(() => new Response(null, { status: 304 }));
  app.onEvent(
    "GET:/",
    ({ ctx }) => ctx.response(200, new ReadableStream({ cancel: () => resolve() })),
  );
  assertEquals((await answer(app)).status, 304);
  await promise;
});

for (const how of ["at once", "in time"]) {
  Deno.test(`the producer of a stream is told that a later hook of beforeResponse() failed ${how}`, async () => {
    using _errors = new ErrorLog();
    const app = new HTTPListener();
    const cancelled = Promise.withResolvers<void>();
    app.beforeResponse(({ body }) => new Response(body!.pipeThrough(new TransformStream())));
    app.beforeResponse(() => {
      if (how === "in time") return Promise.reject(new RangeError("secret"));
      throw new RangeError("secret");
    });
    const stream = new ReadableStream({ cancel: () => cancelled.resolve() });
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, stream));
    assertEquals((await answer(app)).status, 500);
    await cancelled.promise;
  });
}

Deno.test("a stream goes through a hook of beforeResponse() as it is produced", async () => {
  const app = new HTTPListener();
  app.beforeResponse(({ body, headers }) => {
    return new Response(body!.pipeThrough(new CompressionStream("gzip")), { headers });
  });
  const { readable, writable } = new TransformStream<string, string>();
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, readable, { "Content-Type": "text/plain" }));
  const response = await app.fetch("/");
  const writer = writable.getWriter();
  await writer.write("abc");
  await writer.close();
  const text = response.body!.pipeThrough(new DecompressionStream("gzip"));
  assertEquals(await new Response(text).text(), "abc");
});

Deno.test("beforeResponse() does not start the producer of a body that HEAD does not send", async () => {
  const app = new HTTPListener();
  app.beforeResponse(() => {});
  let isStarted = false;
  app.onEvent("GET:/", ({ ctx }) => {
    const { signal } = ctx.request;
    async function* live(): AsyncGenerator<string> {
      isStarted = true;
      yield "abc";
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    return ctx.response(200, live());
  });
  await app.fetch("/", { method: "HEAD" });
  await app.fetch("/none");
  assertEquals(isStarted, false);
});

test(
  "the client of a response that waits for a hook of beforeResponse() may leave",
  NET,
  async () => {
    using errors = new ErrorLog();
    const [begun, left, over] = [0, 1, 2].map(() => Promise.withResolvers<void>());
    await using app = await serving((app) => {
      app.aroundRequest(async (_ctx, next) => {
        await next();
        over.resolve();
      });
      app.beforeResponse(async (response) => {
        begun.resolve();
        await left.promise;
        return response;
      });
      app.onEvent("GET:/", ({ ctx, signal }) => {
        signal.addEventListener("abort", () => left.resolve());
        return ctx.response(200, "abc");
      });
    });
    const client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await begun.promise;
    client[Symbol.dispose]();
    await over.promise;
    assertEquals(errors.entries, []);
  },
);

/** Handlers that fail while a hook of beforeResponse() works on their response "abc". */
const FAILING: Record<string, (ctx: HTTPContext) => void | Promise<void>> = {
  "throws": (ctx) => {
    ctx.response(200, "abc");
    throw new RangeError("late");
  },
  "throws while a Response is sent": (ctx) => {
    ctx.respondWith(new Response("abc"));
    throw new RangeError("late");
  },
  "responds twice": (ctx) => {
    ctx.response(200, "abc");
    ctx.response(200, "def");
  },
};

for (const [how, handle] of Object.entries(FAILING)) {
  Deno.test(`a handler that ${how} while a hook of beforeResponse() runs is a 500`, async () => {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    app.beforeResponse(() => new Promise(() => {}));
    app.onEvent("GET:/", ({ ctx }) => {
      ctx.setHeader("X-Set", "1");
      return handle(ctx);
    });
    const { status, headers } = await answer(app);
    assertEquals([status, headers.get("x-set")], [500, "1"]);
    assertEquals(errors.entries.length, 1);
  });
}

Deno.test("a hook of onError() can respond while a hook of beforeResponse() runs", async () => {
  const app = new HTTPListener();
  app.beforeResponse(() => new Promise(() => {}));
  app.onError(RangeError, () => new Response("late", { status: 400 }));
  app.onEvent("GET:/", ({ ctx }) => FAILING.throws(ctx));
  const { status, body } = await answer(app);
  assertEquals([status, body], [400, "late"]);
});

Deno.test("a hook of beforeResponse() that a handler waits for is within handlerTimeout", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener({ handlerTimeout: 1 });
  const [replaced, discarded] = [0, 1].map(() => Promise.withResolvers<void>());
  const hooked = Promise.withResolvers<Response>();
  app.beforeResponse(() => hooked.promise);
  const stream = (cancel: () => void): ReadableStream<string> => new ReadableStream({ cancel });
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, stream(replaced.resolve)));
  assertEquals((await answer(app)).status, 503);
  await replaced.promise;
  // Nobody reads what comes too late.
  hooked.resolve(new Response(new ReadableStream({ cancel: discarded.resolve })));
  await discarded.promise;
  assertEquals(errors.entries.length, 1);
});

Deno.test("a response that cannot be sent after a hook of beforeResponse() is a 500 with the fields that were set", async () => {
  for (const hook of [() => {}, async () => await Promise.resolve()]) {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    app.beforeResponse(hook);
    app.onEvent("GET:/", ({ ctx }) => {
      ctx.setHeader("X-Set", "1");
      return ctx.response(200, "abc", { "Content-Length": "4" });
    });
    const { status, headers } = await answer(app);
    assertEquals([status, headers.get("x-set")], [500, "1"]);
    assertEquals(errors.entries.length, 1);
  }
});

Deno.test("a hook of beforeResponse() that fails for a response of onHTTPError() is logged once", async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener();
  app.aroundRequest((_ctx, next) => next());
  app.beforeResponse(() => Promise.reject(new RangeError("secret")));
  app.onHTTPError(() => new Response("nice", { status: 404 }));
  assertEquals(await answer(app).then(({ status, body }) => [status, body]), [404, "Not Found"]);
  assertEquals(errors.entries.length, 1);
});

Deno.test("beforeResponse() refuses what is not a function", () => {
  const app = new HTTPListener();
  assertThrows(
    () => app.beforeResponse(new Response() as unknown as () => void),
    TypeError,
    "Cannot call beforeResponse(): the hook must be a function, got",
  );
});
