import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type HTTPContext,
  HTTPError,
  type HTTPListener,
  type ResponseBody,
} from "../../http_context.ts";
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

/** All of a body, read into one buffer of `size` bytes again and again. */
async function readInPlace(body: ReadableStream<Uint8Array>, size: number): Promise<Uint8Array> {
  const all: number[] = [];
  const reader = body.getReader({ mode: "byob" });
  let buffer = new Uint8Array(size);
  for (;;) {
    const { done, value } = await reader.read(buffer);
    if (done) return new Uint8Array(all);
    all.push(...value);
    buffer = new Uint8Array(value.buffer);
    assertEquals(buffer.length, size);
  }
}

/** All of a body, read by `ctx.read()` into one buffer of `size` bytes again and again. */
async function readInto(ctx: HTTPContext, size: number): Promise<Uint8Array> {
  const all: number[] = [];
  const buffer = new Uint8Array(size);
  for (let count; (count = await ctx.read(buffer)) !== null;) {
    assert(count > 0);
    all.push(...buffer.subarray(0, count));
  }
  assertEquals(await ctx.read(buffer), null);
  return new Uint8Array(all);
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
  app.onEvent("POST:/in-place/<size:int>", async ({ ctx, params }) => {
    ctx.response(200, await readInPlace(ctx.body, params.size));
  });
  app.onEvent("POST:/request-in-place/<size:int>", async ({ ctx, params }) => {
    ctx.response(200, await readInPlace(ctx.request.body!, params.size));
  });
  app.onEvent("POST:/read/<size:int>", async ({ ctx, params }) => {
    ctx.response(200, await readInto(ctx, params.size));
  });
  app.onEvent("POST:/read-rest", async ({ ctx }) => {
    const count = await ctx.read(new Uint8Array(2));
    ctx.response(200, `${count}+${(await ctx.bytes()).length}`);
  });
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
  ["/in-place/64", "a buffer", "a buffer"],
  ["/in-place/1", "a small buffer", "a small buffer"],
  ["/in-place/3", "", ""],
  ["/request-in-place/3", "a web Request", "a web Request"],
  ["/read/64", "a buffer", "a buffer"],
  ["/read/1", "a small buffer", "a small buffer"],
  ["/read/3", "", ""],
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

const LARGE = [
  "/body",
  "/bytes",
  "/in-place/1000",
  "/in-place/100000",
  "/read/1000",
  "/read/100000",
];

for (const path of LARGE) {
  test(`HTTPContext reads a large body part by part by ${path}, in its order`, NET, async () => {
    await using app = await serving(readers);
    const body = Array.from({ length: 100_000 }, (_, i) => `${i},`).join("");
    for (const chunk of [10_000, 70_000]) {
      for (const message of framings(path, body, chunk)) {
        using client = await RawClient.connect(app.addr);
        const sending = client.send(message);
        assertEquals((await client.response()).body, body);
        await sending;
      }
    }
  });
}

const RESTS: [path: string, reader: string, answered: string][] = [
  ["/rest", "HTTPContext.body", "3+5"],
  ["/read-rest", "HTTPContext.read()", "2+6"],
];

for (const [path, reader, answered] of RESTS) {
  test(`HTTPContext.bytes() takes what was not read of ${reader}`, NET, async () => {
    await using app = await serving(readers);
    using client = await RawClient.connect(app.addr);
    await client.send(framings(path, "abcdefgh", 3)[1]);
    assertEquals((await client.response()).body, answered);
  });
}

test(
  "HTTPContext.trailers is null before the end of the body, and has its fields after",
  NET,
  async () => {
    const reads = { "/bytes": (ctx: HTTPContext) => ctx.bytes(), "/in-place": inPlace };
    await using app = await serving((app) => {
      for (const [path, read] of Object.entries(reads)) {
        app.onEvent(`POST:${path}`, async ({ ctx }) => {
          const before = ctx.trailers;
          await read(ctx);
          ctx.response(
            200,
            JSON.stringify([before, ctx.trailers?.get("x-sum"), ctx.headers.get("x-sum")]),
          );
        });
      }
    });
    for (const path of Object.keys(reads)) {
      for (const chunks of ["1\r\na\r\n", ""]) {
        using client = await RawClient.connect(app.addr);
        await client.send(
          `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\nX-Sum: 7\r\n\r\n`,
        );
        assertEquals((await client.response()).body, `[null,"7",null]`);
      }
    }
  },
);

function inPlace(ctx: HTTPContext): Promise<Uint8Array> {
  return readInPlace(ctx.body, 16);
}

test(
  "HTTPContext.body gives no more memory with a small part than the part takes",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => {
        let size = 0;
        for await (const part of ctx.body) size += part.buffer.byteLength;
        ctx.response(200, `${size}`);
      });
    });
    for (const message of framings("/", "abcdefgh")) {
      using client = await RawClient.connect(app.addr);
      for (const part of message) await client.send(part);
      assertEquals((await client.response()).body, "8");
    }
  },
);

