import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { HTTPContext, HTTPListener } from "../../http_context.ts";
import { depends } from "../../listener.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** What `look` finds in the context of a request. */
async function seen<T>(sent: string, look: (ctx: HTTPContext) => T): Promise<Awaited<T>> {
  const found = Promise.withResolvers<T>();
  await using app = await serving((app) => {
    app.onEvent(async ({ ctx }) => {
      found.resolve(await look(ctx));
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(sent);
  await client.response();
  return await found.promise;
}

test("HTTPContext shows the request as it came", NET, async () => {
  const found = await seen(
    "PURGE /a%20b/c?x=1&x=%C3%BC&y HTTP/1.1\r\nHost: a\r\nX-Two: 1\r\nx-two: 2\r\n\r\n",
    (ctx) => ({
      method: ctx.method,
      target: ctx.target,
      path: ctx.path,
      query: [...ctx.query],
      httpVersion: ctx.httpVersion,
      headers: [...ctx.headers],
      two: ctx.headers.get("X-TWO"),
    }),
  );
  assertEquals(found, {
    method: "PURGE",
    target: "/a%20b/c?x=1&x=%C3%BC&y",
    path: "/a%20b/c",
    query: [["x", "1"], ["x", "ü"], ["y", ""]],
    httpVersion: "1.1",
    headers: [["host", "a"], ["x-two", "1"], ["x-two", "2"]],
    two: "1, 2",
  });
});

test("HTTPContext has the addresses of both ends", NET, async () => {
  let addresses: unknown[] = [];
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => {
      addresses = [ctx.remoteAddr, ctx.localAddr];
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.0\r\n\r\n");
  await client.response();
  const [remote, local] = addresses as Deno.NetAddr[];
  assertEquals(`${remote.hostname}:${remote.port}`, client.address);
  assertEquals(local, app.addr);
});

// Target, Host, and the URL of the web Request; PORT is the server's.
const URLS: [target: string, host: string, url: string][] = [
  ["/a?b=c", "Host: example.com\r\n", "http://example.com/a?b=c"],
  ["/a", "Host: example.com:81\r\n", "http://example.com:81/a"],
  ["http://example.com/a", "Host: other.com\r\n", "http://example.com/a"],
  ["//a/b", "Host: example.com\r\n", "http://example.com//a/b"],
  ["/a", "", "http://127.0.0.1:PORT/a"],
  ["*", "Host: example.com\r\n", "http://example.com/"],
];

for (const [target, host, url] of URLS) {
  test(
    `HTTPContext.request has the URL ${url} for ${target} with "${host.trim()}"`,
    NET,
    async () => {
      const version = host === "" ? "1.0" : "1.1";
      const found = await seen(`OPTIONS ${target} HTTP/${version}\r\n${host}\r\n`, (ctx) => [
        ctx.request.url,
        String((ctx.localAddr as Deno.NetAddr).port),
      ]);
      assertEquals(found[0], url.replace("PORT", found[1]));
    },
  );
}

test("HTTPContext.request is one web Request, with method, headers and body", NET, async () => {
  const found = await seen(
    "POST /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc",
    async ({ request }) => ({
      isRequest: request instanceof Request,
      method: request.method,
      header: request.headers.get("x-a"),
      body: await request.text(),
    }),
  );
  assertEquals([found.isRequest, found.method, found.header, found.body], [
    true,
    "POST",
    "1",
    "abc",
  ]);
});

test("HTTPContext.request is the same at each use", NET, async () => {
  assertEquals(await seen("GET / HTTP/1.0\r\n\r\n", (ctx) => ctx.request === ctx.request), true);
});

Deno.test("HTTPContext without a request says so", () => {
  const ctx = new HTTPListener().newCtx();
  assertThrows(
    () => ctx.method,
    TypeError,
    "Cannot use this HTTPContext: it has no request",
  );
  ctx.drop();
});

class AppContext extends HTTPContext {
  visits = 0;
  get userAgent(): string {
    return this.headers.get("user-agent") ?? "unknown";
  }
}

test(
  "HTTPListener.setContextClass() gives handlers, hooks and dependencies contexts of that class",
  NET,
  async () => {
    await using app = new HTTPListener<AppContext>({ port: 0, accessLog: false });
    app.setContextClass(AppContext);
    const visits = depends(({ ctx }) => {
      assertInstanceOf(ctx, AppContext);
      return ++ctx.visits;
    });
    app.beforeEvent(({ ctx }) => void ctx.visits++);
    app.onEvent("GET:/", async (event) => {
      event.ctx.response(200, `${event.ctx.userAgent} ${await event.use(visits)}`);
    });
    await app.start();
    using client = await RawClient.connect(app.addr);
    for (let i = 0; i < 2; i++) {
      await client.send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n");
      assertEquals((await client.response()).body, "me 2");
    }
  },
);

test("HTTPListener answers 500 where the context class throws, and asks no hook", NET, async () => {
  class Broken extends HTTPContext {
    user = ((): string => {
      throw new RangeError("no user");
    })();
  }
  using errors = new ErrorLog();
  const app = new HTTPListener({ port: 0, accessLog: false }).setContextClass(Broken);
  await using _ = app;
  app.onHTTPError((_, { user }) => new Response(user));
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, ctx.user));
  await app.start();
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
  for (let i = 0; i < 2; i++) {
    const { status, body } = await client.response();
    assertEquals([status, body], [500, "Internal Server Error"]);
    assertMatch(errors.entries[i], /^Cannot answer "GET \/": RangeError: no user/);
  }
  assertEquals(errors.entries.length, 2);
});

test("HTTPListener gives concurrent requests contexts of their own", NET, async () => {
  const both = Promise.withResolvers<void>();
  const inFlight = new Set<HTTPContext>();
  await using app = await serving((app) => {
    app.onEvent("GET:/<name>", async ({ ctx, params }) => {
      ctx.scope.name = params.name;
      inFlight.add(ctx);
      if (inFlight.size === 2) both.resolve();
      await both.promise;
      ctx.response(200, `${ctx.scope.name} of ${app.ctxs.size}`);
    });
  });
  const ask = async (name: string): Promise<string> => {
    using client = await RawClient.connect(app.addr);
    await client.send(`GET /${name} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return (await client.response()).body;
  };
  const answers = await Promise.all([ask("ann"), ask("bob")]);
  assertMatch(answers.join(), /^ann of [12],bob of [12]$/);
  assertEquals(new Set([...inFlight].map((ctx) => ctx.cid)).size, 2);
});

test(
  "a context class may read the request in its constructor, and fail in drop()",
  NET,
  async () => {
    using errors = new ErrorLog();
    const dropped = Promise.withResolvers<void>();
    class AppContext extends HTTPContext {
      user = this.headers.get("x-user");
      override drop(reason?: unknown): void {
        super.drop(reason);
        dropped.resolve();
        throw new Error("too late");
      }
    }
    await using app = await serving((app) => {
      app.setContextClass(AppContext).onEvent("GET:/", ({ ctx }) => ctx.response(200, ctx.user));
    });
    using client = await RawClient.connect(app.addr);
    for (const user of ["bob", "eve"]) {
      await client.send(`GET / HTTP/1.1\r\nHost: a\r\nX-User: ${user}\r\n\r\n`);
      assertEquals((await client.response()).body, user);
    }
    await dropped.promise;
    assertStringIncludes(errors.entries[0], 'Cannot drop the context of "GET /": Error: too late');
    assertThrows(() => app.newCtx(), TypeError, "it has no request");
  },
);

test("a drop() that takes time and fails is logged with its request", NET, async () => {
  using errors = new ErrorLog();
  const goOn = Promise.withResolvers<void>();
  class AppContext extends HTTPContext {
    override async drop(reason?: unknown): Promise<void> {
      super.drop(reason);
      await goOn.promise;
      throw new Error("no rollback");
    }
  }
  await using app = await serving((app) => {
    app.setContextClass(AppContext).onEvent(({ ctx }) => ctx.response(200));
  });
  using client = await RawClient.connect(app.addr);
  for (const path of ["/first", "/next"]) {
    await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.response();
  }
  goOn.resolve();
  await app.stop();
  assertEquals(errors.entries.map((entry) => entry.split("\n")[0]), [
    'Cannot drop the context of "GET /first": Error: no rollback',
    'Cannot drop the context of "GET /next": Error: no rollback',
  ]);
});

// What a client sends, of which the connection ends with the last request, or goes on.
const DROPPED: [what: string, sent: string, count: number][] = [
  ["goes on", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1],
  ["ends", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1],
  ["ends with an unread body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 1],
  ["ends after another request", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n", 2],
];

for (const [what, sent, count] of DROPPED) {
  test(`drop() is called once for each request of a connection that ${what}`, NET, async () => {
    const dropped: HTTPContext[] = [];
    class AppContext extends HTTPContext {
      override drop(reason?: unknown): void {
        super.drop(reason);
        dropped.push(this);
      }
    }
    await using app = await serving((app) => {
      app.setContextClass(AppContext).onEvent(({ ctx }) => ctx.response(200));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(sent);
    for (let i = 0; i < count; i++) await client.response();
    client[Symbol.dispose]();
    await app.stop();
    assertEquals([dropped.length, new Set(dropped).size], [count, count]);
  });
}

test(
  "a request belongs to the context that newCtx() returns, whatever others are made",
  NET,
  async () => {
    class App extends HTTPListener {
      readonly spare: HTTPContext[] = [];
      override newCtx(): HTTPContext {
        this.spare.push(super.newCtx());
        return super.newCtx();
      }
    }
    await using app = new App({ port: 0, accessLog: false });
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, ctx.method));
    await app.start();
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals((await client.response()).body, "GET");
    assertThrows(() => app.newCtx().method, TypeError, "it has no request");
  },
);
