import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { serve } from "../../http_context.ts";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";
import { latin1, RawClient } from "./raw_client.ts";
import { ErrorLog, NET } from "./serving.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0, onListen(): void {} };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// --- The same requests to Deno.serve and to ours ---------------------------------------------------

const text = (...chunks: string[]): ReadableStream<Uint8Array<ArrayBuffer>> =>
  ReadableStream.from(chunks).pipeThrough(new TextEncoderStream());

const JSON_TYPE = { headers: { "content-type": "application/json" } };

/** Ways to make a response of a type, each of which Deno keeps in a way of its own. */
const TYPED: [what: string, make: () => Response | Promise<Response>][] = [
  ["a text with its type", () => new Response("1", JSON_TYPE)],
  ["a text with no options", () => new Response("1", {})],
  ["a text with a status", () => new Response("1", { status: 200 })],
  [
    "a text with its type in Headers",
    () => new Response("1", { headers: new Headers([["Content-Type", "a/b"]]) }),
  ],
  ["bytes with their type", () => new Response(Uint8Array.of(1), JSON_TYPE)],
  ["JSON with no options", () => Response.json([1], {})],
  ["JSON with a status", () => Response.json([1], { status: 201 })],
  ["URLSearchParams", () => new Response(new URLSearchParams("a=1"))],
  ["URLSearchParams with no options", () => new Response(new URLSearchParams("a=1"), {})],
  ["a copy of a text", () => new Response("1").clone()],
  [
    "a text whose body was looked at",
    () => withLook(new Response("1", JSON_TYPE), ({ body }) => body),
  ],
  [
    "a text whose type was changed",
    () =>
      withLook(new Response("1", JSON_TYPE), ({ headers }) => headers.set("content-type", "a/b")),
  ],
  [
    "a text whose type was taken away",
    () => withLook(new Response("1"), ({ headers }) => headers.delete("content-type")),
  ],
];

function withLook(response: Response, look: (response: Response) => unknown): Response {
  look(response);
  return response;
}

function twoCookies(): Response {
  const response = new Response("c");
  response.headers.append("Set-Cookie", "a=1");
  response.headers.append("Set-Cookie", "b=2");
  return response;
}

/** What is answered to a path; the request is told to any other. */
const RESPONSES: Record<string, (request: Request) => Response | Promise<Response>> = {
  "/text": () => new Response("Jürgen"),
  "/empty-text": () => new Response(""),
  "/null": () => new Response(null),
  "/bytes": () => new Response(Uint8Array.of(1, 2)),
  "/json": () => Response.json({ a: 1 }),
  "/blob": () => new Response(new Blob(["abc"], { type: "text/x" })),
  "/chunks": () => new Response(text("a", "b")),
  "/known": () => new Response(text("abc"), { headers: { "Content-Length": "3" } }),
  "/wrong-length": () => new Response("ab", { headers: { "Content-Length": "3" } }),
  "/204": () => new Response(null, { status: 204 }),
  "/205": () => new Response(null, { status: 205 }),
  "/304": () => new Response(null, { status: 304, headers: { ETag: '"a"' } }),
  "/599": () => new Response("?", { status: 599 }),
  "/reason": () => new Response("x", { statusText: "Fine" }),
  "/cookies": twoCookies,
  "/close": () => new Response("x", { headers: { Connection: "close" } }),
  "/redirect": () => Response.redirect("http://b/"),
  "/throw": () => {
    throw new Error("no");
  },
  "/echo": async (request) => new Response(await request.text()),
  "/pipe": (request) => new Response(request.body),
  ...Object.fromEntries(TYPED.map(([, make], i) => [`/typed/${i}`, make])),
};

async function answer(request: Request): Promise<Response> {
  const respond = RESPONSES[new URL(request.url).pathname];
  if (respond !== undefined) return await respond(request);
  const fields = [...request.headers].map((field) => field.join("="));
  return new Response([request.method, request.url, ...fields].join(" "));
}

/** A response as lines: the status, the fields by name, the body. */
async function lines(addr: Deno.NetAddr, request: string): Promise<string[]> {
  using client = await RawClient.connect(addr);
  await client.send(request);
  const { head, headers, body } = await client.response(request.split(" ")[0]);
  const date = ([name, value]: [string, string]): string => name === "date" ? "now" : value;
  const fields = headers.map((field) => `${field[0]}: ${date(field)}`).sort();
  return [head.slice(0, head.indexOf("\r\n")), ...fields, body];
}

const request = (line: string, fields = "", body = ""): string =>
  `${line} HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`;
const LENGTH = "Content-Length: 3\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";

