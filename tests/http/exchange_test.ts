import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { LocalProtocolError } from "../../h11.ts";
import {
  type ErrorLogEntry,
  type HTTPContext,
  HTTPListener,
  type ResponseBody,
} from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient, type RawResponse, utf8 } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const request = (method: string, path = "/", version = "1.1"): string =>
  `${method} ${path} HTTP/${version}\r\nHost: a\r\n\r\n`;

/** The answer to one request that `handler` takes. */
async function answer(
  handler: (ctx: HTTPContext) => unknown,
  { method = "GET", version = "1.1" } = {},
): Promise<RawResponse> {
  await using app = await serving((app) => app.onEvent("GET:/", ({ ctx }) => handler(ctx)));
  using client = await RawClient.connect(app.addr);
  await client.send(request(method, "/", version));
  return await client.response(method);
}

async function* parts(...parts: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const part of parts) yield await Promise.resolve(part);
}

const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";

// What a handler sends, and the head and the body that go out for it.
const SENT: [what: string, body: () => ResponseBody, head: string, received: string][] = [
  [
    "a string in UTF-8",
    () => "Jürgen 🦕",
    `${TEXT}Date: now\r\nContent-Length: 12\r\n`,
    utf8("Jürgen 🦕"),
  ],
  ["an empty string", () => "", `${TEXT}Date: now\r\nContent-Length: 0\r\n`, ""],
  [
    "bytes",
    () => bytes(0, 255, 13),
    "Content-Type: application/octet-stream\r\nDate: now\r\nContent-Length: 3\r\n",
    "\x00\xff\r",
  ],
  ["null", () => null, "Date: now\r\nContent-Length: 0\r\n", ""],
  [
    "a stream of strings and bytes in chunks",
    () => ReadableStream.from(["ü", bytes(1, 2)]),
    "Date: now\r\nTransfer-Encoding: chunked\r\n",
    utf8("ü") + "\x01\x02",
  ],
  [
    "an async iterable in chunks",
    () => parts("a", "", bytes(98)),
    "Date: now\r\nTransfer-Encoding: chunked\r\n",
    "ab",
  ],
];

for (const [what, body, head, received] of SENT) {
  test(`HTTPContext.response() sends ${what}`, NET, async () => {
    const response = await answer((ctx) => ctx.response(200, body()));
    assertEquals(response.head, `HTTP/1.1 200 OK\r\n${head}\r\n`);
    assertEquals(response.body, received);
  });
}

// Texts of a length, in UTF-16; and ways to answer with them.
const TEXTS: [what: string, ofLength: (length: number) => string][] = [
  ["ASCII", (length) => "0123456789".repeat(length / 10 + 1).slice(0, length)],
  ["text with an umlaut at its end", (length) => "a".repeat(length - 1) + "ü"],
  ["emoji", (length) => "🦕".repeat(length / 2 + 1).slice(0, length)],
];
const TEXT_WAYS: [name: string, answer: (ctx: HTTPContext, text: string) => unknown][] = [
  ["HTTPContext.response()", (ctx, text) => ctx.response(200, text)],
  [
    "HTTPContext.response() with fields",
    (ctx, text) => ctx.response(200, text, { "Cache-Control": "no-store" }),
  ],
  ["a Response", (_, text) => new Response(text)],
  ["a Response of bytes", (_, text) => new Response(new TextEncoder().encode(text))],
];
const KIB = 1024;
const LENGTHS = [1, 2, 64, 65, 1000, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1]
  .concat([100_000, 128 * KIB, 128 * KIB + 1, 300_000]);

