import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HTTPContext, HTTPError, HTTPListener } from "../http_context.ts";
import type { ServerWebSocket, UpgradeWebSocketOptions } from "../websocket.ts";
import { latin1, RawClient } from "./http/raw_client.ts";
import { ErrorLog, serving } from "./http/serving.ts";
import { test } from "./needs.ts";
import { Unhandled } from "./unhandled.ts";

const NET = { permissions: ["net", "env"] } as const;

/** That of the door, which is loaded where the permissions that the package ws asks for are there. */
const upgradeWebSocket = async (
  ctx: HTTPContext,
  options?: UpgradeWebSocketOptions,
): Promise<ServerWebSocket> =>
  await (await import("../websocket.ts")).upgradeWebSocket(ctx, options);

/** What a server under test does with a connection. */
type Use = (socket: ServerWebSocket, ctx: HTTPContext) => unknown;

/** A server whose "/" is a WebSocket. */
class Served implements AsyncDisposable {
  readonly app: HTTPListener;
  /** Codes that its connections were closed with. */
  readonly closed: number[] = [];
  /** What its connections have failed with. */
  readonly errors: string[] = [];
  #ended = Promise.withResolvers<void>();

  private constructor(app: HTTPListener) {
    this.app = app;
  }

  static async start(
    options: UpgradeWebSocketOptions = {},
    use: Use = () => {},
    serverOptions = {},
  ): Promise<Served> {
    const served: Served = new Served(
      await serving((app) => {
        app.aroundRequest(async (_, next) => {
          await next();
          served.#ended.resolve();
        });
        app.onEvent("GET:/", async ({ ctx }) => {
          const socket = await upgradeWebSocket(ctx, options);
          socket.on("close", (code) => served.closed.push(code));
          socket.on("error", ({ message }) => served.errors.push(message));
          await use(socket, ctx);
        });
      }, serverOptions),
    );
    return served;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.app.addr.port}/`;
  }

  /** When the first request is over, with its handler and connection. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** A client that is connected, by hand. */
  async connect(fields = ""): Promise<RawClient> {
    const client = await RawClient.connect(this.app.addr);
    await client.send(handshake(fields));
    assertMatch(
      await client.until("\r\n\r\n"),
      /^HTTP\/1.1 101 .*\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/s,
    );
    return client;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.app.stop();
  }
}

/** A handshake as RFC 6455 4.1 has it, with other fields besides. */
const handshake = (fields = "", version = "13"): string =>
  `GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: ${version}\r\n${fields}\r\n`;

/** A frame of a client, up to 125 bytes, masked with zeros (RFC 6455 5.2). */
const frame = (opcode: number, payload = ""): string =>
  String.fromCharCode(0x80 | opcode, 0x80 | payload.length) + "\0\0\0\0" + payload;
const [TEXT, CLOSE, PONG] = [1, 8, 10];
const PING = "\x89\x00";
/** A close as the server sends it. */
const closeFrame = (code: number): string =>
  "\x88\x02" + String.fromCharCode(code >> 8, code & 0xff);

function opened(client: WebSocket): Promise<unknown> {
  return new Promise((resolve) => client.onopen = resolve);
}

function nextClose(client: WebSocket): Promise<number> {
  return new Promise((resolve) => client.onclose = ({ code }) => resolve(code));
}

test("upgradeWebSocket() gives each message of a client, and sends it some", NET, async () => {
  await using served = await Served.start({}, (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const client = new WebSocket(served.url);
  client.binaryType = "arraybuffer";
  await opened(client);
  const large = new Uint8Array(1024 * 1024).map((_, i) => i);
  for (const message of ["Hi, Jürgen 🦕", "", large]) {
    const echo = new Promise((resolve) => client.onmessage = ({ data }) => resolve(data));
    client.send(message);
    assertEquals(await echo, typeof message === "string" ? message : message.buffer);
  }
  const closed = nextClose(client);
  client.close(3000);
  assertEquals(await closed, 3000);
  await served.ended;
  assertEquals(served.closed, [3000]);
});

test("a message that comes with the handshake is given to who listens by then", NET, async () => {
  await using served = await Served.start({}, async (socket) => {
    // Awaits of what is there take no time.
    for (let i = 0; i < 20; i++) await undefined;
    socket.on("message", (data) => socket.send(`${data}!`));
  });
  using client = await RawClient.connect(served.app.addr);
  await client.send(handshake() + frame(TEXT, "early"));
  await client.until("\r\n\r\n");
  assertEquals(await client.until("early!"), "\x81\x06early!");
});

test("the context lives as long as listeners for the close need it", NET, async () => {
  const alive: boolean[] = [];
  await using served = await Served.start({}, (socket, ctx) => {
    socket.on("close", () => alive.push(ctx.isAlive));
  });
  using client = await served.connect();
  await client.closeWrite();
  await served.ended;
  assertEquals(alive, [true]);
});

test(
  "a handler that waits for the close is over at its handlerTimeout, with 1011",
  NET,
  async () => {
    using log = new ErrorLog();
    await using served = await Served.start({}, (socket) => {
      return new Promise((resolve) => socket.on("close", resolve));
    }, { handlerTimeout: 20 });
    assertEquals(await nextClose(new WebSocket(served.url)), 1011);
    assertMatch(
      log.entries.join(),
      /^Cannot answer "GET \/": Cannot finish .*: still running after 20 ms$/,
    );
  },
);

const UPGRADE = "connection: upgrade, upgrade: websocket";
const VERSION = "connection: upgrade, sec-websocket-version: 13, upgrade: websocket";
const REFUSED: [what: string, request: string, status: number, fields: string][] = [
  ["a request for no WebSocket", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426, UPGRADE],
  ["a request for another protocol", handshake().replace("WebSocket", "h2c"), 426, UPGRADE],
  ["an Upgrade without its option", handshake().replace(", Upgrade", ""), 426, UPGRADE],
  ["HTTP/1.0", handshake().replace("HTTP/1.1", "HTTP/1.0"), 426, UPGRADE],
  ["HEAD", handshake().replace("GET", "HEAD"), 426, UPGRADE],
  ["another version", handshake("", "12"), 426, VERSION],
  ["no version", handshake().replace("Version", "V"), 426, VERSION],
  ["a key of another length", handshake().replace("==", "="), 400, ""],
  ["a second key", handshake("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, ""],
  ["a body", handshake("Content-Length: 1\r\n") + "a", 400, ""],
  ["a body in chunks", handshake("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400, ""],
  ["a page that is not its own", handshake("Origin: http://b\r\n"), 403, ""],
];

for (const [what, request, status, expected] of REFUSED) {
  test(`upgradeWebSocket() refuses ${what} with ${status}`, NET, async () => {
    using log = new ErrorLog();
    await using served = await Served.start();
    using client = await RawClient.connect(served.app.addr);
    await client.send(request);
    const response = await client.response(request.slice(0, 4).trim());
    const fields = response.headers.filter(([name, value]) =>
      /^(upgrade|sec-websocket-.*)$/.test(name) || /upgrade/i.test(value)
    ).map(([name, value]) => `${name}: ${value.toLowerCase().replace(/, (keep-alive|close)/, "")}`)
      .sort();
    assertEquals([response.status, fields.join(", ")], [status, expected]);
    assertEquals(log.entries, []);
  });
}

const ORIGINS: [origins: UpgradeWebSocketOptions["origins"], fields: string, isAllowed: boolean][] =
  [
    ["same", "", true],
    ["same", "Origin: http://a", true],
    // A proxy in front may speak TLS, and not tell.
    ["same", "Origin: https://a", true],
    ["same", "Origin: http://a:80", true],
    ["same", "Origin: http://a:8000", false],
    ["same", "Origin: http://a.b", false],
    ["same", "Origin: null", false],
    ["same", "Origin: data:a", false],
    ["same", "Origin: capacitor://a", false],
    ["same", "Origin: ", false],
    ["same", "Origin: http://a\r\nOrigin: http://a", false],
    ["same", "Origin: https://a\r\nX-Forwarded-Proto: https", true],
    ["same", "Origin: http://a\r\nX-Forwarded-Proto: https", false],
    ["any", "Origin: http://b", true],
    [["https://b", "null"], "Origin: https://b", true],
    [["https://b", "null"], "Origin: null", true],
    [["capacitor://a"], "Origin: capacitor://a", true],
    [["https://b", "null"], "", true],
    [["https://b", "null"], "Origin: http://b", false],
    [["https://b", "null"], "Origin: http://a", false],
    [[], "Origin: http://a", false],
  ];

for (const [origins, fields, isAllowed] of ORIGINS) {
  const asked = fields.replace("\r\n", ", ") || "none";
  test(
    `upgradeWebSocket() with origins ${Deno.inspect(origins)} ${
      isAllowed ? "takes" : "refuses"
    } ${asked}`,
    NET,
    async () => {
      await using served = await Served.start({ origins }, undefined, {
        trustedProxies: ["127.0.0.1"],
      });
      using client = await RawClient.connect(served.app.addr);
      await client.send(handshake(fields && `${fields}\r\n`));
      assertMatch(await client.until("\r\n\r\n"), isAllowed ? /^\S+ 101 / : /^\S+ 403 /);
    },
  );
}

const PROTOCOLS: [ours: string[], offered: string, chosen: string][] = [
  [["b", "a"], "a, b,c", "b"],
  [["b"], "a", ""],
  [["b"], "", ""],
  [[], "a", ""],
];

for (const [protocols, offered, chosen] of PROTOCOLS) {
  test(
    `upgradeWebSocket() with protocols [${protocols}] chooses "${chosen}" of "${offered}"`,
    NET,
    async () => {
      await using served = await Served.start({ protocols }, (socket) => {
        socket.send(`[${socket.protocol}]`);
      });
      using client = await RawClient.connect(served.app.addr);
      await client.send(handshake(offered && `Sec-WebSocket-Protocol: ${offered}\r\n`));
      const head = await client.until("\r\n\r\n");
      assertEquals(/^Sec-WebSocket-Protocol: (.*)\r$/m.exec(head)?.[1] ?? "", chosen);
      assertEquals((await client.until("]")).slice(2), `[${chosen}]`);
    },
  );
}

const WRONG: [options: Record<string, unknown>, message: string][] = [
  [
    { maxMessageSize: -1 },
    "Cannot set maxMessageSize to -1: must be an integer from 0 to 2147483647",
  ],
  [
    { maxBuffered: NaN },
    "Cannot set maxBuffered to NaN: must be an integer from 0 to 2147483647",
  ],
  [
    { pingInterval: Infinity },
    "Cannot set pingInterval to Infinity: must be an integer from 0 to 2147483647",
  ],
  [{ origins: "all" }, 'Cannot set origins to "all": must be "same", "any" or a list'],
  ...["b", "https://b/", "https://b:443", "https://bücher.example", "*"].map((
    origin,
  ): typeof WRONG[number] => [
    { origins: [origin] },
    `Cannot allow origin "${origin}": must be as browsers send it, such as "https://app.example"`,
  ]),
  [{ protocols: ["a b"] }, 'Cannot offer protocol "a b": must be a token (RFC 6455 4.1)'],
];

for (const [options, message] of WRONG) {
  test(`upgradeWebSocket() refuses ${Deno.inspect(options)}`, NET, async () => {
    const failed = Promise.withResolvers<Error>();
    await using app = await serving((app) => {
      app.onEvent("GET:/", async ({ ctx }) => {
        const upgrading = upgradeWebSocket(ctx, options);
        failed.resolve(await assertRejects(() => upgrading, RangeError));
        ctx.response(200);
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(handshake());
    assertEquals((await failed.promise).message, message);
    assertEquals((await client.response()).status, 200);
  });
}

test("a request that is refused ends no process where nobody awaits the outcome", NET, async () => {
  using unhandled = new Unhandled();
  const { upgradeWebSocket } = await import("../websocket.ts");
  await using app = await serving((app) => {
    app.onEvent("GET:/", ({ ctx }) => {
      upgradeWebSocket(ctx);
      ctx.response(200, "else");
    });
  });
  assertEquals(await (await fetch(`http://127.0.0.1:${app.addr.port}/`)).text(), "else");
  assertEquals(unhandled.reasons, []);
});

