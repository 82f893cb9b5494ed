import { assertEquals, assertMatch } from "@std/assert";
import type { HTTPContext, HTTPListener } from "../../http_context.ts";
import type { Event } from "../../listener.ts";
import { Random } from "../h11/random.ts";
import { test } from "../needs.ts";
import { latin1, RawClient, undated } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** The routes of the tests below: an answer at once, one that takes a while, one that takes a body. */
function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
  app.onEvent("GET:/later/<id>", async ({ ctx, params }) => {
    await Promise.resolve();
    ctx.response(200, `later ${params.id}`);
  });
  app.onEvent("GET:/stream", ({ ctx }) => {
    return ctx.response(200, ReadableStream.from(["ab", "cd"]), { "Content-Type": "text/plain" });
  });
  app.onEvent("POST:/echo", async ({ ctx }) => ctx.response(200, await ctx.text()));
  app.onEvent("POST:/some", async ({ ctx }) => {
    const reader = ctx.body.getReader();
    await reader.read();
    await reader.cancel();
    ctx.response(200, "some");
  });
  app.onEvent("POST:/ignore", ({ ctx }) => ctx.response(200, "ignored"));
}

const OK = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n";
const WELCOME = `${OK}Date: now\r\nContent-Length: 8\r\n\r\nWelcome!`;
const WELCOME_CLOSE = `${OK}Date: now\r\nContent-Length: 8\r\nConnection: close\r\n\r\nWelcome!`;
const WELCOME_KEEP =
  `${OK}Date: now\r\nContent-Length: 8\r\nConnection: keep-alive\r\n\r\nWelcome!`;
const STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: now\r\n";
const later = (id: number): string => `${OK}Date: now\r\nContent-Length: 7\r\n\r\nlater ${id}`;
const error = (status: number, reason: string): string =>
  `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
  `Content-Length: ${reason.length}\r\nDate: now\r\nConnection: close\r\n\r\n${reason}`;

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_CLOSE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

// What a client sends before it ends its side, and all that comes back.
const CONVERSATIONS: [what: string, sent: string, received: string][] = [
  ["answers a request", GET, WELCOME],
  ["answers nothing to a client that sends nothing", "", ""],
  ["keeps the connection by default", GET + GET, WELCOME + WELCOME],
  ["closes after Connection: close", GET_CLOSE + GET, WELCOME_CLOSE],
  ["closes after HTTP/1.0", "GET / HTTP/1.0\r\n\r\n" + GET, WELCOME_CLOSE],
  [
    "keeps the connection of HTTP/1.0 that asks for it, and says so",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2),
    WELCOME_KEEP + WELCOME_KEEP,
  ],
  [
    "closes after HTTP/1.0 with keep-alive where the length is not known",
    "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
    `${STREAM}Connection: close\r\n\r\nabcd`,
  ],
  [
    "sends a stream in chunks to HTTP/1.1",
    "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
    `${STREAM}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n${WELCOME}`,
  ],
  [
    "answers requests of one segment in their order",
    [1, 2, 3].map((id) => `GET /later/${id} HTTP/1.1\r\nHost: a\r\n\r\n`).join("") + GET,
    later(1) + later(2) + later(3) + WELCOME,
  ],
  [
    "finds the next request behind a body",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + GET,
    `${OK}Date: now\r\nContent-Length: 3\r\n\r\nabc${WELCOME}`,
  ],
  [
    "finds the next request behind a body that nobody read",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
    GET,
    `${OK}Date: now\r\nContent-Length: 7\r\n\r\nignored${WELCOME}`,
  ],
  [
    "finds the next request behind a body whose stream was cancelled",
    "POST /some HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n" +
    GET,
    `${OK}Date: now\r\nContent-Length: 4\r\n\r\nsome${WELCOME}`,
  ],
  ["takes an empty line before a request", `\r\n${GET}`, WELCOME],
];

for (const [what, sent, received] of CONVERSATIONS) {
  test(`HTTPListener ${what}`, NET, async () => {
    await using app = await serving(routes);
    for (const parts of [[sent], [...sent]]) {
      using client = await RawClient.connect(app.addr);
      for (const part of parts) await client.send(part);
      await client.closeWrite();
      assertEquals(undated(await client.gone()), received);
    }
  });
}

test(
  "HTTPListener lets a client send a long body after its answer, which ends the connection",
  NET,
  async () => {
    await using app = await serving(routes);
    using client = await RawClient.connect(app.addr);
    await client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    const { status, headers, body } = await client.response();
    assertEquals([status, body], [200, "ignored"]);
    assertEquals(new Map(headers).get("connection"), "close");
    for (let sent = 0; sent < 1024 * 1024; sent += 0x4000) {
      await client.send(`4000\r\n${"a".repeat(0x4000)}\r\n`);
    }
    await client.send(`0\r\n\r\n${GET}`);
    await client.closeWrite();
    assertEquals(await client.rest(), "");
  },
);

// What is no request, and the status that answers it; the connection ends then.
const REFUSED: [what: string, sent: string, status: number, reason: string][] = [
  ["a line that is no request line", "nonsense\r\n\r\n", 400, "Bad Request"],
  ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "Bad Request"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400, "Bad Request"],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "Bad Request"],
  [
    "Content-Length with Transfer-Encoding",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
    "Bad Request",
  ],
  [
    "a transfer coding it does not know",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    501,
    "Not Implemented",
  ],
  ["HTTP/2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP Version Not Supported"],
  [
    "a target over maxTargetSize",
    `GET /${"a".repeat(200)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    414,
    reasonOf(414),
  ],
  [
    "a head over maxHeadSize",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(600)}\r\n\r\n`,
    431,
    reasonOf(431),
  ],
  [
    "more fields than maxFields",
    `GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(10)}\r\n`,
    431,
    reasonOf(431),
  ],
];

function reasonOf(status: 414 | 431): string {
  return { 414: "URI Too Long", 431: "Request Header Fields Too Large" }[status];
}

for (const [what, sent, status, reason] of REFUSED) {
  test(`HTTPListener refuses ${what} with ${status} and closes`, NET, async () => {
    const limits = { maxHeadSize: 512, maxTargetSize: 128, maxFields: 10 };
    await using app = await serving(routes, limits);
    for (const parts of [[sent + GET], [...sent]]) {
      using client = await RawClient.connect(app.addr);
      // The server may have refused and closed before the last byte was sent.
      for (const part of parts) await client.send(part).catch(() => {});
      assertEquals(
        undated(await client.gone()),
        error(status, reason),
      );
    }
  });
}

test("HTTPListener has no limit where the option is 0", NET, async () => {
  await using app = await serving(routes, { maxTargetSize: 0, maxFields: 0, maxBodySize: 0 });
  using client = await RawClient.connect(app.addr);
  await client.send(`POST /echo?${"q".repeat(9000)} HTTP/1.1\r\nHost: a\r\n`);
  await client.send(`Content-Length: 1\r\n${"X: a\r\n".repeat(200)}\r\na`);
  const { status, body } = await client.response();
  assertEquals([status, body], [200, "a"]);
});

test("HTTPListener answers what came before a malformed request", NET, async () => {
  await using app = await serving(routes);
  using client = await RawClient.connect(app.addr);
  await client.send(GET + "nonsense\r\n\r\n");
  assertEquals((await client.response()).status, 200);
  assertEquals((await client.response()).status, 400);
  assertEquals(await client.rest(), "");
});

test("HTTPListener goes on when a client leaves in the middle of a head", NET, async () => {
  using errors = new ErrorLog();
  await using app = await serving(routes);
  for (const sent of ["G", "GET / HTTP/1.1\r\n", GET.slice(0, -1)]) {
    using client = await RawClient.connect(app.addr);
    await client.send(sent);
    await client.closeWrite();
    assertMatch(await client.gone(), /^(HTTP\/1\.1 400 .*)?$/s);
  }
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  assertEquals((await client.response()).body, "Welcome!");
  assertEquals(errors.entries, []);
});

test("HTTPListener goes on when a client leaves before its answer", NET, async () => {
  using errors = new ErrorLog();
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    routes(app);
    app.onEvent("GET:/slow", async ({ ctx }) => {
      asked.resolve();
      await gone.promise;
      ctx.response(200, "x".repeat(1024));
      answered.resolve();
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  await asked.promise;
  client[Symbol.dispose]();
  gone.resolve();
  await answered.promise;
  using next = await RawClient.connect(app.addr);
  await next.send(GET);
  assertEquals((await next.response()).body, "Welcome!");
  assertEquals(errors.entries, []);
});

test("HTTPListener serves other connections while one sends nothing", NET, async () => {
  await using app = await serving(routes);
  using idle = await RawClient.connect(app.addr);
  await idle.send("GET / HT");
  using client = await RawClient.connect(app.addr);
  await client.send(GET);
  assertEquals((await client.response()).body, "Welcome!");
  await idle.send("TP/1.1\r\nHost: a\r\n\r\n");
  assertEquals((await idle.response()).body, "Welcome!");
});

test(
  "HTTPListener closes after the answer to a request whose large body nobody read",
  NET,
  async () => {
    await using app = await serving(routes);
    using client = await RawClient.connect(app.addr);
    const size = 1024 * 1024;
    await client.send(`POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const sending = client.send("x".repeat(size)).catch(() => {});
    // The answer is readable although the server never takes the whole body.
    assertEquals((await client.response()).body, "ignored");
    await client.gone();
    await sending;
  },
);

