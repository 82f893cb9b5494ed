import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type HTTPContext, HTTPError, type HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient, utf8 } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** A request in both framings, the second in chunks of `chunk` bytes. */
function framings(path: string, body: string, chunk = 3): string[] {
  const head = `POST ${path} HTTP/1.1\r\nHost: a\r\n`;
  let chunks = "";
  for (let at = 0; at < body.length; at += chunk) {
    const part = body.slice(at, at + chunk);
    chunks += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return [
    `${head}Content-Length: ${body.length}\r\n\r\n${body}`,
    `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
  ];
}

/** Routes named after the reader that they answer with. */
function readers(app: HTTPListener): void {
  app.onEvent("POST:/bytes", async ({ ctx }) => ctx.response(200, await ctx.bytes()));
  app.onEvent("POST:/text", async ({ ctx }) => ctx.response(200, await ctx.text()));
  app.onEvent("POST:/json", async ({ ctx }) => {
    ctx.response(200, JSON.stringify(await ctx.json()));
  });
  app.onEvent("POST:/body", ({ ctx }) => ctx.response(200, ctx.body));
  app.onEvent("POST:/request", async ({ ctx }) => ctx.response(200, await ctx.request.text()));
  app.onEvent("POST:/rest", async ({ ctx }) => {
    const reader = ctx.body.getReader();
    const first = await reader.read();
    reader.releaseLock();
    const rest = await ctx.bytes();
    ctx.response(200, `${first.value?.length ?? 0}+${rest.length}`);
  });
}

const READ: [path: string, sent: string, answered: string][] = [
  ["/bytes", "a\x00\xff\r\n", "a\x00\xff\r\n"],
  ["/bytes", "", ""],
  ["/text", utf8("Jürgen 🦕"), utf8("Jürgen 🦕")],
  ["/text", "\xff!", utf8("\ufffd!")],
  ["/json", `{"a": [1, null]}`, `{"a":[1,null]}`],
  ["/body", "a stream", "a stream"],
  ["/body", "", ""],
  ["/request", "a web Request", "a web Request"],
];

for (const [path, sent, answered] of READ) {
  test(`HTTPContext reads ${JSON.stringify(sent)} by ${path} in each framing`, NET, async () => {
    await using app = await serving(readers);
    for (const message of framings(path, sent)) {
      for (const parts of [[message], [...message]]) {
        using client = await RawClient.connect(app.addr);
        for (const part of parts) await client.send(part);
        const { status, body } = await client.response();
        assertEquals([status, body], [200, answered]);
      }
    }
  });
}

test("HTTPContext.body gives a large body part by part, in its order", NET, async () => {
  await using app = await serving(readers);
  const body = Array.from({ length: 100_000 }, (_, i) => `${i},`).join("");
  for (const message of framings("/body", body, 10_000)) {
    using client = await RawClient.connect(app.addr);
    const sending = client.send(message);
    assertEquals((await client.response()).body, body);
    await sending;
  }
});

test("HTTPContext.bytes() takes what was not read of HTTPContext.body", NET, async () => {
  await using app = await serving(readers);
  using client = await RawClient.connect(app.addr);
  await client.send(framings("/rest", "abcdefgh", 3)[1]);
  assertEquals((await client.response()).body, "3+5");
});

test(
  "HTTPContext.trailers is null before the end of the body, and has its fields after",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => {
        const before = ctx.trailers;
        await ctx.bytes();
        ctx.response(
          200,
          JSON.stringify([before, ctx.trailers?.get("x-sum"), ctx.headers.get("x-sum")]),
        );
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    assertEquals((await client.response()).body, `[null,"7",null]`);
  },
);

type Read = (ctx: HTTPContext) => unknown[] | Promise<unknown[]>;

const TWICE: [what: string, read: Read][] = [
  ["text() after text()", async (ctx) => [await ctx.text(), await ctx.text()]],
  ["text() beside text()", (ctx) => Promise.all([ctx.text(), ctx.text()])],
  ["body after bytes()", async (ctx) => [await ctx.bytes(), ctx.body]],
  ["bytes() while body is read", (ctx) => [ctx.body.getReader(), ctx.bytes()]],
];

/** What reading a body in this way fails with. */
async function twice(read: Read): Promise<unknown> {
  let thrown: unknown;
  await using app = await serving((app) => {
    app.onEvent("POST:/", async ({ ctx }) => {
      try {
        await Promise.all(await read(ctx));
      } catch (error) {
        thrown = error;
      }
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(framings("/", "abc")[0]);
  assertEquals((await client.response()).status, 200);
  return thrown;
}

for (const [what, read] of TWICE) {
  test(`HTTPContext refuses ${what} with a TypeError`, NET, async () => {
    const error = await twice(read);
    assert(error instanceof TypeError, String(error));
    assertStringIncludes(
      error.message,
      "Cannot read the request's body: it was read before; keep what the first read returned",
    );
  });
}

test("HTTPContext refuses to read the body when the exchange is over", NET, async () => {
  const late = Promise.withResolvers<() => Promise<string>>();
  await using app = await serving((app) => {
    app.onEvent("POST:/", ({ ctx }) => {
      late.resolve(() => ctx.text());
      ctx.response(200);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(framings("/", "abc")[0]);
  await client.response();
  await client.closeWrite();
  await client.rest();
  await assertRejects(
    await late.promise,
    TypeError,
    "the exchange is over; read it before the response ends",
  );
});

// What the client is told when the body is not one that can be read, by what the handler awaits.
const FAILED: [what: string, sent: string, status: number, body: string][] = [
  ["no JSON", framings("/json", "{a")[0], 400, "The body is not valid JSON"],
  [
    "a Content-Length over maxBodySize",
    framings("/text", "x".repeat(9))[0],
    413,
    "Content Too Large",
  ],
  ["chunks over maxBodySize", framings("/text", "x".repeat(9))[1], 413, "Content Too Large"],
  [
    "a chunk size that is none",
    "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nxyz\r\n",
    400,
    "Bad Request",
  ],
  [
    "a chunk that is longer than its size",
    "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naa\r\n0\r\n\r\n",
    400,
    "Bad Request",
  ],
];

for (const [what, sent, status, body] of FAILED) {
  test(`HTTPContext answers ${what} with ${status}`, NET, async () => {
    using errors = new ErrorLog();
    await using app = await serving(readers, { maxBodySize: 8 });
    for (const parts of [[sent], [...sent]]) {
      using client = await RawClient.connect(app.addr);
      // The server may have answered and closed before the last byte was sent.
      for (const part of parts) await client.send(part).catch(() => {});
      const response = await client.response();
      assertEquals([response.status, response.body], [status, body]);
    }
    assertEquals(errors.entries, []);
  });
}

test("HTTPContext.body has no limit of size", NET, async () => {
  await using app = await serving(readers, { maxBodySize: 8 });
  using client = await RawClient.connect(app.addr);
  await client.send(framings("/body", "x".repeat(20))[0]);
  assertEquals((await client.response()).body, "x".repeat(20));
});

test(
  "HTTPContext.text() rejects when the client leaves in the middle of the body",
  NET,
  async () => {
    using errors = new ErrorLog();
    const reading = Promise.withResolvers<unknown>();
    await using app = await serving((app) => {
      app.onEvent("POST:/", ({ ctx }) => {
        const text = ctx.text();
        reading.resolve(text.then(() => null, (error: unknown) => error));
        return text;
      });
    });
    for (const message of framings("/", "abcdef")) {
      using client = await RawClient.connect(app.addr);
      await client.send(message.slice(0, -6));
      await client.closeWrite();
      assertEquals((await client.response()).status, 400);
    }
    const error = await reading.promise;
    assert(error instanceof HTTPError, String(error));
    assertEquals(errors.entries, []);
  },
);

const EXPECTING =
  "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

test("HTTPContext.text() sends 100 (Continue) to a client that waits for it", NET, async () => {
  await using app = await serving(readers);
  using client = await RawClient.connect(app.addr);
  await client.send(EXPECTING);
  const { head } = await client.response();
  assertEquals(head, "HTTP/1.1 100 Continue\r\n\r\n");
  await client.send("abc");
  const { status, body } = await client.response();
  assertEquals([status, body], [200, "abc"]);
});

test(
  "HTTPContext.respondWith() sends 100 (Continue) before a body that is the request's",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/text", ({ ctx }) => new Response(ctx.body));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(EXPECTING);
    assertEquals((await client.response()).status, 100);
    await client.send("abc");
    const { status, body } = await client.response();
    assertEquals([status, body], [200, "abc"]);
  },
);

test("HTTPContext.text() sends no 100 (Continue) when the body has come already", NET, async () => {
  await using app = await serving(readers);
  using client = await RawClient.connect(app.addr);
  await client.send(`${EXPECTING}abc`);
  assertEquals((await client.response()).status, 200);
});

test("HTTPContext.text() sends no 100 (Continue) for a body that is too large", NET, async () => {
  await using app = await serving(readers, { maxBodySize: 2 });
  using client = await RawClient.connect(app.addr);
  await client.send(EXPECTING);
  assertEquals((await client.response()).status, 413);
});

for (const reader of ["bytes", "text", "json", "formData"] as const) {
  test(
    `${reader}() that fails before its handler awaits it does not end the process`,
    NET,
    async () => {
      const asked = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      const outcome = Promise.withResolvers<unknown>();
      await using app = await serving((app) => {
        app.onEvent("POST:/", async ({ ctx }) => {
          const reading = ctx[reader]();
          asked.resolve();
          await left.promise;
          outcome.resolve(await reading.catch((error) => error));
          ctx.response(200);
        });
      });
      const client = await RawClient.connect(app.addr);
      const type = "Content-Type: multipart/form-data; boundary=b\r\n";
      await client.send(`POST / HTTP/1.1\r\nHost: a\r\n${type}Content-Length: 9\r\n\r\nabc`);
      await asked.promise;
      client[Symbol.dispose]();
      while (app.counters.open > 0 && app.counters.refused[400] === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      left.resolve();
      assertInstanceOf(await outcome.promise, Error);
    },
  );
}