test("app.fetch() cannot open a WebSocket, and leaves nothing behind", NET, async () => {
  const app = new HTTPListener({ accessLog: false });
  const closed = Promise.withResolvers<number>();
  app.onEvent("GET:/", async ({ ctx }) => {
    (await upgradeWebSocket(ctx)).on("close", closed.resolve);
  });
  const headers = Object.fromEntries(
    handshake().trim().split("\r\n").slice(1).map((line) => line.split(": ")),
  );
  await assertRejects(() => app.fetch("/", { headers }), TypeError, "use testClient()");
  assertEquals(await closed.promise, 1006);
});

const ENDS: [what: string, act: (client: RawClient) => unknown, answer: string, code: number][] = [
  ["closes with a code", (it) => it.send(frame(CLOSE, "\x0b\xb8bye")), "\x88\x05\x0b\xb8bye", 3000],
  ["closes without a code", (it) => it.send(frame(CLOSE)), "\x88\x00", 1005],
  ["leaves by FIN", (it) => it.closeWrite(), "", 1006],
  ["sends garbage", (it) => it.send("GET / HTTP/1.1\r\n\r\n"), closeFrame(1002), 1006],
  ["does not mask", (it) => it.send("\x81\x01a"), closeFrame(1002), 1006],
  ["sends bad UTF-8", (it) => it.send(frame(TEXT, "\xff")), closeFrame(1007), 1006],
  ["sends too much", (it) => it.send(frame(TEXT, "a".repeat(101))), closeFrame(1009), 1006],
];

