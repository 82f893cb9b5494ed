import { assert, assertEquals, assertThrows } from "@std/assert";
import { clearImmediate, setImmediate } from "node:timers";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { compression, type CompressionOptions } from "../compression.ts";
import { HTTPListener } from "../http_context.ts";
import { RawClient } from "./http/raw_client.ts";
import { ErrorLog, NET } from "./http/serving.ts";
import { test } from "./needs.ts";

const PAGE = "<p>Hello, world!</p>\n".repeat(200);
const HTML = { "Content-Type": "text/html; charset=utf-8" };

/** Gets `path` of an application that compresses. */
async function get(
  define: (app: HTTPListener) => void,
  accepted: string | null,
  { method = "GET", ...options }: CompressionOptions & { method?: string } = {},
): Promise<Response> {
  const app = new HTTPListener().use(compression(options));
  define(app);
  const headers: Record<string, string> = accepted === null ? {} : { "Accept-Encoding": accepted };
  return await app.fetch("/", { method, headers });
}

const page =
  (fields: Record<string, string> = HTML, body: string | null = PAGE, status = 200) =>
  (app: HTTPListener): void => {
    app.onEvent("GET:/", ({ ctx }) => ctx.response(status, body, fields));
  };

const DECODERS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
};

async function decoded(response: Response): Promise<string> {
  const bytes = await response.bytes();
  const coding = response.headers.get("content-encoding");
  return new TextDecoder().decode(coding === null ? bytes : DECODERS[coding](bytes));
}

