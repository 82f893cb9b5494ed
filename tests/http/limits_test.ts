import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Exchange } from "../../http/exchange.ts";
import { HTTPError, type HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { Program } from "../program.ts";
import { CHUNKED, LIMITS } from "./limit_messages.ts";
import { ByHand, settled } from "./by_hand.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function length(exchange: Exchange): Promise<void> {
  const { length } = await exchange.body.bytes();
  exchange.respond(200, `${length} bytes`, []);
}

/** The message whole, in two parts, byte by byte. */
function* arrivals(message: string): Generator<string[]> {
  yield [message];
  for (const at of [10, 70, message.length >> 1, message.length - 1]) {
    yield [message.slice(0, at), message.slice(at)];
  }
  yield [...message];
}

for (const [what, max, message, status, option] of LIMITS) {
  Deno.test(`HTTPListener takes ${max} ${what} and answers one more with ${status}`, async () => {
    // The limit of a body is larger by default, which the next test shows.
    const options = option === "maxBodySize" ? { maxBodySize: max } : {};
    for (const [size, expected] of [[max, 200], [max + 1, status]]) {
      for (const parts of arrivals(message(size))) {
        await using server = new ByHand(length, options);
        for (const part of parts) await server.send(part);
        assertStringIncludes(await server.received(), `HTTP/1.1 ${expected} `);
        const { bodiesTooLarge, refused } = server.counters;
        const isRefused = expected !== 200 && expected !== 413;
        assertEquals(refused, isRefused ? { [status]: 1 } : {});
        assertEquals(bodiesTooLarge, expected === 413 ? 1 : 0);
        assertEquals(server.refusals.length, isRefused ? 1 : 0);
      }
    }
  });

  if (option === undefined) continue;
  Deno.test(`${option} sets how many ${what} there may be`, async () => {
    const lower = Math.max(64, max >> 7);
    for (const [size, expected] of [[lower, 200], [lower + 1, status]]) {
      await using server = new ByHand(length, { [option]: lower });
      await server.send(message(size));
      assertStringIncludes(await server.received(), `HTTP/1.1 ${expected} `);
    }
  });
}

Deno.test("maxBodySize is 16 MiB by default", async () => {
  const mebibytes = 16 * 1024 * 1024;
  for (
    const [size, received] of [[mebibytes, /^$/], [mebibytes + 1, /^HTTP\/1\.1 413 /]] as const
  ) {
    await using server = new ByHand(length);
    await server.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    assertMatch(await server.received(), received);
  }
});

const MORE = "a".repeat(4 * 1024 * 1024);

// What is 4 MiB over a limit, and the status; the client sends all of it before it reads.
const FAR_OVER: [what: string, message: string, status: number][] = [
  ["a head", `GET / HTTP/1.1\r\nHost: a\r\nX: ${MORE}\r\n\r\n`, 431],
  ["a target", `GET /${MORE} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ["a method", `${MORE} / HTTP/1.1\r\nHost: a\r\n\r\n`, 501],
  ["a chunk's line", `${CHUNKED}1;${MORE}\r\nx\r\n0\r\n\r\n`, 400],
  ["chunk extensions", `${CHUNKED}${`1;${"a".repeat(1000)}\r\nx\r\n`.repeat(4_200)}0\r\n\r\n`, 400],
  ["fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(700_000)}\r\n`, 431],
  ["trailer fields", `${CHUNKED}0\r\n${"X: a\r\n".repeat(700_000)}\r\n`, 431],
  ["a trailer section", `${CHUNKED}0\r\nX: ${MORE}\r\n\r\n`, 431],
  [
    "a body in chunks",
    `${CHUNKED}${MORE.length.toString(16)}\r\n${MORE}\r\n0\r\n\r\n`,
    413,
  ],
  ["a body", `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MORE.length}\r\n\r\n${MORE}`, 413],
];

for (const [what, message, status] of FAR_OVER) {
  test(`HTTPListener lets a client read the ${status} to ${what} of 4 MiB`, NET, async () => {
    await using app = await serving((app) => {
      app.onEvent(async ({ ctx }) => ctx.response(200, await ctx.bytes()));
    }, { maxBodySize: 1024 });
    using client = await RawClient.connect(app.addr);
    await client.send(message);
    assertEquals((await client.response()).status, status);
    assertEquals(await client.rest(), "");
  });
}