for (const [what, ofLength] of TEXTS) {
  for (const [way, answer] of TEXT_WAYS) {
    test(
      `${way} sends ${what} of any length whole, also to requests that come together`,
      NET,
      async () => {
        await using app = await serving((app) => {
          app.onEvent(
            "GET:/<length:int>",
            ({ ctx, params }) => answer(ctx, ofLength(params.length)),
          );
        });
        using client = await RawClient.connect(app.addr);
        const lengths = [...LENGTHS, ...LENGTHS.toReversed()];
        await client.send(lengths.map((length) => request("GET", `/${length}`)).join(""));
        for (const length of lengths) {
          const { head, body } = await client.response();
          const expected = utf8(ofLength(length));
          assertStringIncludes(head, `Content-Length: ${expected.length}\r\n`);
          assert(body === expected, `the ${length} characters came otherwise`);
        }
      },
    );
  }
}

// Responses that differ in little, and what of their heads tells them apart.
const ALIKE: [status: number, fields: HeadersInit, body: string | Uint8Array, head: string][] = [
  [200, { "X-A": "1", "X-B": "2" }, "text", `X-A: 1\r\nX-B: 2\r\n${TEXT}`],
  [200, { "X-A": "1", "X-B": "3" }, "text", `X-A: 1\r\nX-B: 3\r\n${TEXT}`],
  [200, { "X-B": "2", "X-A": "1" }, "text", `X-B: 2\r\nX-A: 1\r\n${TEXT}`],
  [200, { "x-a": "1", "X-B": "2" }, "text", `x-a: 1\r\nX-B: 2\r\n${TEXT}`],
  [404, { "X-A": "1", "X-B": "2" }, "text", `X-A: 1\r\nX-B: 2\r\n${TEXT}`],
  [200, [["X-A", "1"], ["X-A", "2"]], "text", `X-A: 1\r\nX-A: 2\r\n${TEXT}`],
  [
    200,
    { "X-A": "1", "X-B": "2" },
    bytes(1),
    "X-A: 1\r\nX-B: 2\r\nContent-Type: application/octet-stream\r\n",
  ],
  [200, { "X-A": "1", "Content-Type": "a/b" }, "text", "X-A: 1\r\nContent-Type: a/b\r\n"],
  [200, { "X-A": "1", "Content-Length": "4" }, "text", `X-A: 1\r\nContent-Length: 4\r\n${TEXT}`],
];

for (const method of ["GET", "HEAD"]) {
  test(
    `HTTPContext.response() sends to ${method} the fields it was given, whatever was sent before`,
    NET,
    async () => {
      await using app = await serving((app) => {
        app.onEvent("GET:/<at:int>", ({ ctx, params }) => {
          const [status, fields, body] = ALIKE[params.at];
          return ctx.response(status, body, fields as Record<string, string>);
        });
      });
      using client = await RawClient.connect(app.addr);
      const places = ALIKE.keys().toArray();
      for (const at of [...places, ...places, ...places.toReversed()]) {
        await client.send(request(method, `/${at}`));
        const { head } = await client.response(method);
        const [status, , body, fields] = ALIKE[at];
        assert(head.startsWith(`HTTP/1.1 ${status} `));
        assertStringIncludes(head, `\r\n${fields}Date: now\r\n`);
        assertStringIncludes(head, `\r\nContent-Length: ${body.length}\r\n`);
      }
    },
  );
}

test("a Response leaves the bytes that it was made of to the handler", NET, async () => {
  const large = new Uint8Array(300_000).fill(97);
  await using app = await serving((app) => app.onEvent("GET:/", () => new Response(large)));
  using client = await RawClient.connect(app.addr);
  for (let i = 0; i < 2; i++) {
    await client.send(request("GET"));
    assertEquals((await client.response()).body.length, 300_000);
  }
  assertEquals(large.length, 300_000);
});

test(
  "HTTPContext.response() sends a large body whole, and others are served meanwhile",
  NET,
  async () => {
    const body = Array.from({ length: 500_000 }, (_, i) => `${i},`).join("");
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, body));
      app.onEvent("GET:/small", ({ ctx }) => ctx.response(200, "small"));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(request("GET"));
    using other = await RawClient.connect(app.addr);
    await other.send(request("GET", "/small"));
    assertEquals((await other.response()).body, "small");
    assertEquals((await client.response()).body, body);
  },
);

