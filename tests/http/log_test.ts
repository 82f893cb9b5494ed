import { assertEquals, assertMatch } from "@std/assert";
import { formatAddr, Log, type LogSink } from "../../http/log.ts";
import type { ServerOptions } from "../../http_context.ts";
import { freePort, listening } from "../conformance/peers.ts";
import { test } from "../needs.ts";
import { Program } from "../program.ts";
import { RawClient } from "./raw_client.ts";

/** A sink that takes one write at a time, when it is told to. */
class SlowSink implements LogSink {
  readonly writes: string[] = [];
  #go = Promise.withResolvers<void>();

  async write(bytes: Uint8Array): Promise<number> {
    this.writes.push(new TextDecoder().decode(bytes));
    await this.#go.promise;
    return bytes.length;
  }

  go(): void {
    this.#go.resolve();
  }
}

Deno.test("Log.line() writes what came meanwhile in one write, in order", async () => {
  const sink = new SlowSink();
  const log = new Log(sink);
  for (const line of ["one", "two", "three"]) log.line(line);
  assertEquals(sink.writes, ["one\n"]);
  sink.go();
  await log.flush();
  assertEquals(sink.writes, ["one\n", "two\nthree\n"]);
});

Deno.test("Log.line() writes at once, and then what comes within some milliseconds together", async () => {
  const writes: string[] = [];
  const { promise: second, resolve } = Promise.withResolvers<void>();
  const log = new Log({
    write(bytes): Promise<number> {
      if (writes.push(new TextDecoder().decode(bytes)) === 2) resolve();
      return Promise.resolve(bytes.length);
    },
  });
  log.line("one");
  assertEquals(writes, ["one\n"]);
  await Promise.resolve();
  log.line("two");
  await Promise.resolve();
  log.line("three");
  await second;
  assertEquals(writes, ["one\n", "two\nthree\n"]);
  await log.flush();
});

Deno.test("Log.line() drops lines over a bound and tells how many, once", async () => {
  const sink = new SlowSink();
  const log = new Log(sink);
  const line = "a".repeat(1024 * 1024 - 1);
  // The first is being written, four fill the queue.
  for (let i = 0; i < 8; i++) log.line(line);
  sink.go();
  await log.flush();
  log.line("more");
  await log.flush();
  const lines = sink.writes.join("").trimEnd().split("\n");
  assertEquals(lines.map((it) => it === line ? "line" : it), [
    ...Array<string>(5).fill("line"),
    "WARNING: 3 log lines were dropped",
    "more",
  ]);
});

Deno.test("Log.line() escapes control characters", async () => {
  const sink = new SlowSink();
  const log = new Log(sink);
  log.line("a\r\nINFO: forged\x1b[2J\x7f\x9b\t ü");
  sink.go();
  await log.flush();
  assertEquals(sink.writes, ["a\\x0d\\x0aINFO: forged\\x1b[2J\\x7f\\x9b\t ü\n"]);
});

Deno.test("Log.line() writes all bytes to a sink that takes a few at a time", async () => {
  const taken: number[] = [];
  const log = new Log({
    write(bytes): Promise<number> {
      taken.push(...bytes.subarray(0, 3));
      return Promise.resolve(Math.min(3, bytes.length));
    },
  });
  log.line("1234567");
  await log.flush();
  assertEquals(new TextDecoder().decode(Uint8Array.from(taken)), "1234567\n");
});

Deno.test("Log.line() leaves what is being written alone", async () => {
  const written: string[] = [];
  let go = Promise.withResolvers<void>();
  const log = new Log({
    async write(bytes): Promise<number> {
      await go.promise;
      written.push(new TextDecoder().decode(bytes));
      return bytes.length;
    },
  });
  const lines: string[] = [];
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 10; i++) log.line(lines[lines.push(`${round} ${i}`) - 1]);
    const flushed = log.flush();
    go.resolve();
    await flushed;
    go = Promise.withResolvers();
  }
  assertEquals(written.join(""), lines.map((line) => `${line}\n`).join(""));
});

Deno.test("Log.line() writes lines of any length and of any characters", async () => {
  const sink = new SlowSink();
  const log = new Log(sink);
  const lines = [
    "a",
    "\u20ac".repeat(30_000),
    "b".repeat(200_000),
    "\u{1f600}\u00e9",
    "c".repeat(64),
  ];
  log.line("first");
  for (const line of lines) log.line(line);
  sink.go();
  await log.flush();
  assertEquals(sink.writes, ["first\n", lines.map((line) => `${line}\n`).join("")]);
});