for (const [what, act, answer, code] of ENDS) {
  test(`a connection whose client ${what} ends with ${code}`, NET, async () => {
    using unhandled = new Unhandled();
    using log = new ErrorLog();
    await using served = await Served.start({ maxMessageSize: 100 });
    using client = await served.connect();
    await act(client);
    assertEquals(await client.until(answer), answer);
    assertEquals(await client.gone(), "");
    client[Symbol.dispose]();
    await served.ended;
    assertEquals([served.closed, unhandled.reasons, log.entries], [[code], [], []]);
  });
}

test("a connection whose client resets it ends with 1006", NET, async () => {
  using unhandled = new Unhandled();
  await using served = await Served.start({}, (socket) => {
    const goOn = (): void => socket.send("x".repeat(64 * 1024), (error) => error || goOn());
    goOn();
  });
  // What it has not read makes its close a reset.
  (await served.connect())[Symbol.dispose]();
  await served.ended;
  assertEquals([served.closed, unhandled.reasons], [[1006], []]);
});

test("a connection that the server closes ends when the client has answered", NET, async () => {
  await using served = await Served.start({}, (socket) => socket.close(4000));
  using client = await served.connect();
  assertEquals(await client.until(closeFrame(4000)), closeFrame(4000));
  await client.send(frame(CLOSE, "\x0f\xa0"));
  assertEquals(await client.rest(), "");
  client[Symbol.dispose]();
  await served.ended;
  assertEquals(served.closed, [4000]);
});