const TRANSFERS: [when: string, (transfer: () => void) => void][] = [
  ["before it is sent", (transfer) => transfer()],
  ["while it is sent", (transfer) => setTimeout(transfer)],
];

for (const [when, after] of TRANSFERS) {
  test(
    `HTTPContext.response() ends the connection of a body whose buffer is transferred ${when}`,
    NET,
    async () => {
      using errors = new ErrorLog();
      await using app = await serving((app) => {
        app.onEvent("GET:/", ({ ctx }) => {
          const body = new Uint8Array(16 * 1024 * 1024);
          ctx.response(200, body);
          after(() => void structuredClone(body, { transfer: [body.buffer] }));
        });
      });
      using client = await RawClient.connect(app.addr);
      await client.send(request("GET"));
      await client.until("\r\n\r\n");
      assert((await client.rest()).length < 16 * 1024 * 1024);
      assertStringIncludes(
        errors.entries[0],
        "its buffer was transferred before all of it was sent",
      );
    },
  );
}

test("HTTPContext.response() ends a stream whose client has left", NET, async () => {
  using errors = new ErrorLog();
  const returned = Promise.withResolvers<void>();
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield await Promise.resolve(new Uint8Array(64 * 1024));
    } finally {
      returned.resolve();
    }
  }
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, endless()));
  });
  using client = await RawClient.connect(app.addr);
  await client.send(request("GET"));
  await client.until("\r\n\r\n");
  client[Symbol.dispose]();
  await returned.promise;
  assertEquals(errors.entries, []);
});

test("HTTPContext.response() closes the connection where a handler says so", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "bye", { Connection: "close" }));
  });
  using client = await RawClient.connect(app.addr);
  await client.send(request("GET") + request("GET"));
  assertEquals((await client.response()).body, "bye");
  assertEquals(await client.rest(), "");
});

test(
  "HTTPContext.response() sends the headers it is given, in their case and order",
  NET,
  async () => {
    const headers = [["X-B", "1"], ["content-TYPE", "application/json"], ["x-a", "2"]] as const;
    for (const given of [headers, Object.fromEntries(headers)]) {
      const { head } = await answer((ctx) => ctx.response(201, "{}", given));
      assertEquals(
        head,
        "HTTP/1.1 201 Created\r\nX-B: 1\r\ncontent-TYPE: application/json\r\nx-a: 2\r\n" +
          "Date: now\r\nContent-Length: 2\r\n\r\n",
      );
    }
  },
);

const HEADERS: [what: string, headers: NonNullable<Parameters<HTTPContext["response"]>[2]>][] = [
  ["a list of pairs", [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]]],
  ["a web Headers", new Headers([["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]])],
];

for (const [what, headers] of HEADERS) {
  test(
    `HTTPContext.response() sends each Set-Cookie of ${what} as a field of its own`,
    NET,
    async () => {
      const response = await answer((ctx) => ctx.response(200, "", headers));
      const cookies = response.headers.filter(([name]) => name === "set-cookie");
      assertEquals(cookies.map(([, value]) => value), ["a=1", "b=2"]);
    },
  );
}

test(
  "HTTPContext.response() refuses a type that is not valid, each time it is given",
  NET,
  async () => {
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, ""));
      app.onEvent("GET:/bad", ({ ctx }) => {
        const headers = { "Content-Type": "text/x\r\nX-A: 1" };
        for (let i = 0; i < 2; i++) {
          assertThrows(() => ctx.response(200, "", headers), LocalProtocolError);
        }
        ctx.response(204);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(request("GET") + request("GET", "/bad"));
    assertEquals((await client.response()).status, 200);
    assertEquals((await client.response()).status, 204);
  },
);

test(
  "HTTPContext.response() sends its text where its fields have another answered",
  NET,
  async () => {
    const asked = Promise.withResolvers<HTTPContext>();
    const answered = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/other", ({ ctx }) => {
        asked.resolve(ctx);
        return answered.promise;
      });
      app.onEvent("GET:/one", async ({ ctx }) => {
        const other = await asked.promise;
        const answerOther = (): string => {
          other.response(200, "b".repeat(100));
          answered.resolve();
          return "c";
        };
        ctx.response(200, "a".repeat(100), {
          get "X-A"() {
            return answerOther();
          },
        });
      });
    });
    const texts = ["/other", "/one"].map(async (path) => await (await app.fetch(path)).text());
    assertEquals(await Promise.all(texts), ["b".repeat(100), "a".repeat(100)]);
  },
);