Deno.test("Log.share() writes whole lines, no more than a pipe takes in one piece", async () => {
  const sink = new SlowSink();
  const log = new Log(sink);
  log.share();
  const lengths = [1, 2000, 2000, 93, 1, 5000, 1];
  for (const length of lengths) log.line("a".repeat(length));
  sink.go();
  await log.flush();
  const writes = sink.writes.map((text) => text.split("\n").map((line) => line.length));
  assertEquals(writes, [[1, 0], [2000, 2000, 93, 0], [1, 0], [5000, 0], [1, 0]]);
});

Deno.test("Log goes on where it was when its sink has failed", async () => {
  let written = "", room = 3;
  const log = new Log({
    write(bytes): Promise<number> {
      if (room === 0) return Promise.reject(new Error("No space left on device"));
      const taken = bytes.subarray(0, room);
      written += new TextDecoder().decode(taken);
      room -= taken.length;
      return Promise.resolve(taken.length);
    },
  });
  for (const line of ["one", "two"]) {
    log.line(line);
    assertEquals(await log.flush(), false);
  }
  assertEquals(written, "one");
  room = Infinity;
  log.line("three");
  assertEquals(await log.flush(), true);
  assertEquals(written, "one\ntwo\nthree\n");
});

Deno.test("Log.flush() does not wait for a sink that takes nothing", async () => {
  const log = new Log(new SlowSink());
  log.line("one");
  assertEquals(await log.flush(1), false);
});

Deno.test("formatAddr() puts an IPv6 address in brackets", () => {
  const addr = (hostname: string): Deno.Addr => ({ transport: "tcp", hostname, port: 80 });
  assertEquals(formatAddr(addr("127.0.0.1")), "127.0.0.1:80");
  assertEquals(formatAddr(addr("::1")), "[::1]:80");
});

Deno.test("formatAddr() keeps the path of a Unix socket in one line, which a client chooses", () => {
  const addr = (path: string): Deno.Addr => ({ transport: "unix", path });
  assertEquals(formatAddr(addr("/run/a.sock")), "/run/a.sock");
  assertEquals(formatAddr(addr("/run/\u00e9\nINFO: forged")), "/run/\u00e9\\x0aINFO: forged");
});

Deno.test("formatAddr() leaves out a port that is not known", () => {
  assertEquals(formatAddr({ transport: "tcp", hostname: "::1", port: 0 }), "::1");
});