// Requests that get the same answer.
const SAME: [what: string, request: string][] = [
  ["a body of which a part has come", request("POST /text", LENGTH, "ab")],
  ["a body in chunks of which a part has come", request("POST /text", CHUNKED, "3\r\na")],
  ["a path that is not decoded", request("GET /a%20b/%zz?q=%zz")],
  ["a path that looks like an authority", request("GET //b/c")],
  ["an absolute target", request("GET http://b/c?d")],
  ["fields that come twice, in latin-1", request("GET /x", "X-A: \xe4\r\nX-A: b\r\n")],
  ["a cookie", request("GET /x", "Cookie: a=1; b=2\r\n")],
  ["two cookies", request("GET /x", "Cookie: a=1\r\nCookie: b=2\r\n")],
  ["a method of its own", request("BREW /pot")],
  ["a method in lower case", request("patch /x")],
  ["OPTIONS", request("OPTIONS /x")],
  ["HEAD of a text", request("HEAD /text")],
  ["HEAD of a stream with Content-Length", request("HEAD /known")],
  ["a text", request("GET /text")],
  ["an empty text", request("GET /empty-text")],
  ["no body", request("GET /null")],
  ["bytes", request("GET /bytes")],
  ["JSON", request("GET /json")],
  ["a Blob", request("GET /blob")],
  ["a stream", request("GET /chunks")],
  ["a stream with Content-Length", request("GET /known")],
  ["204", request("GET /204")],
  ["304", request("GET /304")],
  ["a status nobody knows", request("GET /599")],
  ["two Set-Cookie fields", request("GET /cookies")],
  ["Connection: close", request("GET /close")],
  ["a redirect", request("GET /redirect")],
  ...TYPED.map(([what], i): [string, string] => [what, request(`GET /typed/${i}`)]),
  ["a body with Content-Length", request("POST /echo", LENGTH, "abc")],
  ["a body in chunks", request("POST /echo", CHUNKED, "3\r\nabc\r\n0\r\n\r\n")],
  ["a body in chunks that is passed on", request("POST /pipe", CHUNKED, "3\r\nabc\r\n0\r\n\r\n")],
  ["a body that nobody reads", request("POST /x", LENGTH, "abc")],
  ["a body of GET, which a Request has not", request("GET /echo", LENGTH, "abc")],
];

const PLAIN = "content-type: text/plain; charset=utf-8";
const TEXT = "content-type: text/plain;charset=UTF-8";
const DATE = "date: now";
const CLOSE = "connection: close";
const refusal = (status: string): string[] => {
  const reason = status.slice(4);
  return [`HTTP/1.1 ${status}`, CLOSE, `content-length: ${reason.length}`, PLAIN, DATE, reason];
};
const told = (body: string): string[] => {
  return ["HTTP/1.1 200 OK", `content-length: ${body.length}`, TEXT, DATE, body];
};
const EMPTY_400 = ["HTTP/1.1 400 Bad Request", CLOSE, "content-length: 0", DATE, ""];