// RFC 9110 12.5.3
const ACCEPTED: [accepted: string | null, coding: string | null][] = [
  [null, null],
  ["", null],
  ["br", "br"],
  ["gzip", "gzip"],
  ["GZIP", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate, zstd", null],
  ["gzip, deflate, br, zstd", "br"],
  ["gzip;q=1.0, br;q=0.9", "gzip"],
  ["gzip ; q=0.5,br; q=0.5", "br"],
  ["*", "br"],
  ["br;q=0, *", "gzip"],
  ["*;q=0", null],
  ["gzip;q=0", null],
  ["gzip;q=0.000", null],
  ["gzip;q=0.001", "gzip"],
  ["identity", null],
  ["identity, gzip;q=0.5", null],
  ["identity;q=0.5, gzip;q=0.5", "gzip"],
  ["identity;q=0, *;q=0", null],
  ["gzip;q=2", null],
  ["gzip;q=-1", null],
  ["gzip;level=9", null],
  [",, gzip ,", "gzip"],
];

for (const [accepted, coding] of ACCEPTED) {
  Deno.test(`Accept-Encoding ${JSON.stringify(accepted)} gets ${coding ?? "no coding"}`, async () => {
    const response = await get(page(), accepted);
    const { headers } = response;
    assertEquals(headers.get("content-encoding"), coding);
    assertEquals(headers.get("vary"), "Accept-Encoding");
    const size = Number(headers.get("content-length"));
    assert(coding === null ? size === PAGE.length : size < 200, `${size} bytes`);
    assertEquals(await decoded(response), PAGE);
  });
}

const AS_THEY_ARE: Record<string, (app: HTTPListener) => void> = {
  "an image": page({ "Content-Type": "image/png" }),
  "a body without a type": (app) => app.onEvent("GET:/", () => new Response(new Blob([PAGE]))),
  "server-sent events": page({ "Content-Type": "text/event-stream" }),
  "a body that has a coding": page({ ...HTML, "Content-Encoding": "deflate" }),
  "a part of a body": page({ ...HTML, "Content-Range": "bytes 0-4199/9000" }, PAGE, 206),
  "a body whose digest is given": page({ ...HTML, "Content-Digest": "sha-256=:AA==:" }),
  "a body whose representation has a digest": page({ ...HTML, "Repr-Digest": "sha-256=:AA==:" }),
  "what no proxy may transform": page({ ...HTML, "Cache-Control": "private, No-Transform" }),
  "a short body": page(HTML, PAGE.slice(0, 1023)),
  "a short stream with a length": (app) =>
    app.onEvent(
      "GET:/",
      ({ ctx }) =>
        ctx.response(200, ReadableStream.from(["abc"]), { ...HTML, "Content-Length": "3" }),
    ),
  "no body": page(HTML, null, 204),
  "a body that was not modified": page(HTML, null, 304),
};

for (const [name, define] of Object.entries(AS_THEY_ARE)) {
  Deno.test(`compression() sends ${name} as it is`, async () => {
    const [without, plain] = [new HTTPListener(), await get(define, "gzip, br")];
    define(without);
    const expected = await without.fetch("/");
    assertEquals(plain.headers.get("content-encoding"), expected.headers.get("content-encoding"));
    assertEquals(plain.headers.get("content-length"), expected.headers.get("content-length"));
    assertEquals(await plain.bytes(), await expected.bytes());
  });
}

for (const type of ["text/css", "application/json", "application/problem+json", "image/svg+xml"]) {
  Deno.test(`compression() compresses ${type}`, async () => {
    const response = await get(page({ "Content-Type": type.toUpperCase() }), "gzip");
    assertEquals(response.headers.get("content-encoding"), "gzip");
  });
}

Deno.test("compression() changes the fields that describe the body", async () => {
  const fields = {
    ...HTML,
    "Content-Length": String(PAGE.length),
    "ETag": '"a"',
    "Accept-Ranges": "bytes",
    "Vary": "Origin",
    "X-Other": "b",
  };
  const { status, headers } = await get(page(fields, PAGE, 203), "gzip");
  assertEquals(status, 203);
  assertEquals(headers.get("etag"), 'W/"a"');
  assertEquals(headers.get("accept-ranges"), null);
  assertEquals(headers.get("vary"), "Origin, Accept-Encoding");
  assertEquals(headers.get("x-other"), "b");
});

Deno.test("compression() names Accept-Encoding in Vary only once", async () => {
  for (const vary of ["accept-encoding", "*", "Origin, Accept-Encoding"]) {
    const { headers } = await get(page({ ...HTML, Vary: vary }), "gzip");
    assertEquals(headers.get("vary"), vary);
  }
});

Deno.test("a 304 has the ETag and the Vary that the 200 has with compression()", async () => {
  const tag = { "ETag": '"a"' };
  const validators = ({ headers }: Response): unknown => [headers.get("etag"), headers.get("vary")];
  for (const accepted of ["gzip", null]) {
    const expected = validators(await get(page({ ...HTML, ...tag }), accepted));
    assertEquals(validators(await get(page(tag, null, 304), accepted)), expected);
    assertEquals(validators(await get(page({ ...HTML, ...tag }, null, 304), accepted)), expected);
  }
});

Deno.test("compression() compresses the responses that the server makes of errors", async () => {
  const response = await get((app) => {
    app.onHTTPError(({ status }) => new Response(PAGE, { status, headers: HTML }));
  }, "gzip");
  assertEquals([response.status, await decoded(response)], [404, PAGE]);
});

Deno.test("HEAD has the fields that GET has with compression()", async () => {
  const [get_, head] = await Promise.all(
    ["GET", "HEAD"].map((method) => get(page(), "br", { method })),
  );
  const fields = (response: Response): [string, string][] =>
    [...response.headers].filter(([name]) => name !== "date");
  assertEquals(fields(head), fields(get_));
  assertEquals((await head.bytes()).length, 0);
});

Deno.test("compression() uses the codings, the size and the types that its options give", async () => {
  const coding = async (options: CompressionOptions): Promise<string | null> =>
    (await get(page(), "gzip, br", options)).headers.get("content-encoding");
  assertEquals(await coding({ codings: ["gzip", "br"] }), "gzip");
  assertEquals(await coding({ codings: [] }), null);
  assertEquals(await coding({ minSize: PAGE.length }), "br");
  assertEquals(await coding({ minSize: PAGE.length + 1 }), null);
  assertEquals(await coding({ isCompressible: (type) => type !== "text/html" }), null);
});

Deno.test("compression() sends a body of less than a large minSize as it is", async () => {
  const text = "a".repeat(99_999);
  const coding = async (body: string): Promise<string | null> =>
    (await get(page(HTML, body), "gzip", { minSize: 100_000 })).headers.get("content-encoding");
  assertEquals([await coding(text), await coding(text + "a")], [null, "gzip"]);
});

for (const parts of [1, 2]) {
  Deno.test(`compression() compresses a Response with a stream of texts (${parts})`, async () => {
    const stream = new ReadableStream({
      start(controller): void {
        for (let part = 0; part < parts; part++) controller.enqueue(PAGE);
        controller.close();
      },
    });
    const response = await get((app) => {
      app.onEvent("GET:/", () => new Response(stream, { headers: HTML }));
    }, "gzip");
    assertEquals([response.status, await decoded(response)], [200, PAGE.repeat(parts)]);
  });
}

const WRONG: [options: unknown, message: string][] = [
  [{ codings: ["deflate"] }, 'Cannot compress with coding "deflate": must be "br" or "gzip"'],
  [{ minSize: "1" }, "Cannot set minSize to 1: must be a number of bytes, 0 or more"],
  [{ minSize: NaN }, "Cannot set minSize to NaN: must be a number of bytes, 0 or more"],
  [{ isCompressible: "text/html" }, "Cannot set isCompressible: must be a function, got string"],
];
for (const [options, message] of WRONG) {
  Deno.test(`compression() refuses ${JSON.stringify(options)}`, () => {
    assertThrows(() => compression(options as CompressionOptions), Error, message);
  });
}

for (const coding of ["br", "gzip"] as const) {
  Deno.test(`compression() sends a large body with ${coding}`, async () => {
    const text = Array.from({ length: 100_000 }, (_, i) => i ** 2).join();
    const response = await get(page(HTML, text), coding);
    assertEquals(response.headers.get("content-encoding"), coding);
    assertEquals(await decoded(response), text);
  });

  Deno.test(`compression() lets other work go on while it sends a large body with ${coding}`, async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65_536)).map((byte) => byte % 64 + 32);
    const text = new TextDecoder().decode(bytes).repeat(100);
    const response = await get(page(HTML, text), coding);
    const reader = response.body!.getReader();
    await reader.read();
    let turns = 0;
    const turn = (): void => {
      turns++;
      immediate = setImmediate(turn);
    };
    let immediate = setImmediate(turn);
    while (!(await reader.read()).done);
    clearImmediate(immediate);
    assert(turns > 0, "the event loop got no turn");
  });

  test(`compression() sends each part of a stream at once with ${coding}`, NET, async () => {
    const app = new HTTPListener({ port: 0, accessLog: false }).use(compression());
    const { readable, writable } = new TransformStream<string, string>();
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, readable, HTML));
    await app.start();
    await using _app = app;
    const writer = writable.getWriter();
    // fetch() decodes as bytes come.
    const response = await fetch(`http://127.0.0.1:${app.addr.port}/`, {
      headers: { "Accept-Encoding": coding },
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (const part of ["first", "second"]) {
      await writer.write(part);
      assertEquals((await reader.read()).value, part);
    }
    await writer.close();
    assertEquals((await reader.read()).done, true);
  });

  test(`a client may leave a stream that compression() sends with ${coding}`, NET, async () => {
    using errors = new ErrorLog();
    const app = new HTTPListener({ port: 0, accessLog: false }).use(compression());
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield await Promise.resolve(crypto.getRandomValues(new Uint8Array(65_536)));
      } finally {
        resolve();
      }
    }
    app.onEvent("GET:/", ({ ctx }) => ctx.response(200, endless(), HTML));
    await app.start();
    await using _app = app;
    const client = await RawClient.connect(app.addr);
    await client.send(`GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: ${coding}\r\n\r\n`);
    await client.until("\r\n\r\n");
    client[Symbol.dispose]();
    await promise;
    assertEquals(errors.entries, []);
  });
}