test("HTTPContext.response() leaves its Date to a handler that gives one", NET, async () => {
  const { headers } = await answer((ctx) => ctx.response(200, null, { Date: "mine" }));
  assertEquals(headers.filter(([name]) => name === "date"), [["date", "mine"]]);
});

test("HTTPContext.response() dates each answer with the time of now", NET, async () => {
  const before = Math.floor(Date.now() / 1000) * 1000;
  const { headers } = await answer((ctx) => ctx.response(200));
  const date = Date.parse(new Map(headers).get("date")!);
  assertEquals(before <= date && date <= Date.now(), true);
});

// Statuses whose answers have no body, whatever a handler gives.
const BODILESS: [status: number, head: string][] = [
  [204, "HTTP/1.1 204 No Content\r\n"],
  [205, "HTTP/1.1 205 Reset Content\r\n"],
  [304, "HTTP/1.1 304 Not Modified\r\n"],
];

for (const [status, line] of BODILESS) {
  test(
    `HTTPContext.response() sends no body with ${status}, and keeps the connection`,
    NET,
    async () => {
      for (const body of [null, "text", ReadableStream.from(["stream"])]) {
        await using app = await serving((app) => {
          app.onEvent("GET:/", ({ ctx }) => ctx.response(status, body));
          app.onEvent("GET:/next", ({ ctx }) => ctx.response(200, "next"));
        });
        using client = await RawClient.connect(app.addr);
        await client.send(request("GET") + request("GET", "/next"));
        assertStringIncludes((await client.response()).head, line);
        assertEquals((await client.response()).body, "next");
      }
    },
  );
}

const ANSWERS_TO_HEAD: [what: string, body: () => ResponseBody][] = [
  ["a string", () => "abc"],
  ["bytes", () => bytes(1, 2, 3)],
  ["a stream", () => ReadableStream.from(["abc"])],
];

for (const [what, body] of ANSWERS_TO_HEAD) {
  test(
    `HTTPContext.response() answers HEAD with the head that GET has for ${what}`,
    NET,
    async () => {
      const get = await answer((ctx) => ctx.response(200, body()));
      await using app = await serving((app) => {
        app.onEvent("GET:/", ({ ctx }) => ctx.response(200, body()));
      });
      using client = await RawClient.connect(app.addr);
      await client.send(request("HEAD"));
      assertEquals((await client.response("HEAD")).head, get.head);
      await client.closeWrite();
      assertEquals(await client.rest(), "");
    },
  );
}

test("HTTPContext.response() cancels a stream that HEAD does not read", NET, async () => {
  const cancelled = Promise.withResolvers<void>();
  await answer((ctx) => {
    ctx.response(200, new ReadableStream<string>({ cancel: () => cancelled.resolve() }));
  }, { method: "HEAD" });
  await cancelled.promise;
});

test("who writes to a stream that HEAD does not read gets that as the error", NET, async () => {
  const failed = Promise.withResolvers<unknown>();
  await answer((ctx) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    writable.getWriter().write(new Uint8Array(1)).catch(failed.resolve);
    ctx.response(200, readable);
  }, { method: "HEAD" });
  assertEquals(String(await failed.promise), "AbortError: The response body is not sent");
});