// Requests that do not, and why.
const DIFFERENT: [what: string, request: string, ours: string[], theirs: string[], why: string][] =
  [
    [
      "a method in lower case that Request knows",
      request("get /x"),
      told("GET http://a/x host=a"),
      told("get http://a/x host=a"),
      "new Request() normalizes it",
    ],
    [
      "dots in a path",
      request("GET /a/../b"),
      told("GET http://a/b host=a"),
      told("GET http://a/a/../b host=a"),
      "new Request() normalizes them",
    ],
    [
      "OPTIONS *",
      request("OPTIONS *"),
      told("OPTIONS http://a/ host=a"),
      told("OPTIONS http://a/* host=a"),
      "the target stands for the server, not for a path (RFC 9112 3.2.4)",
    ],
    [
      "a target of a file",
      request("GET file://localhost/etc/hosts"),
      refusal("400 Bad Request").filter((line) => line !== CLOSE),
      told("GET file://localhost/etc/hosts host=a"),
      "fetch(request.url) would read it (RFC 9110 7.4)",
    ],
    [
      "CONNECT",
      request("CONNECT b:80"),
      refusal("501 Not Implemented"),
      told("CONNECT http://b:80 host=a"),
      "a 2xx would make it a tunnel (RFC 9110 9.3.6)",
    ],
    [
      "a WebSocket that is not accepted",
      request("GET /null", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
      ["HTTP/1.1 200 OK", CLOSE, "content-length: 0", DATE, ""],
      ["HTTP/1.1 200 OK", "content-length: 0", DATE, ""],
      "some proxies pass on whatever follows it",
    ],
    [
      "TRACE",
      request("TRACE /"),
      refusal("501 Not Implemented").filter((line) => line !== CLOSE),
      told("TRACE http://a/ host=a"),
      "a Request cannot have the method (Fetch 2.2.1)",
    ],
    [
      "no Host",
      "GET /null HTTP/1.1\r\n\r\n",
      refusal("400 Bad Request"),
      ["HTTP/1.1 200 OK", "content-length: 0", DATE, ""],
      "RFC 9112 3.2",
    ],
    [
      "two Hosts",
      request("GET /x", "Host: b\r\n"),
      refusal("400 Bad Request"),
      EMPTY_400,
      "the refusal says what it is",
    ],
    [
      "UTF-8 in the target as it is",
      request("GET /\xc3\xa4"),
      refusal("400 Bad Request"),
      told("GET http://a/\xc3\xa4 host=a"),
      "RFC 9112 3.2: clients encode it",
    ],
    [
      "a fragment",
      request("GET /x#y"),
      refusal("400 Bad Request"),
      told("GET http://a/x#y host=a"),
      "RFC 9112 3.2: a target has none",
    ],
    [
      "line ends without CR",
      "GET /x HTTP/1.1\nHost: a\n\n",
      refusal("400 Bad Request"),
      told("GET http://a/x host=a"),
      "RFC 9112 2.2",
    ],
    [
      "Content-Length twice",
      request("POST /x", LENGTH + LENGTH, "abc"),
      refusal("400 Bad Request"),
      told("POST http://a/x content-length=3, 3 host=a"),
      "RFC 9112 6.3",
    ],
    [
      "an unknown transfer coding",
      request("POST /x", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
      refusal("501 Not Implemented"),
      told("POST http://a/x host=a transfer-encoding=gzip, chunked"),
      "RFC 9112 6.1",
    ],
    [
      "a version to come",
      "GET /x HTTP/1.2\r\nHost: a\r\n\r\n",
      told("GET http://a/x host=a"),
      EMPTY_400,
      "RFC 9110 2.5: the major version is what counts",
    ],
    [
      "a version of another kind",
      "GET /x HTTP/3.0\r\nHost: a\r\n\r\n",
      refusal("505 HTTP Version Not Supported"),
      EMPTY_400,
      "RFC 9110 15.6.6",
    ],
    [
      "a head of 20 KiB",
      request("GET /null", `X: ${"x".repeat(20 * 1024)}\r\n`),
      refusal("431 Request Header Fields Too Large"),
      ["HTTP/1.1 200 OK", "content-length: 0", DATE, ""],
      "maxHeadSize",
    ],
    [
      "HTTP/1.0",
      "GET /text HTTP/1.0\r\n\r\n",
      ["HTTP/1.1 200 OK", CLOSE, "content-length: 7", TEXT, DATE, "J\xc3\xbcrgen"],
      ["HTTP/1.0 200 OK", "content-length: 7", TEXT, DATE, "J\xc3\xbcrgen"],
      "RFC 9112 2.3: a server tells its own version",
    ],
    [
      "HEAD of no body",
      request("HEAD /null"),
      ["HTTP/1.1 200 OK", DATE, "transfer-encoding: chunked", ""],
      ["HTTP/1.1 200 OK", "content-length: 0", DATE, ""],
      "GET may have a body (RFC 9110 8.6)",
    ],
    [
      "HEAD of a stream",
      request("HEAD /chunks"),
      ["HTTP/1.1 200 OK", DATE, "transfer-encoding: chunked", ""],
      ["HTTP/1.1 200 OK", DATE, ""],
      "the fields are those of GET (RFC 9110 9.3.2)",
    ],
    [
      "205",
      request("GET /205", "Connection: close\r\n"),
      ["HTTP/1.1 205 Reset Content", CLOSE, "content-length: 0", DATE, ""],
      ["HTTP/1.1 205 Reset Content", CLOSE, DATE, ""],
      "else the client waits for a body (RFC 9110 15.3.6)",
    ],
    [
      "a reason phrase",
      request("GET /reason"),
      ["HTTP/1.1 200 Fine", "content-length: 1", TEXT, DATE, "x"],
      ["HTTP/1.1 200 OK", "content-length: 1", TEXT, DATE, "x"],
      "it is sent",
    ],
    [
      "a body of known length that is passed on",
      request("POST /pipe", LENGTH, "abc"),
      ["HTTP/1.1 200 OK", DATE, "transfer-encoding: chunked", "abc"],
      ["HTTP/1.1 200 OK", "content-length: 3", DATE, "abc"],
      "a stream that waits for the client has no length",
    ],
  ];

/** `serve()` or `Deno.serve()`. */
type Serve = (
  options: typeof LOCAL,
  handler: (request: Request) => Response | Promise<Response>,
) => Deno.HttpServer<Deno.NetAddr>;

/** What both answer. */
async function both(request: string): Promise<{ ours: string[]; theirs: string[] }> {
  await using ours = serve(LOCAL, answer);
  await using theirs = Deno.serve(LOCAL, answer);
  return {
    ours: await lines(ours.addr, request),
    theirs: await lines(theirs.addr, request),
  };
}

for (const [what, request] of SAME) {
  test(`serve() does with ${what} what Deno.serve() does`, NET, async () => {
    const { ours, theirs } = await both(request);
    assertEquals(ours, theirs);
  });
}

for (const [what, request, ours, theirs, why] of DIFFERENT) {
  test(`serve() differs from Deno.serve() at ${what}: ${why}`, NET, async () => {
    assertEquals(await both(request), { ours, theirs });
  });
}

test(
  "serve() differs from Deno.serve() at a body that is still read when the handler answers",
  NET,
  async () => {
    const read = async (serving: Serve): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>();
      await using server = serving(LOCAL, (request) => {
        request.text().then(resolve, (error) => resolve(error.name));
        return new Response();
      });
      using client = await RawClient.connect(server.addr);
      await client.send(request("POST /", LENGTH));
      await client.response();
      await client.send("abc");
      return await promise;
    };
    assertEquals([await read(serve), await read(Deno.serve)], ["TypeError", "abc"]);
  },
);

test(
  "serve() differs from Deno.serve() at a Request with a body that is passed on",
  NET,
  async () => {
    await using upstream = Deno.serve(
      LOCAL,
      ({ headers }) =>
        new Response(`${headers.get("content-length")} ${headers.get("transfer-encoding")}`),
    );
    const forward = async (serving: Serve): Promise<string> => {
      await using server = serving(
        LOCAL,
        (request) => fetch(new Request(`http://127.0.0.1:${upstream.addr.port}`, request)),
      );
      const response = await fetch(`http://127.0.0.1:${server.addr.port}`, {
        method: "POST",
        body: "abc",
      });
      return await response.text();
    };
    assertEquals([await forward(serve), await forward(Deno.serve)], ["null chunked", "3 null"]);
  },
);

test("serve() passes on what fetch() has decoded, as Deno.serve() does", NET, async () => {
  const zipped = new Response("a".repeat(100)).body!.pipeThrough(new CompressionStream("gzip"));
  const bytes = await new Response(zipped).bytes();
  await using origin = Deno.serve(
    LOCAL,
    () => new Response(bytes, { headers: { "Content-Encoding": "gzip" } }),
  );
  const proxy = (): Promise<Response> => fetch(`http://127.0.0.1:${origin.addr.port}`);
  await using ours = serve(LOCAL, proxy);
  await using theirs = Deno.serve(LOCAL, proxy);
  const ask = async (addr: Deno.NetAddr): Promise<unknown[]> => {
    const response = await fetch(`http://127.0.0.1:${addr.port}`);
    return [await response.text(), response.headers.get("content-encoding")];
  };
  assertEquals(await ask(ours.addr), ["a".repeat(100), null]);
  assertEquals(await ask(theirs.addr), await ask(ours.addr));
});

test(
  "serve() gives each response its own type, also where more is asked of the exchange",
  NET,
  async () => {
    await using server = serve(LOCAL, (request, info) => {
      info.completed.catch(() => {});
      return request.url.endsWith("/json") ? Response.json(1) : new Response("a");
    });
    const types: (string | null)[] = [];
    for (const path of ["/", "/json", "/", "/json"]) {
      const response = await fetch(`http://127.0.0.1:${server.addr.port}${path}`);
      await response.body!.cancel();
      types.push(response.headers.get("content-type"));
    }
    const [text, json] = ["text/plain;charset=UTF-8", "application/json"];
    assertEquals(types, [text, json, text, json]);
  },
);

// Where what a connection does is different, and not one answer.

test(
  "serve() answers a client that has closed its sending half, which Deno.serve() cuts off",
  NET,
  async () => {
    const ask = async (addr: Deno.NetAddr): Promise<string> => {
      using client = await RawClient.connect(addr);
      await client.send(request("GET /chunks", "Connection: close\r\n"));
      await client.closeWrite();
      return await client.gone();
    };
    await using ours = serve(LOCAL, answer);
    await using theirs = Deno.serve(LOCAL, answer);
    assertStringIncludes(await ask(ours.addr), "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    assertEquals(await ask(theirs.addr), "");
  },
);

test(
  "serve() refuses a Content-Length that is not the body's, which Deno.serve() corrects",
  NET,
  async () => {
    using log = new ErrorLog();
    const { ours, theirs } = await both(request("GET /wrong-length"));
    assertEquals([ours[0], theirs[0]], ["HTTP/1.1 500 Internal Server Error", "HTTP/1.1 200 OK"]);
    assertMatch(
      log.entries[0],
      /Cannot send a body of 2 bytes with Content-Length "3": they must be equal/,
    );
  },
);

test("serve() asks for a body with 100 when it is read, as Deno.serve() does", NET, async () => {
  const ask = async (addr: Deno.NetAddr): Promise<string> => {
    using client = await RawClient.connect(addr);
    await client.send(request("POST /echo", `Expect: 100-continue\r\n${LENGTH}`));
    const interim = await client.until("\r\n\r\n");
    await client.send("abc");
    return interim + (await client.response()).body;
  };
  await using ours = serve(LOCAL, answer);
  await using theirs = Deno.serve(LOCAL, answer);
  assertEquals(await ask(ours.addr), "HTTP/1.1 100 Continue\r\n\r\nabc");
  assertEquals(await ask(theirs.addr), await ask(ours.addr));
});

test("serve() cuts a response whose stream fails, as Deno.serve() does", NET, async () => {
  using _log = new ErrorLog();
  const failing = (): Response => {
    let pulls = 0;
    return new Response(
      new ReadableStream({
        pull(controller): void {
          if (pulls++ === 0) controller.enqueue(new TextEncoder().encode("a"));
          else controller.error(new Error("no more"));
        },
      }, { highWaterMark: 0 }),
    );
  };
  await using server = serve(LOCAL, failing);
  using client = await RawClient.connect(server.addr);
  await client.send(GET);
  assertMatch(await client.gone(), /\r\n\r\n1\r\na\r\n$/);
});

// --- Its shape --------------------------------------------------------------------------------------

Deno.test("serve() has the types of Deno.serve()", () => {
  const types = (): void => {
    const handler = (): Response => new Response();
    serve(handler) satisfies Deno.HttpServer<Deno.NetAddr>;
    serve({ port: 1, hostname: "::", reusePort: true, tcpBacklog: 5, transport: "tcp" }, handler);
    serve({ handler }).addr.port satisfies number;
    serve({ path: "a.sock", handler }).addr.path satisfies string;
    serve({ path: "a.sock", onListen: ({ path }) => path }, handler) satisfies Deno.HttpServer<
      Deno.UnixAddr
    >;
    serve({ onListen: ({ port }) => port }, (_request, { remoteAddr, completed }) => {
      return new Response(
        `${remoteAddr.port satisfies number}${completed satisfies Promise<void>}`,
      );
    });
    serve({ cert: "", key: "" }, async () => await Promise.resolve(new Response()));
    serve(
      { onError: (error) => new Response(String(error)), signal: AbortSignal.abort() },
      handler,
    );
    // @ts-expect-error there is no handler
    serve({ port: 1 });
    // @ts-expect-error the handler makes no Response
    serve(() => "text");
    // @ts-expect-error there is no compression
    serve({ automaticCompression: true }, handler);
  };
  assertInstanceOf(types, Function);
});

test("serve() takes the handler alone, after the options and among them", NET, async () => {
  const handler = (): Response => new Response("hi");
  await using second = serve(LOCAL, handler);
  await using among = serve({ ...LOCAL, handler });
  for (const { addr } of [second, among]) {
    assertEquals(await (await fetch(`http://127.0.0.1:${addr.port}`)).text(), "hi");
  }
});

test(
  "serve() listens on port 8000 of all addresses where nothing else is said, and tells where",
  { permissions: ["net"], ports: [8000] },
  async () => {
    using log = new ErrorLog();
    await using server = serve(() => new Response("hi"));
    assertEquals({ ...server.addr }, { transport: "tcp", hostname: "0.0.0.0", port: 8000 });
    assertEquals(log.entries, ["Listening on http://0.0.0.0:8000/ (http://localhost:8000/)"]);
    assertEquals(await (await fetch("http://localhost:8000/")).text(), "hi");
  },
);

test("serve() calls onListen with the address before it returns", NET, async () => {
  let told: Deno.NetAddr | null = null;
  await using server = serve(
    { ...LOCAL, onListen: (addr) => told = addr },
    () => new Response(),
  );
  assertEquals(told, server.addr);
});

test(
  "serve() listens on a Unix socket",
  { permissions: ["net", "read", "write"] },
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/a.sock`;
    try {
      using log = new ErrorLog();
      await using server = serve(
        { path },
        (request, { remoteAddr }) => {
          assertEquals(remoteAddr, { transport: "unix", path });
          return new Response(new URL(request.url).pathname);
        },
      );
      assertEquals(server.addr, { transport: "unix", path });
      assertEquals(log.entries, [`Listening on ${path}`]);
      using conn = await Deno.connect({ transport: "unix", path });
      await conn.write(new TextEncoder().encode(request("GET /a", "Connection: close\r\n")));
      assertMatch(await new Response(conn.readable).text(), /\r\n\r\n\/a$/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

test("serve() throws at once where it cannot listen", NET, () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const error = assertThrows(
    () => serve({ ...LOCAL, port }, () => new Response()),
    Deno.errors.AddrInUse,
  );
  assertEquals((error as Error & { code?: string }).code, "EADDRINUSE");
  assertEquals(
    error.message,
    `Cannot listen on 127.0.0.1:${port}: the port is in use; stop the program that uses it, or choose ` +
      "another port",
  );
  assertThrows(() => serve({ ...LOCAL, port: -1 }, () => new Response()), RangeError);
});

test("serve() takes options that are inherited, and null as Deno.serve() does", NET, async () => {
  const options = { ...LOCAL, signal: null, onListen: null } as unknown as typeof LOCAL;
  await using server = serve(Object.create(options) as typeof LOCAL, () => new Response());
  assertEquals(server.addr.hostname, "127.0.0.1");
});

test("serve() passes on a status that a Response of one's own cannot have", NET, async () => {
  const upstream = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const answering = (async () => {
    using conn = await upstream.accept();
    await conn.read(new Uint8Array(1024));
    await conn.write(new TextEncoder().encode("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"));
  })();
  await using server = serve(LOCAL, () => fetch(`http://127.0.0.1:${upstream.addr.port}`));
  assertEquals((await lines(server.addr, request("GET /")))[0], "HTTP/1.1 999 ");
  await answering;
  upstream.close();
});

Deno.test("serve() throws where there is no handler", () => {
  const untyped = serve as (options: unknown) => unknown;
  for (const options of [undefined, {}, { port: 0, handler: "no" }]) {
    assertThrows(() => untyped(options), TypeError, "Cannot serve: the handler must be a function");
  }
});

// --- The handler ------------------------------------------------------------------------------------

test("serve() tells the handler the address of the client", NET, async () => {
  await using server = serve(LOCAL, (_request, { remoteAddr }) => Response.json(remoteAddr));
  using client = await RawClient.connect(server.addr);
  await client.send(GET);
  const { hostname, port } = JSON.parse((await client.response()).body);
  assertEquals(`${hostname}:${port}`, client.address);
});

/** A server whose handler sends a body without end to a path other than `/`, and what it was told. */
function endless(): { server: Deno.HttpServer<Deno.NetAddr>; asked: Promise<() => Promise<void>> } {
  const asked = Promise.withResolvers<() => Promise<void>>();
  const chunk = new Uint8Array(64 * 1024);
  const server = serve(LOCAL, (request, { completed }) => {
    asked.resolve(() => completed);
    if (new URL(request.url).pathname === "/") return new Response("whole");
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(chunk) }));
  });
  return { server, asked: asked.promise };
}