test("HTTPContext.body gives what came before a chunk that is none", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("POST:/", async ({ ctx }) => {
      let text = "";
      try {
        for await (const part of ctx.body) text += new TextDecoder().decode(part);
      } catch (error) {
        text += ` ${error}`;
      }
      ctx.response(200, text);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  await client.send("1\r\na\r\n1\r\nb\r\nxyz\r\n");
  assertEquals((await client.response()).body, "ab HTTPError: Bad Request");
});

test("HTTPContext.body leaves the request that came with its last chunk", NET, async () => {
  await using app = await serving(readers);
  const [, message] = framings("/body", "abcdefgh");
  const at = message.indexOf("\r\n\r\n") + 4;
  for (const path of ["/body", "/bytes", "/in-place/3", "/read/3"]) {
    using client = await RawClient.connect(app.addr);
    await client.send(message.slice(0, at).replace("/body", path));
    await client.send(message.slice(at) + message);
    for (let i = 0; i < 2; i++) assertEquals((await client.response()).body, "abcdefgh");
  }
});

test("A BYOB reader that gives up leaves what comes to the next one", NET, async () => {
  const asked = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("POST:/", async ({ ctx }) => {
      const reader = ctx.body.getReader({ mode: "byob" });
      const reading = reader.read(new Uint8Array(8)).catch(() => "given up");
      asked.resolve();
      reader.releaseLock();
      const rest = await inPlace(ctx);
      ctx.response(200, `${await reading}, ${new TextDecoder().decode(rest)}`);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
  await asked.promise;
  await client.send("abc");
  await client.send("def");
  assertEquals((await client.response()).body, "given up, abcdef");
});

const LEFT: [what: string, read: (ctx: HTTPContext) => unknown][] = [
  ["by a BYOB reader that cancels", async (ctx) => {
    const reader = ctx.body.getReader({ mode: "byob" });
    reader.read(new Uint8Array(8)).catch(() => {});
    await reader.cancel();
  }],
  ["by a BYOB reader", (ctx) => ctx.body.getReader({ mode: "byob" }).read(new Uint8Array(8))],
  ["by read()", (ctx) => ctx.read(new Uint8Array(8))],
];

for (const [what, read] of LEFT) {
  test(
    `A read ${what} that is under way as its exchange ends gets nothing, and nothing else does`,
    NET,
    async () => {
      const parts: unknown[] = [];
      await using app = await serving((app) => {
        app.onEvent("POST:/left", ({ ctx }) => {
          Promise.resolve(read(ctx)).then((part) => parts.push(part), () => {});
          ctx.response(200, "left");
        });
        app.onEvent("POST:/read", () => Promise.reject(new Error("a request was read")));
      });
      using client = await RawClient.connect(app.addr);
      await client.send("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
      assertEquals((await client.response()).body, "left");
      await client.send("first, first");
      await client.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecond");
      await client.closeWrite();
      assertEquals(await client.rest(), "");
      assertEquals(parts.filter((part) => part !== undefined), []);
    },
  );
}

type Read = (ctx: HTTPContext) => unknown[] | Promise<unknown[]>;

const AGAIN = "it was already read; keep the result of the first read";
const EMPTY = "into an empty buffer: pass one with room; a transferred buffer has none";
const some = (): Uint8Array => new Uint8Array(2);

const REFUSED: [what: string, read: Read, why: string][] = [
  ["text() after text()", async (ctx) => [await ctx.text(), await ctx.text()], AGAIN],
  ["text() beside text()", (ctx) => Promise.all([ctx.text(), ctx.text()]), AGAIN],
  ["body after bytes()", async (ctx) => [await ctx.bytes(), ctx.body], AGAIN],
  ["bytes() while body is read", (ctx) => [ctx.body.getReader(), ctx.bytes()], AGAIN],
  ["read() after bytes()", async (ctx) => [await ctx.bytes(), ctx.read(some())], AGAIN],
  ["read() beside body", (ctx) => [ctx.body, ctx.read(some())], AGAIN],
  ["read() into an empty buffer", (ctx) => [ctx.read(new Uint8Array(0))], EMPTY],
  [
    "read() into an array of another kind",
    (ctx) => [ctx.read(new Uint16Array(2) as unknown as Uint8Array)],
    "body: the buffer must be a Uint8Array",
  ],
];

/** What reading a body in this way fails with. */
async function refusal(read: Read): Promise<unknown> {
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

for (const [what, read, why] of REFUSED) {
  test(`HTTPContext refuses ${what} with a TypeError`, NET, async () => {
    const error = await refusal(read);
    assert(error instanceof TypeError, String(error));
    assertStringIncludes(error.message, `Cannot read the request body`);
    assertStringIncludes(error.message, why);
  });
}

const LENT: [what: string, view: (buffer: Uint8Array) => Uint8Array, left: number][] = [
  ["takes away a buffer that may still be written into", (buffer) => buffer, 0],
  ["leaves a buffer that it was lent a part of", (buffer) => buffer.subarray(4), 64],
];

for (const [what, view, left] of LENT) {
  test(`HTTPContext.read() that fails ${what}`, NET, async () => {
    const buffer = new Uint8Array(64);
    await using app = await serving((app) => {
      app.onEvent("POST:/", ({ ctx }) => {
        ctx.read(view(buffer)).catch(() => {});
        ctx.response(200, "over", { Connection: "close" });
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    assertEquals((await client.response()).body, "over");
    await client.send("too late!");
    await client.closeWrite();
    await client.rest();
    assertEquals(buffer.length, left);
    for (let at = 0; at < left; at++) assertEquals(buffer[at], 0);
  });
}

test(
  "HTTPContext.read() whose buffer is given away meanwhile ends the connection, and tells why",
  NET,
  async () => {
    using errors = new ErrorLog();
    const asked = Promise.withResolvers<void>();
    let failure: unknown;
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => {
        const buffer = new Uint8Array(64);
        const reading = ctx.read(buffer);
        buffer.buffer.transfer();
        asked.resolve();
        failure = await reading.catch((error) => error);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    await asked.promise;
    await client.send("abcdefghi");
    assertEquals(await client.rest(), "");
    assert(failure instanceof Error);
    assertStringIncludes(
      errors.entries[0],
      "TypeError: Cannot read the whole body: its buffer was transferred during the read",
    );
  },
);

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
  [
    "a chunk size that is none, to a BYOB reader",
    "POST /in-place/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
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

const WAITING: [what: string, read: (ctx: HTTPContext) => Promise<unknown>][] = [
  ["text()", (ctx) => ctx.text()],
  ["a BYOB reader", inPlace],
];

for (const [what, read] of WAITING) {
  test(
    `HTTPContext fails ${what} when the client leaves in the middle of the body`,
    NET,
    async () => {
      using errors = new ErrorLog();
      const reading = Promise.withResolvers<unknown>();
      await using app = await serving((app) => {
        app.onEvent("POST:/", ({ ctx }) => {
          const result = read(ctx);
          reading.resolve(result.then(() => null, (error: unknown) => error));
          return result as Promise<void>;
        });
      });
      for (const message of framings("/", "abcdef")) {
        for (const parts of [[message.slice(0, -6)], [...message.slice(0, -6)]]) {
          using client = await RawClient.connect(app.addr);
          for (const part of parts) await client.send(part);
          await client.closeWrite();
          assertEquals((await client.response()).status, 400);
        }
      }
      const error = await reading.promise;
      assert(error instanceof HTTPError, String(error));
      assertEquals(errors.entries, []);
    },
  );
}

const EXPECTING =
  "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

for (const path of ["/text", "/in-place/8"]) {
  test(
    `HTTPContext sends 100 (Continue) to a client that waits for it by ${path}`,
    NET,
    async () => {
      await using app = await serving(readers);
      using client = await RawClient.connect(app.addr);
      await client.send(EXPECTING.replace("/text", path));
      const { head } = await client.response();
      assertEquals(head, "HTTP/1.1 100 Continue\r\n\r\n");
      await client.send("abc");
      const { status, body } = await client.response();
      assertEquals([status, body], [200, "abc"]);
    },
  );
}

// What the body of a response is made of that is the request's.
const PASSED_ON: [what: string, body: (ctx: HTTPContext) => ResponseBody | Response][] = [
  ["a Response of ctx.body", (ctx) => new Response(ctx.body)],
  ["ctx.body", (ctx) => ctx.body],
  ["ctx.body behind a transformer", (ctx) => ctx.body.pipeThrough(new TransformStream())],
  ["a generator over ctx.body", async function* (ctx): AsyncGenerator<Uint8Array> {
    yield* ctx.body;
  }],
  ["a generator that calls ctx.read()", async function* (ctx): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(8);
    for (let count; (count = await ctx.read(buffer)) !== null;) yield buffer.slice(0, count);
  }],
];
for (const [what, make] of PASSED_ON) {
  test(`HTTPContext sends 100 (Continue) before a body of ${what}`, NET, async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/text", ({ ctx }) => {
        const body = make(ctx);
        return body instanceof Response ? body : ctx.response(200, body);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(EXPECTING);
    assertEquals((await client.response()).status, 100);
    await client.send("abc");
    const { status, body } = await client.response();
    assertEquals([status, body], [200, "abc"]);
  });
}

test(
  "HTTPContext sends 100 (Continue) before a stream that ctx.body feeds later",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/text", ({ ctx }) => {
        // It asks for nothing before the client has received the head of the response.
        const later = new TransformStream<Uint8Array, Uint8Array>();
        const reader = ctx.body.getReader();
        headReceived.promise.then(async () => {
          const writer = later.writable.getWriter();
          await writer.write((await reader.read()).value!);
          await writer.close();
        });
        return new Response(later.readable);
      });
    });
    const headReceived = Promise.withResolvers<void>();
    using client = await RawClient.connect(app.addr);
    await client.send(EXPECTING);
    assertEquals((await client.response()).status, 100);
    assertStringIncludes(await client.until("\r\n\r\n"), "HTTP/1.1 200 ");
    headReceived.resolve();
    await client.send("abc");
    assertEquals(await client.until("0\r\n\r\n"), "3\r\nabc\r\n0\r\n\r\n");
  },
);

test(
  "HTTPContext.response() sends no 100 (Continue) before a stream that reads nothing",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/text", ({ ctx }) => ctx.response(200, ReadableStream.from(["abc"])));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(EXPECTING);
    const { status, body } = await client.response();
    assertEquals([status, body], [200, "abc"]);
  },
);

test(
  "HTTPContext.response() sends no 100 (Continue) for a body that its reader has cancelled",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/text", async ({ ctx }) => {
        await ctx.body.getReader().cancel();
        return ctx.response(200, ReadableStream.from(["abc"]));
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(EXPECTING);
    const { status, body } = await client.response();
    assertEquals([status, body], [200, "abc"]);
  },
);

test("HTTPContext.text() sends 100 (Continue) after an interim response", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("POST:/text", async ({ ctx }) => {
      ctx.informational(103, { Link: "</a.css>; rel=preload" });
      ctx.response(200, await ctx.text());
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(EXPECTING);
  assertEquals((await client.response()).status, 103);
  assertEquals((await client.response()).status, 100);
  await client.send("abc");
  const { status, body } = await client.response();
  assertEquals([status, body], [200, "abc"]);
});

test("HTTPContext.text() sends no 100 (Continue) when the body has come already", NET, async () => {
  await using app = await serving(readers);
  using client = await RawClient.connect(app.addr);
  await client.send(`${EXPECTING}abc`);
  assertEquals((await client.response()).status, 200);
});

test(
  "a body over maxBodySize ends the connection where its end has not come, and the response says so",
  NET,
  async () => {
    await using app = await serving(readers, { maxBodySize: 8 });
    for (const sent of framings("/text", "x".repeat(9))) {
      for (const [part, connection] of [[sent, undefined], [sent.slice(0, -1), "close"]] as const) {
        using client = await RawClient.connect(app.addr);
        await client.send(part);
        const { status, headers } = await client.response();
        assertEquals([status, new Map(headers).get("connection")], [413, connection]);
      }
    }
  },
);

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