test("HTTPListener does not wait for a body that a client holds back for a 100", NET, async () => {
  await using app = await serving(routes);
  using client = await RawClient.connect(app.addr);
  await client.send(
    "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
  );
  const { status, body } = await client.response();
  assertEquals([status, body], [200, "ignored"]);
  await client.closeWrite();
  assertEquals(await client.rest(), "");
});

for (
  const [what, method, answer] of [
    ["a text", "POST", ({ ctx }) => ctx.response(200, "abc")],
    ["a stream", "POST", ({ ctx }) => ctx.response(200, ReadableStream.from(["abc"]))],
    ["a web Response", "POST", () => new Response(ReadableStream.from([latin1("abc")]))],
    ["a stream to HEAD", "HEAD", ({ ctx }) => ctx.response(200, ReadableStream.from(["abc"]))],
  ] as [string, string, (event: Event<HTTPContext>) => unknown][]
) {
  test(
    `HTTPListener does not take for a body what comes behind ${what} to a client that waits for a 100`,
    NET,
    async () => {
      await using app = await serving((app) => app.onEvent(answer));
      using client = await RawClient.connect(app.addr);
      const fields = "Host: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
      await client.send(`${method} / HTTP/1.1\r\n${fields}`);
      const { status, headers } = await client.response(method);
      assertEquals([status, new Map(headers).get("connection")], [200, "close"]);
      // One request, whose beginning is as long as the body that does not come; the rest of it looks like another.
      await client.send(`GET /?a=${GET}`);
      assertEquals(await client.rest(), "");
    },
  );
}

test(
  "HTTPListener ends each connection that sends bytes changed at random, and goes on",
  NET,
  async () => {
    using errors = new ErrorLog();
    await using app = await serving(routes);
    const message =
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    const random = new Random(1);
    for (let i = 0; i < 300; i++) {
      const at = random.below(message.length);
      const changed = message.slice(0, at) + String.fromCharCode(random.below(256)) +
        message.slice(at + random.below(3));
      using client = await RawClient.connect(app.addr);
      await client.send(changed);
      await client.closeWrite();
      assertMatch(
        await client.gone(),
        /^(HTTP\/1\.1 (200|4\d\d|501|505) .*)?$/s,
        JSON.stringify(changed),
      );
    }
    using client = await RawClient.connect(app.addr);
    await client.send(GET);
    assertEquals((await client.response()).body, "Welcome!");
    assertEquals(errors.entries, []);
  },
);

test("HTTPListener serves what comes behind a body, however much comes at once", NET, async () => {
  const isReading = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    routes(app);
    app.onEvent("POST:/slow", async ({ ctx }) => {
      const text = ctx.text();
      isReading.resolve();
      const body = await text;
      // What is read ahead is read in a turn of the event loop, or was before.
      await new Promise((resolve) => setTimeout(resolve, 20));
      ctx.response(200, body);
    });
  });
  using client = await RawClient.connect(app.addr);
  await client.send("POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  await isReading.promise;
  const padded = GET.replace("\r\n\r\n", `\r\nX-Padding: ${"p".repeat(3_000)}\r\n\r\n`);
  await client.send(`3\r\nabc\r\n0\r\n\r\n${padded.repeat(8)}`);
  assertEquals((await client.response()).body, "abc");
  for (let i = 0; i < 8; i++) assertEquals((await client.response()).body, "Welcome!");
  await client.send(GET);
  assertEquals((await client.response()).body, "Welcome!");
});

test("a request that waits its turn stays as it came while more is read", NET, async () => {
  const held = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<void>();
  await using app = await serving((app) => {
    app.onEvent("GET:/held", async ({ ctx, signal }) => {
      signal.addEventListener("abort", () => seen.resolve());
      begun.resolve();
      await held.promise;
      ctx.response(200, "held");
    });
    app.onEvent("GET:/<name>", ({ ctx, params }) => ctx.response(200, params.name));
  });
  using client = await RawClient.connect(app.addr);
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  await client.send(request("/held") + request("/first") + request("/sec").slice(0, -30));
  await begun.promise;
  await client.send(request("/sec").slice(-30) + request("/third"));
  await client.closeWrite();
  await seen.promise;
  held.resolve();
  const bodies: string[] = [];
  for (let i = 0; i < 4; i++) bodies.push((await client.response()).body);
  assertEquals(bodies, ["held", "first", "sec", "third"]);
});