test("serve() resolves info.completed when the response was sent", NET, async () => {
  const { server, asked } = endless();
  await using _ended = server;
  using client = await RawClient.connect(server.addr);
  await client.send(GET);
  assertEquals((await client.response()).body, "whole");
  await (await asked)();
});

test("serve() rejects info.completed when the client leaves before the end", NET, async () => {
  const { server, asked } = endless();
  await using _ended = server;
  const client = await RawClient.connect(server.addr);
  await client.send(request("GET /endless"));
  await client.until("\r\n\r\n");
  client[Symbol.dispose]();
  await assertRejects(await asked, Deno.errors.Interrupted);
});

test("serve() aborts the request's signal when the client leaves", NET, async () => {
  const asked = Promise.withResolvers<AbortSignal>();
  const aborted = Promise.withResolvers<void>();
  await using server = serve(LOCAL, async (request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    asked.resolve(request.signal);
    await aborted.promise;
    return new Response();
  });
  const client = await RawClient.connect(server.addr);
  await client.send(GET);
  assertEquals((await asked.promise).aborted, false);
  client[Symbol.dispose]();
  await aborted.promise;
});

// What a handler fails with.
const FAILURES: [what: string, handler: () => unknown, error: RegExp][] = [
  ["throws", () => {
    throw new RangeError("secret");
  }, /^RangeError: secret/],
  ["rejects", () => Promise.reject(new RangeError("secret")), /^RangeError: secret/],
  ["throws what is no Error", () => {
    throw 5;
  }, /^5$/],
  ["returns nothing", () => undefined, /got undefined$/],
  ["returns Response.error()", () => Response.error(), /it is an error response/],
  [
    "returns a text that cannot be sent",
    () => new Response("a", { headers: { "Transfer-Encoding": "gzip" } }),
    /Cannot decode transfer coding "gzip"/,
  ],
  [
    "returns a stream that cannot be sent",
    () => new Response(text("a", "b"), { headers: { "Transfer-Encoding": "gzip" } }),
    /Cannot decode transfer coding "gzip"/,
  ],
  [
    "promises a stream that cannot be sent",
    async () => await new Response(text("a"), { headers: { "Transfer-Encoding": "gzip" } }),
    /Cannot decode transfer coding "gzip"/,
  ],
  [
    "returns a Blob that cannot be sent",
    () => new Response(new Blob(["abc"]), { headers: { "Content-Length": "+3" } }),
    /Cannot use Content-Length "\+3"/,
  ],
];