test("a connection counts until it is closed, though its handler has returned", NET, async () => {
  const handled = Promise.withResolvers<HTTPContext>();
  await using served = await Served.start({}, (_, ctx) => handled.resolve(ctx), {
    maxConnections: 1,
  });
  using client = await served.connect();
  const ctx = await handled.promise;
  using next = await RawClient.connect(served.app.addr);
  await next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.send(frame(9));
  assertEquals(await client.until("\x8a\x00"), "\x8a\x00");
  assertEquals([...served.app.connections()].map(({ state }) => state), ["upgraded"]);
  assertEquals(ctx.isAlive, true);
  client[Symbol.dispose]();
  // Now there is room for it.
  assertEquals((await next.response()).status, 426);
  await served.ended;
  assertEquals(ctx.isAlive, false);
});

test(
  "a handler that fails closes its connection with 1011, and the process goes on",
  NET,
  async () => {
    using log = new ErrorLog();
    await using served = await Served.start({}, () => {
      throw new Error("oh no");
    });
    const client = new WebSocket(served.url);
    assertEquals(await nextClose(client), 1011);
    assertEquals(log.entries.map((entry) => entry.split("\n")[0]), [
      'Cannot answer "GET /": Error: oh no',
    ]);
  },
);

test("stop() closes with 1001 at once, and waits for the client's answer", NET, async () => {
  const served = await Served.start();
  const clients = [new WebSocket(served.url), new WebSocket(served.url)];
  await Promise.all(clients.map(opened));
  const closed = Promise.all(clients.map(nextClose));
  await served.app.stop();
  assertEquals(served.closed, [1001, 1001]);
  assertEquals(await closed, [1001, 1001]);
});