test("HTTPContext.response() leaves a stream that fails midway without its end", NET, async () => {
  using errors = new ErrorLog();
  async function* failing(): AsyncGenerator<string> {
    yield await Promise.resolve("a part");
    throw new RangeError("the source broke");
  }
  for (const version of ["1.1", "1.0"]) {
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, failing()));
    });
    using client = await RawClient.connect(app.addr);
    await client.send(request("GET", "/", version));
    const received = await client.gone();
    assertStringIncludes(received, "a part");
    assertEquals(received.includes("\r\n0\r\n"), false);
    assertEquals(received.includes("broke"), false);
  }
  assertMatch(errors.entries[0], /^Cannot answer "GET \/": RangeError: the source broke/);
});

for (const parts of [["ab"], ["ab", "cd"]]) {
  const sent = parts.join("").length;
  test(
    `HTTPContext.response() leaves a stream of ${sent} bytes with Content-Length 3 without its end`,
    NET,
    async () => {
      using errors = new ErrorLog();
      await using app = await serving((app) => {
        app.onEvent("GET:/", ({ ctx }) => {
          return ctx.response(200, ReadableStream.from(parts), { "Content-Length": "3" });
        });
      });
      using client = await RawClient.connect(app.addr);
      await client.send(request("GET"));
      assertEquals((await client.gone()).endsWith("\r\n\r\nab"), true);
      assertMatch(errors.entries[0], /^Cannot answer "GET \/": LocalProtocolError/);
    },
  );
}

test("HTTPContext.response() rejects with what the stream failed with", NET, async () => {
  using _errors = new ErrorLog();
  const failure = Promise.withResolvers<unknown>();
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      const stream = new ReadableStream<string>({
        start: (it) => it.error(new RangeError("broke")),
      });
      await Promise.resolve(ctx.response(200, stream)).catch(failure.resolve);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send(request("GET"));
  await client.gone();
  assertEquals(String(await failure.promise), "RangeError: broke");
});

// What a handler does with a response that cannot be sent as it is; 500 goes out instead.
const NOT_VALID: [what: string, respond: (ctx: HTTPContext) => unknown][] = [
  ["a line break in a value", (ctx) => ctx.response(200, "", { "X-A": "b\r\nX-C: d" })],
  ["a line break in a name", (ctx) => ctx.response(200, "", { "X-A: b\r\nX-C": "d" })],
  ["a control character in a value", (ctx) => ctx.response(200, "", { "X-A": "\x00" })],
  ["a value that is no latin-1", (ctx) => ctx.response(200, "", { "X-A": "🦕" })],
  ["a status over 599", (ctx) => ctx.response(600)],
  ["a status of an interim response", (ctx) => ctx.response(103)],
  ["a status that is no whole number", (ctx) => ctx.response(200.5)],
  [
    "a Content-Length that is not the body's",
    (ctx) => ctx.response(200, "a", { "Content-Length": "2" }),
  ],
  ["a body that is a number", (ctx) => ctx.response(200, 5 as never)],
  ["a body that is a plain object", (ctx) => ctx.response(200, { a: 1 } as never)],
  ["a stream that is read elsewhere", (ctx) => {
    const stream = ReadableStream.from(["a"]);
    stream.getReader();
    return ctx.response(200, stream);
  }],
  ["an async iterable that cannot begin", (ctx) =>
    ctx.response(200, {
      [Symbol.asyncIterator](): never {
        throw new Error("no iterator");
      },
    })],
  ["101 as an interim response", (ctx) => ctx.informational(101)],
  ["a web Response that was read before", async (ctx) => {
    const response = new Response("a");
    await response.text();
    return ctx.respondWith(response);
  }],
];

for (const [what, respond] of NOT_VALID) {
  test(`HTTPContext refuses to send ${what}, and 500 is sent`, NET, async () => {
    using errors = new ErrorLog();
    const { status, head, body } = await answer(respond);
    assertEquals([status, body], [500, "Internal Server Error"]);
    assertEquals(/X-/i.test(head), false);
    assertEquals(errors.entries.length, 1);
  });
}