for (const [what, handler, error] of FAILURES) {
  const failing = handler as () => Response;
  test(`serve() answers 500 and logs where the handler ${what}`, NET, async () => {
    using log = new ErrorLog();
    await using server = serve(LOCAL, failing);
    const response = await fetch(`http://127.0.0.1:${server.addr.port}/a`);
    assertEquals([response.status, await response.text()], [500, "Internal Server Error"]);
    assertEquals(log.entries.length, 1);
    assertStringIncludes(log.entries[0], 'Cannot answer "GET /a":');
  });

  test(`serve() answers what onError makes of it where the handler ${what}`, NET, async () => {
    using log = new ErrorLog();
    await using server = serve(
      { ...LOCAL, onError: (error) => new Response(String(error), { status: 501 }) },
      failing,
    );
    const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
    assertEquals(response.status, 501);
    assertMatch(await response.text(), error);
    assertEquals(log.entries, []);
  });
}

test("serve() answers 500 and logs where onError fails too", NET, async () => {
  using log = new ErrorLog();
  await using server = serve({
    ...LOCAL,
    handler: () => Promise.reject(new Error("first")),
    onError: () => Promise.reject(new Error("second")),
  });
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  assertEquals([response.status, await response.text()], [500, "Internal Server Error"]);
  assertMatch(log.entries.join(), /Cannot answer "GET \/": Error: second/);
});