// What a client sends, and the line that the access log has for it.
const LINES: [sent: string, logged: string][] = [
  ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", 'INFO: ADDR - "GET / HTTP/1.1" 200'],
  ["GET /?q=%0A HTTP/1.0\r\n\r\n", 'INFO: ADDR - "GET /?q=%0A HTTP/1.0" 200'],
  ["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 'INFO: ADDR - "HEAD / HTTP/1.1" 200'],
  ["GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", 'INFO: ADDR - "GET /stream HTTP/1.1" 200'],
  ["GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", 'INFO: ADDR - "GET /nope HTTP/1.1" 404'],
];

/** What `deno` is given to run the server. */
function argumentsFor(options: ServerOptions): string[] {
  const program = "tests/http/log_program.ts";
  return ["run", "--no-prompt", "--allow-net", program, JSON.stringify(options)];
}

/** The port in the line in which the server tells its address. */
function portIn(line: string): number {
  return Number(/127\.0\.0\.1:(\d+)$/.exec(line)?.[1]);
}

test(
  "HTTPListener logs a line for each answer",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program(...argumentsFor({}));
    const port = portIn(await program.nextLine());
    for (const [sent, logged] of LINES) {
      using client = await RawClient.connect({ hostname: "127.0.0.1", port });
      await client.send(sent);
      await client.response(sent.split(" ")[0]);
      assertEquals(await program.nextLine(), logged.replace("ADDR", client.address));
    }
    using client = await RawClient.connect({ hostname: "127.0.0.1", port });
    await client.send("GET /\x1b HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals((await client.response()).status, 400);
    assertMatch(await program.nextLine(), /^WARNING: 127\.0\.0\.1:\d+ - refused with 400: /);
  },
);

test(
  "HTTPListener logs that it cut off requests when the grace period was over",
  { permissions: ["net", "run"] },
  async () => {
    await using program = new Program(...argumentsFor({ shutdownGrace: 10 }));
    const port = portIn(await program.nextLine());
    using client = await RawClient.connect({ hostname: "127.0.0.1", port });
    await client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals(await program.nextLine(), "hangs");
    program.signal("SIGTERM");
    const what = "shutdownGrace (10 ms) expired; requests aborted: 1";
    const stdout = `WARNING: ${what}, the first of them "GET /hang"\n`;
    assertEquals(await program.end(), { code: 0, stdout, stderr: "" });
  },
);

// What a proxy says of its client, and whom the access log names.
const PROXIES: [options: ServerOptions, sent: string, client: string][] = [
  [
    { trustedProxies: ["127.0.0.1"] },
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n",
    "192.0.2.7",
  ],
  [
    { trustedProxies: [] },
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n",
    "PEER",
  ],
  [
    { proxyProtocol: true },
    "PROXY TCP4 192.0.2.8 192.0.2.1 5000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "192.0.2.8:5000",
  ],
];
for (const [options, sent, name] of PROXIES) {
  test(
    `HTTPListener logs ${name} with ${JSON.stringify(options)}`,
    { permissions: ["net", "run"] },
    async () => {
      await using program = new Program(...argumentsFor(options));
      const port = portIn(await program.nextLine());
      using client = await RawClient.connect({ hostname: "127.0.0.1", port });
      await client.send(sent);
      await client.response();
      const named = name === "PEER" ? client.address : name;
      assertEquals(await program.nextLine(), `INFO: ${named} - "GET / HTTP/1.1" 200`);
    },
  );
}

test(
  "workers leave each other's lines whole in a log that is read slowly",
  { permissions: ["net", "run"] },
  async () => {
    const port = await freePort();
    const [deno, ...args] = argumentsFor({ port, workers: 2 });
    await using program = new Program(deno, "--allow-run", ...args);
    for (let i = 0; i < 2; i++) assertEquals(portIn(await program.nextLine()), port);
    const count = 200, target = `/nope?${"a".repeat(500)}`;
    // Far more than a pipe holds: the workers wait for the reader with what they write next.
    await Promise.all(Array.from({ length: 16 }, async () => {
      using client = await RawClient.connect({ hostname: "127.0.0.1", port });
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count));
      for (let i = 0; i < count; i++) assertEquals((await client.response()).status, 404);
    }));
    for (let i = 0; i < 16 * count; i++) {
      const line = (await program.nextLine()).replace(/127\.0\.0\.1:\d+/, "ADDR");
      assertEquals(line, `INFO: ADDR - "GET ${target} HTTP/1.1" 404`);
    }
    program.signal("SIGTERM");
    assertEquals(await program.end(), { code: 0, stdout: "", stderr: "" });
  },
);

/** A server whose log is read as far as the line with its address. */
async function startServer(
  options: ServerOptions = {},
): Promise<{ child: Deno.ChildProcess; port: number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: argumentsFor(options),
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return { child, port: portIn(new TextDecoder().decode(value).trimEnd()) };
}

/** Sends more requests than a pipe holds lines, and reads all answers. */
async function requestMany(port: number): Promise<void> {
  const count = 200;
  const target = "/nope?" + "a".repeat(4000);
  using client = await RawClient.connect({ hostname: "127.0.0.1", port });
  for (let i = 0; i < count; i++) {
    await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals((await client.response()).status, 404);
  }
}

test(
  "HTTPListener answers while nobody reads its log, and ends at SIGTERM after the grace",
  { permissions: ["net", "run"] },
  async () => {
    const { child, port } = await startServer({ shutdownGrace: 10 });
    await requestMany(port);
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    await child.stdout.cancel();
  },
);

test("HTTPListener answers when its log is closed", { permissions: ["net", "run"] }, async () => {
  const { child, port } = await startServer();
  await child.stdout.cancel();
  await requestMany(port);
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
});

test(
  "HTTPListener answers when the disk is full that it logs to",
  { permissions: ["net", "read", "run"], programs: ["/bin/sh"] },
  async () => {
    const port = freePort();
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        'exec "$0" run --no-prompt --allow-net "$1" "$2" >/dev/full 2>/dev/full',
        Deno.execPath(),
        "tests/http/log_program.ts",
        JSON.stringify({ port }),
      ],
      cwd: new URL("../..", import.meta.url),
      stdin: "null",
    }).spawn();
    await listening(port);
    await requestMany(port);
    using client = await RawClient.connect({ hostname: "127.0.0.1", port });
    for (const [target, status] of [["/throw", 500], ["/", 200]] as const) {
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      assertEquals((await client.response()).status, status);
    }
    client[Symbol.dispose]();
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
  },
);