const NO_STATUS: [status: unknown, message: string][] = [
  [103, "103: must be an integer from 200 to 599"],
  ["200", '"200" (a string): must be an integer from 200 to 599'],
  [
    "hello",
    '"hello" (a string): must be an integer from 200 to 599; the status comes first, then the body',
  ],
  [
    undefined,
    "undefined: must be an integer from 200 to 599; the status comes first, then the body",
  ],
];

for (const [status, message] of NO_STATUS) {
  Deno.test(`HTTPContext.response() tells what is wrong with the status ${Deno.inspect(status)}`, async () => {
    using errors = new ErrorLog();
    const app = new HTTPListener();
    app.onEvent("GET:/", ({ ctx }) => ctx.response(status as number));
    assertEquals((await app.fetch("/")).status, 500);
    assertEquals(
      errors.entries.map((entry) => entry.split("\n")[0]),
      [`Cannot answer "GET /": RangeError: Cannot respond with status ${message}`],
    );
  });
}

test("HTTPContext.response() refuses a second response, and the first stands", NET, async () => {
  using errors = new ErrorLog();
  const { status, body } = await answer((ctx) => {
    ctx.response(200, "first");
    ctx.response(500, "second");
  });
  assertEquals([status, body], [200, "first"]);
  assertStringIncludes(
    errors.entries[0],
    "Cannot respond twice: a response was already sent; check ctx.isResponded",
  );
});

const TOO_LATE =
  'Cannot answer "GET /" any more: its handler has already ended without a response; await or ' +
  "return whatever leads to ctx.response()";

for (
  const [what, respond, status, outcome, logged] of [
    [
      "HTTPContext.response() refuses to answer when the exchange is over",
      (ctx: HTTPContext) => ctx.response(200),
      200,
      "TypeError: Cannot respond: the exchange is over; observe event.signal",
      [],
    ],
    [
      "HTTPContext.response() that nobody waited for is logged, and fails nothing",
      () => {},
      500,
      "undefined",
      [
        'Cannot answer "GET /": the handler of route "GET:/" ended without a response; call ctx.response()',
        TOO_LATE,
        TOO_LATE,
      ],
    ],
  ] as [string, (ctx: HTTPContext) => void, number, string, string[]][]
) {
  test(what, NET, async () => {
    using errors = new ErrorLog();
    const isOver = Promise.withResolvers<void>();
    let late: Promise<unknown>;
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => {
        late = isOver.promise.then(() => {
          if (status === 500) ctx.setHeader("X-A", "late");
          return ctx.response(200, "late");
        }).catch((error) => error);
        respond(ctx);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(request("GET"));
    assertEquals((await client.response()).status, status);
    await client.closeWrite();
    await client.rest();
    isOver.resolve();
    assertEquals(String(await late!), outcome);
    assertEquals(errors.entries, logged);
  });
}

test("HTTPContext.isResponded tells whether the response has begun", NET, async () => {
  const seen: boolean[] = [];
  await answer((ctx) => {
    seen.push(ctx.isResponded);
    ctx.informational(103, { Link: "</a.css>" });
    seen.push(ctx.isResponded);
    ctx.response(200);
    seen.push(ctx.isResponded);
  });
  assertEquals(seen, [false, false, true]);
});

function hints(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => {
    ctx.informational(103, { Link: "</a.css>; rel=preload" });
    ctx.response(200, "page");
  });
}

test("HTTPContext.informational() sends 103 before the response", NET, async () => {
  await using app = await serving(hints);
  using client = await RawClient.connect(app.addr);
  await client.send(request("GET"));
  assertEquals(
    (await client.response()).head,
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
  );
  assertEquals((await client.response()).body, "page");
});