test("serve() does not ask onError for a stream that fails as it is sent", NET, async () => {
  using log = new ErrorLog();
  let asked = 0;
  const onError = (): Response => new Response(`asked ${++asked} times`);
  await using server = serve({ ...LOCAL, onError }, () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(3);
      throw new Error("half-way");
    }
    return new Response(ReadableStream.from(failing()));
  });
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  await assertRejects(() => response.bytes());
  assertEquals([response.status, asked], [200, 0]);
  assertMatch(log.entries.join(), /Cannot answer "GET \/": Error: half-way/);
});

test("serve() reads a copy of a request without maxBodySize", NET, async () => {
  await using server = serve({ ...LOCAL, maxBodySize: 3 }, async (request) => {
    const toRead = new URL(request.url).pathname === "/copy" ? new Request(request) : request;
    return new Response(await toRead.text());
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const original = await fetch(url, { method: "POST", body: "abcd" });
  assertEquals([original.status, await original.text()], [413, "Content Too Large"]);
  const copy = await fetch(`${url}/copy`, { method: "POST", body: "abcd" });
  assertEquals([copy.status, await copy.text()], [200, "abcd"]);
});

test("serve() lets a stream take longer than handlerTimeout", NET, async () => {
  const isOver = Promise.withResolvers<void>();
  await using server = serve({ ...LOCAL, handlerTimeout: 50 }, () => {
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield latin1("one ");
      await isOver.promise;
      yield latin1("two");
    }
    return new Response(ReadableStream.from(slow()));
  });
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  setTimeout(isOver.resolve, 100);
  assertEquals(await response.text(), "one two");
});

test(
  "serve() says what to do where the handler upgrades to a WebSocket as for Deno.serve()",
  NET,
  async () => {
    using log = new ErrorLog();
    await using server = serve(LOCAL, (request) => Deno.upgradeWebSocket(request).response);
    using client = await RawClient.connect(server.addr);
    await client.send(request(
      "GET /",
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ));
    assertEquals((await client.response()).status, 500);
    assertStringIncludes(log.entries[0], "only works with Deno.serve; use upgradeWebSocket()");
  },
);

// --- Its end ----------------------------------------------------------------------------------------

/** A handler that answers when it is let go. */
function held(): { asked: Promise<void>; letGo: () => void; handler: () => Promise<Response> } {
  const asked = Promise.withResolvers<void>();
  const going = Promise.withResolvers<void>();
  return {
    asked: asked.promise,
    letGo: going.resolve,
    handler: async () => {
      asked.resolve();
      await going.promise;
      return new Response(text("fin", "ished"));
    },
  };
}

// How a server is told to end; each returns a promise that it has.
const ENDS: [
  how: string,
  end: (server: Deno.HttpServer, control: AbortController) => Promise<void>,
][] = [
  ["shutdown()", (server) => server.shutdown()],
  ["`await using`", (server) => server[Symbol.asyncDispose]() as Promise<void>],
  ["its signal", (server, control) => {
    control.abort();
    return server.finished;
  }],
];

for (const [how, end] of ENDS) {
  test(`serve() finishes what is under way and takes nothing new after ${how}`, NET, async () => {
    const { asked, letGo, handler } = held();
    const control = new AbortController();
    const server = serve({ ...LOCAL, signal: control.signal }, handler);
    using client = await RawClient.connect(server.addr);
    using idle = await RawClient.connect(server.addr);
    await client.send(GET);
    await asked;
    const ended = end(server, control);
    assertEquals(await idle.gone(), "");
    await assertRejects(() => RawClient.connect(server.addr), Deno.errors.ConnectionRefused);
    letGo();
    assertEquals((await client.response()).body, "finished");
    assertEquals(await client.gone(), "");
    await ended;
    await server.finished;
    await server.shutdown();
  });
}

test(
  "serve() listens no more when it ends idle connections, in a process that is busy, too",
  NET,
  async () => {
    const server = serve(LOCAL, () => new Response());
    using idle = await RawClient.connect(server.addr);
    // Each turn of the event loop takes long, so that somebody may have connected in each.
    const work = setInterval(() => {
      for (const start = performance.now(); performance.now() - start < 5;);
    }, 0);
    try {
      const ended = server.shutdown();
      assertEquals(await idle.gone(), "");
      await assertRejects(() => RawClient.connect(server.addr), Deno.errors.ConnectionRefused);
      await ended;
    } finally {
      clearInterval(work);
    }
  },
);

test("serve() leaves nothing at its signal when it has ended", NET, async () => {
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (...[, listener]: unknown[]) => void listeners.add(listener);
  signal.removeEventListener = (...[, listener]: unknown[]) => void listeners.delete(listener);
  const server = serve({ ...LOCAL, signal }, () => new Response());
  assertEquals(listeners.size, 1);
  await server.shutdown();
  assertEquals(listeners.size, 0);
});

test("serve() ends at once with a signal that is aborted already", NET, async () => {
  const server = serve({ ...LOCAL, signal: AbortSignal.abort() }, () => new Response());
  await server.finished;
  await assertRejects(() => RawClient.connect(server.addr), Deno.errors.ConnectionRefused);
});

test("serve() cuts a handler that is stuck when the grace is over", NET, async () => {
  const { asked, handler } = held();
  const server = serve({ ...LOCAL, shutdownGrace: 10 }, handler);
  using client = await RawClient.connect(server.addr);
  await client.send(GET);
  await asked;
  await server.shutdown();
  assertEquals(await client.gone(), "");
});

test(
  "serve() lets the process end after unref(), also with connections from before and after it, and not after ref()",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program("run", "--allow-net", "tests/http/unref_program.ts");
    const address = new URL(await program.nextLine());
    using client = await RawClient.connect({ hostname: address.hostname, port: +address.port });
    await client.send(GET);
    assertEquals((await client.response()).body, "ref");
    await client.send(GET);
    assertEquals((await client.response()).body, "unref");
    using later = await RawClient.connect({ hostname: address.hostname, port: +address.port });
    await later.send(GET);
    assertEquals((await later.response()).body, "unref");
    const { code, stderr } = await program.end();
    assertEquals([code, stderr], [0, ""]);
  },
);