test("stop() cuts a client that does not answer before the grace is over", NET, async () => {
  const served = await Served.start({}, undefined, { shutdownGrace: 60_000 });
  using client = await served.connect();
  await served.app.stop();
  assertEquals(served.closed, [1006]);
  assertEquals(await client.gone(), closeFrame(1001));
});

test(
  "a connection that stop() cuts as the grace is over ends, also while it is paused",
  NET,
  async () => {
    const closed = Promise.withResolvers<number>();
    const served = await Served.start({}, (socket) => {
      socket.pause();
      socket.on("close", closed.resolve);
    }, { shutdownGrace: 0 });
    using client = await served.connect();
    await served.app.stop();
    assertEquals(await closed.promise, 1006);
    await client.gone();
  },
);

test("a WebSocket that opens while the server stops is closed with 1001", NET, async () => {
  const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      asked.resolve();
      await goOn.promise;
      await upgradeWebSocket(ctx);
    });
  });
  const client = new WebSocket(`ws://127.0.0.1:${app.addr.port}/`);
  const closed = nextClose(client);
  await asked.promise;
  const stopped = app.stop();
  goOn.resolve();
  assertEquals(await closed, 1001);
  await stopped;
});

test("a client that answers no ping is cut, and one that does is not", NET, async () => {
  await using served = await Served.start({ pingInterval: 200 });
  using silent = await served.connect();
  using talking = await served.connect();
  const gone = silent.gone();
  for (let i = 0; i < 3; i++) {
    assertEquals(await talking.until(PING), PING);
    await talking.send(frame(PONG));
  }
  assertEquals(await gone, PING);
  assertEquals(served.closed, [1006]);
  assertEquals(served.errors, [
    "Cannot keep the connection open: the client has not answered a ping within 200 ms",
  ]);
});

test("pings cut no client while the connection is paused", NET, async () => {
  await using served = await Served.start({ pingInterval: 20 }, (socket) => socket.pause());
  using client = await served.connect();
  for (let i = 0; i < 5; i++) assertEquals(await client.until(PING), PING);
  assertEquals(served.closed, []);
});

const TAKEN: [when: string, act: (socket: ServerWebSocket) => void][] = [
  ["", () => {}],
  [", before the close", (socket) => socket.close()],
];

for (const [when, act] of TAKEN) {
  test(`pings cut no client that takes what waits, however slow it is${when}`, NET, async () => {
    const SIZE = 64 * 1024 * 1024;
    await using served = await Served.start({ pingInterval: 400 }, (socket) => {
      socket.send(new Uint8Array(SIZE));
      act(socket);
    });
    using client = await Deno.connect({ port: served.app.addr.port });
    await client.write(latin1(handshake()));
    const area = new Uint8Array(256 * 1024);
    for (let count = 0; count < SIZE;) {
      const read = await client.read(area);
      assert(read !== null, `cut after ${count} bytes`);
      count += read;
      // All of it takes some pings' time, and what the systems in between hold does not.
      await new Promise((resolve) => setTimeout(resolve, 6 * read / area.length));
    }
    assertEquals(served.closed, []);
  });
}