test("HTTPContext.informational() sends nothing to HTTP/1.0", NET, async () => {
  await using app = await serving(hints);
  using client = await RawClient.connect(app.addr);
  await client.send(request("GET", "/", "1.0"));
  assertEquals((await client.response()).body, "page");
});

test(
  "a web Response that a handler returns is sent, its fields in order and as they are spelled",
  NET,
  async () => {
    const { head, body } = await answer(() =>
      new Response("Jürgen", { status: 202, headers: { "X-A": "1", "Content-Type": "text/x" } })
    );
    assertEquals(body, utf8("Jürgen"));
    assertEquals(
      head,
      "HTTP/1.1 202 Accepted\r\nX-A: 1\r\nContent-Type: text/x\r\nDate: now\r\nContent-Length: 7\r\n\r\n",
    );
  },
);

test("a web Response keeps its own reason phrase", NET, async () => {
  const { head } = await answer(() => new Response(null, { status: 200, statusText: "Fine" }));
  assertStringIncludes(head, "HTTP/1.1 200 Fine\r\n");
});

test("HTTPContext.respondWith() sends a web Response", NET, async () => {
  const { status, body } = await answer((ctx) => ctx.respondWith(Response.json({ a: 1 })));
  assertEquals([status, body], [200, `{"a":1}`]);
});

test("a web Response returned after a response was sent is logged, and given up", NET, async () => {
  using errors = new ErrorLog();
  const isCancelled = Promise.withResolvers<string>();
  const { body } = await answer((ctx) => {
    ctx.response(200, "first");
    return new Response(new ReadableStream({ cancel: () => isCancelled.resolve("cancelled") }));
  });
  assertEquals([body, await isCancelled.promise], ["first", "cancelled"]);
  assertEquals(errors.entries, [
    'Cannot answer "GET /" with the Response that the handler of route "GET:/" returned: a response was already sent',
  ]);
});

// Responses that the protocol has no way to send.
const IMPOSSIBLE: [what: string, request: string, respond: (ctx: HTTPContext) => unknown][] = [
  ["a 205 with a length", "GET /", (ctx) => ctx.response(205, null, { "Content-Length": "5" })],
  [
    "a web Response of 205 with a length",
    "GET /",
    () => new Response(null, { status: 205, headers: { "Content-Length": "5" } }),
  ],
  ["200 to CONNECT", "CONNECT a:1", (ctx) => ctx.response(200)],
  ["a web Response to CONNECT", "CONNECT a:1", () => new Response("a")],
];