test("serve() takes an accessLog that is undefined as none", { permissions: ["run"] }, async () => {
  const { code, stdout } = await run(
    "eval",
    `import { serve } from "./http_context.ts";
    const options = { hostname: "127.0.0.1", port: 0, accessLog: undefined, onListen() {} };
    const server = serve(options, () => new Response("hello"));
    console.log(await (await fetch("http://127.0.0.1:" + server.addr.port)).text());
    await server.shutdown();`,
  );
  assertEquals([code, stdout], [0, "hello\n"]);
});

test(
  "serve() answers as Deno.serve() does in a Deno whose internals are elsewhere",
  { permissions: ["run"] },
  async () => {
    const { code, stdout } = await run("run", "--allow-net", "tests/http/changed_deno_program.ts");
    assertEquals([code, stdout], [0, "asked\n"]);
  },
);

test(
  "serve() frees nothing twice of what stands for a Response, as a Proxy does",
  { permissions: ["run"] },
  async () => {
    const program = "tests/http/response_program.ts";
    const { code, stderr } = await run("run", "--v8-flags=--expose-gc", program);
    assertEquals([code, stderr], [0, ""]);
  },
);

test("serve() asks no getter of a program's own for the fields of a Response", NET, async () => {
  class Other extends Response {
    override get headers(): Headers {
      throw new Error("asked");
    }
  }
  await using server = serve(LOCAL, () => new Other("a", { headers: { A: "b" } }));
  const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
  assertEquals([response.headers.get("a"), await response.text()], ["b", "a"]);
});