test(
  "a client that takes nothing of what waits for it is cut by the pings, also while paused",
  NET,
  async () => {
    await using served = await Served.start({ pingInterval: 50, maxBuffered: 0 }, (socket) => {
      socket.pause();
      for (let i = 0; i < 64; i++) socket.send(new Uint8Array(256 * 1024));
    });
    using _client = await served.connect();
    await served.ended;
    assertEquals(served.closed, [1006]);
  },
);

test("a client for which more than maxBuffered waits is cut at the next message", NET, async () => {
  const errors: (Error | undefined)[] = [];
  await using served = await Served.start({ maxBuffered: 1000 }, (socket) => {
    // One message may be longer.
    socket.send(new Uint8Array(16 * 1024 * 1024));
    socket.send("more", (error) => errors.push(error));
  });
  using _client = await served.connect();
  await served.ended;
  assertEquals(served.closed, [1006]);
  assertEquals(errors.map((error) => error?.message), [
    "WebSocket is not open: readyState 2 (CLOSING)",
  ]);
  assertEquals(served.errors, [
    "Cannot keep the connection open: more than 1000 bytes are waiting to be sent: the client is too slow",
  ]);
});

test("a waiting message counts for maxBuffered with the memory it takes", NET, async () => {
  let sent = 0;
  await using served = await Served.start({ maxBuffered: 60_000 }, (socket) => {
    while (socket.readyState === socket.OPEN) {
      socket.send("");
      sent++;
    }
  });
  using _client = await served.connect();
  await served.ended;
  assert(sent > 90 && sent < 210, `${sent} messages waited`);
});

test(
  "a connection that is paused reads no more than a bound, and all of it afterwards",
  NET,
  async () => {
    const MESSAGES = 64, SIZE = 1024 * 1024;
    const paused = Promise.withResolvers<ServerWebSocket>();
    let received = 0;
    const all = Promise.withResolvers<void>();
    await using served = await Served.start({ pingInterval: 200 }, (socket) => {
      socket.on("message", (data) => {
        received += (data as Uint8Array).length;
        if (received === MESSAGES * SIZE) all.resolve();
      });
      socket.pause();
      paused.resolve(socket);
    });
    using client = await Deno.connect({ port: served.app.addr.port });
    await client.write(latin1(handshake()));
    const socket = await paused.promise;
    // A binary frame with a length of 64 bits, masked with zeros (RFC 6455 5.2).
    const message = new Uint8Array(14 + SIZE);
    message.set(latin1("\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0"));
    let sent = 0;
    const sending = (async () => {
      for (; sent < MESSAGES; sent++) {
        for (let at = 0; at < message.length;) at += await client.write(message.subarray(at));
      }
    })();
    // The handshake's answer and some pings: time in which it might be read.
    for (let parts = 0; parts < 4; parts++) await client.read(new Uint8Array(1024));
    assertEquals([received, sent < MESSAGES], [0, true]);
    socket.resume();
    await Promise.all([sending, all.promise]);
  },
);

test("upgradeWebSocket() rejects in a context without a request", NET, async () => {
  const ctx = new HTTPContext(new HTTPListener());
  await assertRejects(() => upgradeWebSocket(ctx), TypeError);
});

test("HTTPError of upgradeWebSocket() can be caught, to answer otherwise", NET, async () => {
  await using app = await serving((app) => {
    app.onEvent("GET:/", async ({ ctx }) => {
      const error = await assertRejects(() => upgradeWebSocket(ctx), HTTPError);
      ctx.response(200, `${error.status}`);
    });
  });
  assertEquals(await (await fetch(`http://127.0.0.1:${app.addr.port}/`)).text(), "426");
});