test(
  "HTTPListener lets a client that takes more than a second to send it read the 431",
  NET,
  async () => {
    await using app = await serving((app) => app.onEvent(({ ctx }) => ctx.response(200)));
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    for (let i = 0; i < 8; i++) {
      await client.send(MORE.slice(0, 512 * 1024));
      await delay(200);
    }
    await client.send("\r\n\r\n");
    assertEquals((await client.response()).status, 431);
    assertEquals(await client.rest(), "");
  },
);

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

Deno.test("Connection takes no more of a body than its handler asks for", async () => {
  const goOn = Promise.withResolvers<void>();
  await using server = new ByHand(async (exchange) => {
    await goOn.promise;
    await length(exchange);
  });
  const size = 1024 * 1024;
  await server.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  let sent = 0;
  const sending = server.client.writable.getWriter();
  const all: Promise<void>[] = [];
  for (let at = 0; at < size; at += 1024) {
    all.push(sending.write(new Uint8Array(1024)).then(() => void (sent += 1024)));
  }
  await settled();
  // One buffer's worth may have been read before the handler had a say; the rest is in the pipe.
  const taken = sent - server.conn.available;
  assert(taken <= 64 * 1024, `${taken} bytes were taken`);
  goOn.resolve();
  await Promise.all(all);
  assertMatch(await server.received(), /1048576 bytes$/);
});

for (const size of [100, 1024, 64 * 1024]) {
  Deno.test(`Connection holds 256 KiB of a stream and a part at most (${size} bytes)`, async () => {
    let made = 0;
    await using server = new ByHand((exchange) => {
      const body = new ReadableStream<Uint8Array>({
        pull(controller): void {
          made += size;
          controller.enqueue(new Uint8Array(size));
        },
      }, { highWaterMark: 0 });
      return exchange.respond(200, body, [["Content-Length", "10000000"]]);
    });
    await server.send(GET);
    // A stream goes on for 20 ms at a time at most.
    for (let last = -1; made !== last;) {
      last = made;
      await delay(100);
    }
    const most = 257 * 1024 + size;
    const waiting = made - server.client.available;
    assert(waiting > 0 && waiting <= most, `${waiting} bytes wait in the server`);
    const before = made;
    await server.received();
    assert(made > before, "nothing more was asked for");
  });
}

/** Answers to a request of which a part of the body has come, and their paths. */
const EARLY: [what: string, path: string, status: number][] = [
  ["a whole response", "/whole", 200],
  ["a stream", "/stream", 200],
  ["a web Response that passes through hooks", "/hooks", 200],
  ["an error of the handler", "/fails", 500],
  ["401", "/refuses", 401],
  ["404", "/nowhere", 404],
  ["405", "/get", 405],
  ["413", "/reads", 413],
];