Deno.test("a client may leave while compression() ends a stream", async () => {
  const errors: unknown[] = [];
  const note = (event: ErrorEvent): void => {
    event.preventDefault();
    errors.push(event.error);
  };
  addEventListener("error", note);
  // Nothing tells when the end is being compressed: it is while these turns pass, for some of their numbers.
  for (let turns = 0; turns < 20; turns++) {
    const { readable, writable } = new TransformStream<string, string>();
    let compressed: ReadableStream<Uint8Array> | null = null;
    await get((app) => {
      app.beforeResponse(({ body }) => {
        compressed = body;
        return new Response(ReadableStream.from([]));
      });
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, readable, HTML));
    }, "gzip");
    const reader = compressed!.getReader();
    const writer = writable.getWriter();
    const reading = reader.read();
    await writer.write("abc");
    await reading;
    const end = reader.read();
    void writer.close();
    for (let turn = 0; turn < turns; turn++) await null;
    await reader.cancel();
    await end;
  }
  removeEventListener("error", note);
  assertEquals(errors, []);
});

test("a stream that fails within compression() has no end", NET, async () => {
  using errors = new ErrorLog();
  const app = new HTTPListener({ port: 0, accessLog: false }).use(compression());
  const { readable, writable } = new TransformStream<string, string>();
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, readable, HTML));
  await app.start();
  await using _app = app;
  using client = await RawClient.connect(app.addr);
  await client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
  const writer = writable.getWriter();
  await writer.write("abc");
  await client.until("\r\n\r\n");
  await writer.abort(new RangeError("broken"));
  const rest = await client.rest();
  assert(!rest.endsWith("0\r\n\r\n"), rest);
  assert(errors.entries[0].includes("broken"), errors.entries[0]);
});