for (const [what, line, respond] of IMPOSSIBLE) {
  for (const isLate of [false, true]) {
    test(`HTTPListener answers 500 for ${what}${isLate ? ", also later" : ""}`, NET, async () => {
      using errors = new ErrorLog();
      await using app = await serving((app) => {
        const handler = (ctx: HTTPContext): unknown =>
          isLate ? Promise.resolve().then(() => respond(ctx)) : respond(ctx);
        app.onEvent("GET:/", ({ ctx }) => handler(ctx));
        app.onEvent("CONNECT:<_:path>", ({ ctx }) => handler(ctx));
      });
      using client = await RawClient.connect(app.addr);
      await client.send(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
      assertEquals((await client.response()).status, 500);
      assertEquals(errors.entries.length, 1);
    });
  }
}

const REDIRECTS: [
  location: string | URL,
  status: number | undefined,
  sent: string,
  code: number,
][] = [
  ["/login", undefined, "/login", 302],
  ["/a b?q=ü", 301, "/a%20b?q=%C3%BC", 301],
  ["/a%20b", 308, "/a%20b", 308],
  [new URL("http://example.com/ü"), undefined, "http://example.com/%C3%BC", 302],
];

for (const [location, status, sent, code] of REDIRECTS) {
  test(`HTTPContext.redirect() sends ${code} to ${location}`, NET, async () => {
    const response = await answer((ctx) => ctx.redirect(location, status));
    assertEquals(response.status, code);
    assertEquals(new Map(response.headers).get("location"), sent);
  });
}

for (const location of ["/a%2Fb", "/a%3Fb?c=%26%23", "/100%25", "/a?next=http%3A%2F%2Fb"]) {
  test(`HTTPContext.redirect() leaves "${location}" as it is`, NET, async () => {
    const response = await answer((ctx) => ctx.redirect(location));
    assertEquals(new Map(response.headers).get("location"), location);
  });
}

test("HTTPContext.redirect() encodes a line break in the location", NET, async () => {
  const { status, headers } = await answer((ctx) => ctx.redirect("/a\r\nX-A: 1"));
  assertEquals([status, new Map(headers).get("location")], [302, "/a%0D%0AX-A:%201"]);
});

const WRONG_ARGUMENTS: [call: string, send: (ctx: HTTPContext) => unknown, message: string][] = [
  ["redirect(location, 200)", (ctx) => ctx.redirect("/", 200), "Cannot redirect with status 200"],
  ["redirect(location, 404)", (ctx) => ctx.redirect("/", 404), "Cannot redirect with status 404"],
  [
    "redirect(null)",
    (ctx) => ctx.redirect(ctx.query.get("next")!),
    "Cannot redirect to null: must be a string or a URL",
  ],
  [
    "response(status, body, type)",
    (ctx) => ctx.response(200, "", "text/html" as never),
    'Cannot respond with the header fields "text/html" (a string): must be an object',
  ],
];
for (const [call, send, message] of WRONG_ARGUMENTS) {
  Deno.test(`HTTPContext.${call} is an error that says what is wrong`, async () => {
    const entries: ErrorLogEntry[] = [];
    const app = new HTTPListener({ errorLog: (entry) => entries.push(entry) });
    app.onEvent("GET:/", ({ ctx }) => send(ctx));
    assertEquals((await app.fetch("/")).status, 500);
    assertStringIncludes(`${entries[0].error}`, message);
  });
}

const FAILING: [what: string, send: (ctx: HTTPContext) => unknown][] = [
  ["a stream that fails", (ctx) => ctx.response(200, failingStream())],
  ["a Response whose stream fails", (ctx) => ctx.respondWith(new Response(failingStream()))],
];
function failingStream(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ pull: (controller) => controller.error(new Error("no more")) });
}
for (const [what, send] of FAILING) {
  test(`${what} ends the exchange though its handler goes on without it`, NET, async () => {
    using log = new ErrorLog();
    const goOn = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", async ({ ctx }) => {
        void send(ctx);
        await goOn.promise;
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.rest();
    goOn.resolve();
    await app.stop();
    assertStringIncludes(log.entries.join("\n"), "no more");
  });
}

for (const status of [204, 205, 304]) {
  test(`a stream that is given with ${status}, which has no body, is cancelled`, NET, async () => {
    const cancelled = Promise.withResolvers<void>();
    const { body } = await answer((ctx) =>
      ctx.response(status, new ReadableStream({ cancel: () => cancelled.resolve() }))
    );
    await cancelled.promise;
    assertEquals(body, "");
  });
}

test("a stream that is given when a 500 was sent is cancelled", NET, async () => {
  using _errors = new ErrorLog();
  const isOver = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const { head } = await answer((ctx) => {
    isOver.promise.then(() =>
      ctx.response(200, new ReadableStream({ cancel: () => cancelled.resolve() }))
    );
  });
  assertStringIncludes(head, "500");
  isOver.resolve();
  await cancelled.promise;
});

test("a stream of a returned Response that cannot be sent is cancelled", NET, async () => {
  using _errors = new ErrorLog();
  const cancelled = Promise.withResolvers<void>();
  const { status } = await answer(() => {
    const stream = new ReadableStream({ cancel: () => cancelled.resolve() });
    return new Response(stream, { headers: { "Content-Length": "abc" } });
  });
  await cancelled.promise;
  assertEquals(status, 500);
});