for (const framing of ["Content-Length: 1000", "Transfer-Encoding: chunked"]) {
  test(
    `A request behind an early answer is not taken for the body before it (${framing})`,
    NET,
    async () => {
      using _log = new ErrorLog();
      const paths: string[] = [];
      await using app = await serving((app) => {
        app.onEvent("POST:/whole", ({ ctx }) => ctx.response(200, "early"));
        app.onEvent("POST:/stream", ({ ctx }) => ctx.response(200, ReadableStream.from(["early"])));
        app.onEvent("POST:/hooks", () => new Response("early"));
        app.onEvent("POST:/fails", () => Promise.reject(new Error("a mistake")));
        app.onEvent("POST:/refuses", () => {
          throw new HTTPError(401);
        });
        app.onEvent("GET:/get", ({ ctx }) => ctx.response(200));
        app.onEvent("POST:/reads", async ({ ctx }) => ctx.response(200, await ctx.bytes()));
        app.onEvent("GET:/victim", ({ ctx }) => ctx.response(200, "answer to the victim"));
        app.beforeResponse((response, ctx) => {
          paths.push(ctx.path);
          return ctx.path === "/hooks" ? Promise.resolve(response) : response;
        });
      }, { maxBodySize: 2 });
      for (const [what, path, expected] of EARLY) {
        using client = await RawClient.connect(app.addr);
        const part = framing.startsWith("T") ? "64\r\nabc" : "abc";
        await client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${part}`);
        const { status, headers } = await client.response();
        assertEquals([status, new Map(headers).get("connection")], [expected, "close"], what);
        await client.send("GET /victim HTTP/1.1\r\nHost: a\r\n\r\n");
        assertEquals(await client.gone(), "", what);
      }
      assertEquals(paths, EARLY.map(([, path]) => path));
    },
  );
}

/** A route that answers at once, and one that answers when it is told to. */
function routes(app: HTTPListener): { asked: Promise<void>; goOn: () => void } {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
  app.onEvent("GET:/slow", async ({ ctx }) => {
    asked.resolve();
    await goOn.promise;
    ctx.response(200, "slow");
  });
  return { asked: asked.promise, goOn: goOn.resolve };
}

const SLOW = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

/** Sends one request and reads its answer. */
async function ask(client: RawClient, request = GET): Promise<string> {
  await client.send(request);
  return (await client.response()).body;
}

test("maxConnections leaves idle connections alone while there is room", NET, async () => {
  await using app = await serving(routes, { maxConnections: 2, shutdownGrace: 0 });
  using first = await RawClient.connect(app.addr);
  assertEquals(await ask(first), "Welcome!");
  using second = await RawClient.connect(app.addr);
  for (const client of [second, first, second]) assertEquals(await ask(client), "Welcome!");
  assertEquals([app.counters.open, app.counters.shed], [2, 0]);
});

test("maxConnections sheds the connection that is idle longest for a new one", NET, async () => {
  await using app = await serving(routes, { maxConnections: 2, shutdownGrace: 0 });
  using first = await RawClient.connect(app.addr);
  assertEquals(await ask(first), "Welcome!");
  using second = await RawClient.connect(app.addr);
  assertEquals(await ask(second), "Welcome!");
  using third = await RawClient.connect(app.addr);
  assertEquals(await ask(third), "Welcome!");
  assertEquals(await first.rest(), "");
  assertEquals(await ask(second), "Welcome!");
  assertEquals([app.counters.open, app.counters.shed], [2, 1]);
});

test("maxConnections lets a client in after a few turns where each is long", NET, async () => {
  const count = 10;
  await using app = await serving(routes, { maxConnections: count, shutdownGrace: 0 });
  const clients: RawClient[] = [];
  const connect = async (): Promise<void> => {
    const client = await RawClient.connect(app.addr);
    clients.push(client);
    assertEquals(await ask(client), "Welcome!");
  };
  for (let i = 0; i < count; i++) await connect();
  let turns = 0;
  const work = (): void => {
    turns++;
    for (const end = performance.now() + 25; performance.now() < end;);
    timer = setTimeout(work, 0);
  };
  let timer = setTimeout(work, 0);
  await Promise.all(Array.from({ length: count }, connect));
  clearTimeout(timer);
  assertEquals(app.counters.shed, count);
  assert(turns < 6 * count, `${count} clients took ${turns} turns`);
  for (const client of clients) client[Symbol.dispose]();
});

test("maxConnections sheds no connection whose handler works", NET, async () => {
  let slow!: ReturnType<typeof routes>;
  await using app = await serving((app) => slow = routes(app), {
    maxConnections: 2,
    shutdownGrace: 0,
  });
  using busy = await RawClient.connect(app.addr);
  await busy.send(SLOW);
  await slow.asked;
  using idle = await RawClient.connect(app.addr);
  assertEquals(await ask(idle), "Welcome!");
  using next = await RawClient.connect(app.addr);
  assertEquals(await ask(next), "Welcome!");
  assertEquals(await idle.rest(), "");
  slow.goOn();
  assertEquals((await busy.response()).body, "slow");
});

test("maxConnections sheds a connection that becomes idle while another waits", NET, async () => {
  let slow!: ReturnType<typeof routes>;
  await using app = await serving((app) => slow = routes(app), {
    maxConnections: 1,
    shutdownGrace: 0,
  });
  using busy = await RawClient.connect(app.addr);
  await busy.send(SLOW);
  await slow.asked;
  using waiting = await RawClient.connect(app.addr);
  await waiting.send(GET);
  slow.goOn();
  assertEquals((await busy.response()).body, "slow");
  assertEquals((await waiting.response()).body, "Welcome!");
  assertEquals(await busy.rest(), "");
});

test(
  "counters.shed counts a connection once if another becomes idle while it ends",
  NET,
  async () => {
    let slow!: ReturnType<typeof routes>;
    await using app = await serving((app) => slow = routes(app), {
      maxConnections: 2,
      shutdownGrace: 0,
    });
    using idle = await RawClient.connect(app.addr);
    assertEquals(await ask(idle), "Welcome!");
    using busy = await RawClient.connect(app.addr);
    await busy.send(SLOW);
    await slow.asked;
    let shed = 0;
    Object.defineProperty(app.counters, "shed", {
      get: () => shed,
      set: (count: number) => {
        shed = count;
        slow.goOn();
      },
    });
    using next = await RawClient.connect(app.addr);
    assertEquals(await ask(next), "Welcome!");
    assertEquals(await idle.rest(), "");
    assertEquals((await busy.response()).body, "slow");
    assertEquals(shed, 1);
  },
);

test(
  "maxConnections gives the place of a client that has reset its connection to another",
  { permissions: ["net", "run"] },
  async () => {
    const goOn = Promise.withResolvers<void>();
    await using app = await serving((app) => {
      routes(app);
      app.onEvent("GET:/hints", async ({ ctx }) => {
        ctx.informational(103, { Link: "</style.css>" });
        await goOn.promise;
        ctx.response(200);
      });
    }, { maxConnections: 1, shutdownGrace: 0 });
    // The system resets the connections of a process that is killed, where bytes were not read.
    await using client = new Program(
      "eval",
      `const conn = await Deno.connect({ port: ${app.addr.port} });
      await conn.write(new TextEncoder().encode(${JSON.stringify(GET.replace("/", "/hints"))}));
      await conn.read(new Uint8Array(1));
      console.log("reading");
      await new Promise(() => setInterval(() => {}, 1_000));`,
    );
    await client.nextLine();
    client.signal("SIGKILL");
    using next = await RawClient.connect(app.addr);
    assertEquals(await ask(next), "Welcome!");
    assertEquals(app.counters.open, 1);
    goOn.resolve();
  },
);

test("maxConnections has a new connection wait for one that ends", NET, async () => {
  let slow!: ReturnType<typeof routes>;
  await using app = await serving((app) => slow = routes(app), {
    maxConnections: 1,
    shutdownGrace: 0,
  });
  using busy = await RawClient.connect(app.addr);
  await busy.send(SLOW.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  await slow.asked;
  using waiting = await RawClient.connect(app.addr);
  await waiting.send(GET);
  slow.goOn();
  assertEquals((await busy.response()).body, "slow");
  busy[Symbol.dispose]();
  assertEquals((await waiting.response()).body, "Welcome!");
  assertEquals(app.counters.shed, 0);
});

test("maxConnectionsPerAddress closes one connection too many, and only that", NET, async () => {
  await using app = await serving(routes, { maxConnectionsPerAddress: 2 });
  using first = await RawClient.connect(app.addr);
  assertEquals(await ask(first), "Welcome!");
  using second = await RawClient.connect(app.addr);
  assertEquals(await ask(second), "Welcome!");
  using third = await RawClient.connect(app.addr);
  assertEquals(await third.gone(), "");
  assertEquals(app.counters.overAddressLimit, 1);
  assertEquals(await ask(first), "Welcome!");
  first[Symbol.dispose]();
  // The server notices at a time of its own.
  let next: RawClient;
  for (let answered = false; !answered;) {
    next = await RawClient.connect(app.addr);
    await next.send(GET).catch(() => {});
    answered = await next.answers();
    if (!answered) next[Symbol.dispose]();
  }
  using _next = next!;
  // One has come in its place: there is no room for another.
  using last = await RawClient.connect(app.addr);
  await last.send(GET).catch(() => {});
  assertEquals(await last.answers(), false);
});

test("maxConnectionsPerAddress closes no idle connection for one too many", NET, async () => {
  await using app = await serving(routes, { maxConnections: 2, maxConnectionsPerAddress: 2 });
  using first = await RawClient.connect(app.addr);
  assertEquals(await ask(first), "Welcome!");
  using second = await RawClient.connect(app.addr);
  assertEquals(await ask(second), "Welcome!");
  using third = await RawClient.connect(app.addr);
  assertEquals(await third.gone(), "");
  assertEquals([app.counters.overAddressLimit, app.counters.shed], [1, 0]);
  for (const client of [first, second]) assertEquals(await ask(client), "Welcome!");
});

test(
  "maxConnectionsPerAddress counts no clients of a Unix socket, which have no address",
  { permissions: ["net", "read", "write"] },
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/a.sock`;
    try {
      await using _ = await serving(routes, { path, maxConnectionsPerAddress: 1 });
      const connections: Deno.Conn[] = [];
      for (let i = 0; i < 2; i++) {
        const conn = await Deno.connect({ transport: "unix", path });
        connections.push(conn);
        await conn.write(new TextEncoder().encode(GET));
        const area = new Uint8Array(1024);
        const count = await conn.read(area);
        assertMatch(new TextDecoder().decode(area.subarray(0, count ?? 0)), /^HTTP\/1\.1 200 /);
      }
      for (const conn of connections) conn.close();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

test("maxRequestsPerConnection closes after the last answer, which says so", NET, async () => {
  await using app = await serving(routes, { maxRequestsPerConnection: 2 });
  using client = await RawClient.connect(app.addr);
  await client.send(GET.repeat(3));
  const connections: (string | undefined)[] = [];
  for (let i = 0; i < 2; i++) {
    connections.push(new Map((await client.response()).headers).get("connection"));
  }
  assertEquals(connections, [undefined, "close"]);
  assertEquals(await client.rest(), "");
});

// As the fields of a response from another server have it, or one that a hook sets.
for (
  const [option, received] of [
    ["keep-alive", ["close"]],
    ["x, Keep-Alive", ["x, close"]],
    ["x", ["x", "close"]],
    ["close", ["close"]],
  ] as [string, string[]][]
) {
  test(
    `the last answer of a connection says close beside "Connection: ${option}"`,
    NET,
    async () => {
      await using app = await serving(
        (app) => app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "", { Connection: option })),
        { maxRequestsPerConnection: 1 },
      );
      using client = await RawClient.connect(app.addr);
      await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      const { headers } = await client.response();
      const told = headers.filter(([name]) => name === "connection").map(([, value]) => value);
      assertEquals(told, received);
    },
  );
}

test(
  "HTTPListener logs each refused request in one line, at most 10 in a second",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program(
      "run",
      "--no-prompt",
      "--allow-net",
      "tests/http/log_program.ts",
    );
    const port = Number(/:(\d+)$/.exec(await program.nextLine())![1]);
    const started = performance.now();
    for (let i = 0; i < 100; i++) {
      using client = await RawClient.connect({ hostname: "127.0.0.1", port });
      await client.send("nonsense\x1b\n\r\n\r\n");
      assertEquals((await client.response()).status, 400);
    }
    const seconds = Math.ceil((performance.now() - started) / 1_000) + 1;
    program.signal("SIGTERM");
    const lines = (await program.end()).stdout.split("\n").slice(0, -1);
    const refusals = lines.filter((line) => line.includes(" - refused with "));
    assertMatch(
      refusals[0],
      /^WARNING: 127\.0\.0\.1:\d+ - refused with 400: .*"nonsense\\x1b.*$/,
    );
    assert(refusals.length >= 10 && refusals.length <= 10 * seconds, `${refusals.length} lines`);
    // What is not in a line of its own is told in a number.
    const missed = lines.map((line) =>
      Number(/(\d+) more clients were refused/.exec(line)?.[1] ?? 0)
    );
    assertEquals(refusals.length + missed.reduce((sum, count) => sum + count, 0), 100);
  },
);
