import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import manifest from "../deno.json" with { type: "json" };
import { RawClient } from "./http/raw_client.ts";
import { type Needs, test } from "./needs.ts";
import { type Ending, Program, run } from "./program.ts";

const RUN: Needs = { permissions: ["run"] };
const COMMAND = ["run", "--no-prompt", "--allow-net", "--allow-read", "cli.ts"];

const MAY_RUN = [...COMMAND.slice(0, -1), "--allow-run", "cli.ts"];

const RUNNING = /running on 127\.0\.0\.1:\d+$/;

function cli(...args: string[]): Promise<Ending> {
  return run(...COMMAND, ...args);
}

test("cli --version prints the version in deno.json", RUN, async () => {
  const stdout = `tiny-listener ${manifest.version}\n`;
  assertEquals(await cli("--version"), { code: 0, stdout, stderr: "" });
});

test("cli --help prints how it is used", RUN, async () => {
  const { code, stdout, stderr } = await cli("--help");
  assertEquals([code, stderr], [0, ""]);
  for (
    const word of ["Usage: ", "--host", "--port", "--workers", "--reload", "--version", "--help"]
  ) {
    assertStringIncludes(stdout, word);
  }
});

test("cli runs a web server on the address it is given, and ends it at SIGINT", {
  permissions: ["net", "run"],
}, async () => {
  const args = ["examples/http_web.ts:app", "--host", "127.0.0.2", "--port", "0"];
  await using program = new Program(...COMMAND, ...args);
  const [, port] = /running on 127\.0\.0\.2:(\d+)$/.exec(await program.nextLine())!;
  using client = await RawClient.connect({ hostname: "127.0.0.2", port: Number(port) });
  await client.send("GET /user/bob HTTP/1.1\r\nHost: a\r\n\r\n");
  assertEquals((await client.response()).body, "Hello, bob!");
  program.signal("SIGINT");
  assertEquals((await program.end()).code, 0);
});

test("cli --port leaves the listener's own host", RUN, async () => {
  await using program = new Program(...COMMAND, "tests/cli_app.ts:everywhere", "--port", "0");
  assertMatch(await program.nextLine(), /running on 0\.0\.0\.0:\d+$/);
});

test("cli --port has a listener of a Unix socket listen there instead", RUN, async () => {
  await using program = new Program(...COMMAND, "tests/cli_app.ts:unix", "--port", "0");
  assertMatch(await program.nextLine(), RUNNING);
});

test(
  "cli runs a listener that is not HTTP, found in an export, and ends with it",
  RUN,
  async () => {
    assertEquals(await cli("tests/cli_app.ts:all.once"), { code: 0, stdout: "once\n", stderr: "" });
  },
);

/** A port that nobody listens on. */
function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

/** The arguments for two workers on a port. */
function workers(port: string): string[] {
  return [...MAY_RUN, "tests/cli_app.ts:pid", "--workers", "2", "--port", port];
}

/** What the server answers on a new connection. */
async function ask(port: string): Promise<string> {
  using client = await RawClient.connect({ hostname: "127.0.0.1", port: Number(port) });
  await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  return (await client.response()).body;
}

/** The processes that answer: two, as the system deals out connections. */
async function pids(port: string): Promise<Set<string>> {
  const pids = new Set<string>();
  while (pids.size < 2) pids.add(await ask(port));
  return pids;
}

test("cli --workers runs processes that share the port, and restarts one that dies", {
  permissions: ["net", "run"],
}, async () => {
  const port = freePort();
  await using program = new Program(...workers(port));
  for (let i = 0; i < 2; i++) assertMatch(await program.nextLine(), RUNNING);
  const [killed, other] = await pids(port);
  Deno.kill(Number(killed), "SIGKILL");
  assertEquals(
    await program.nextLine(),
    `WARNING: worker ${killed} was killed by SIGKILL; starting another in 100 ms`,
  );
  assertMatch(await program.nextLine(), RUNNING);
  const now = await pids(port);
  assertEquals([now.has(killed), now.has(other)], [false, true]);
  program.signal("SIGTERM");
  assertEquals(await program.end(), { code: 0, stdout: "", stderr: "" });
});

test("cli --workers ends with status 1 if its first workers cannot start", {
  permissions: ["net", "run"],
}, async () => {
  const args = ["tests/cli_app.ts:failing", "--workers", "2", "--port", freePort()];
  await using program = new Program(...MAY_RUN, ...args);
  const { code, stdout, stderr } = await program.end();
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^Cannot start: Error: no database\n {4}at /);
});

test("cli --workers ends if it is stopped while its workers start", {
  permissions: ["net", "run"],
}, async () => {
  const args = ["tests/cli_app.ts:waiting", "--workers", "2", "--port", freePort()];
  await using program = new Program(...MAY_RUN, ...args);
  for (let i = 0; i < 2; i++) assertEquals(await program.nextLine(), "waits");
  program.signal("SIGTERM");
  assertEquals(await program.end(), { code: 0, stdout: "", stderr: "" });
});

test("cli --workers lets a worker that is stopped while it starts finish its program", {
  permissions: ["net", "run"],
}, async () => {
  const args = ["tests/cli_app.ts:tidying", "--workers", "2", "--port", freePort()];
  await using program = new Program(...MAY_RUN, ...args);
  for (let i = 0; i < 2; i++) assertEquals(await program.nextLine(), "waits");
  program.signal("SIGTERM");
  const stdout = "tidied up\n".repeat(2);
  assertEquals(await program.end(), { code: 0, stdout, stderr: "" });
});

test("cli --workers tells that a worker died even without an access log", RUN, async () => {
  await using program = new Program(...MAY_RUN, "tests/cli_app.ts:exiting", "--workers", "2");
  assertMatch(
    await program.nextLine(),
    /^WARNING: worker \d+ exited with status 3; starting another in 100 ms$/,
  );
  program.signal("SIGTERM");
  assertEquals((await program.end()).stderr, "");
});

test("cli --workers ends gracefully when a terminal sends SIGINT to the workers, too", {
  permissions: ["net", "run"],
}, async () => {
  const port = freePort();
  await using program = new Program(...workers(port));
  for (let i = 0; i < 2; i++) assertMatch(await program.nextLine(), RUNNING);
  using client = await RawClient.connect({ hostname: "127.0.0.1", port: Number(port) });
  await client.send("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  const busy = parseInt(await program.nextLine());
  program.signal("SIGINT");
  Deno.kill(busy, "SIGINT");
  assertEquals(await program.nextLine(), "was interrupted");
  await client.send("a");
  assertEquals((await client.response()).body, "a");
  assertEquals((await program.end()).code, 0);
});

test("cli --reload starts again when a file changes", {
  permissions: ["net", "read", "run", "write"],
}, async () => {
  const port = freePort();
  const app = await Deno.makeTempFile({ suffix: ".ts" });
  const write = (answer: string): Promise<void> =>
    Deno.writeTextFile(
      app,
      `import { HTTPListener } from ${JSON.stringify(new URL("../mod.ts", import.meta.url).href)};
      export const app = new HTTPListener({ port: ${port}, accessLog: () => {} });
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "${answer}"));
      app.shutdown(() => console.log("stops"));`,
    );
  try {
    await write("one");
    await using program = new Program(...MAY_RUN, `${app}:app`, "--reload");
    assertMatch(await program.nextLine(), RUNNING);
    assertEquals(await ask(port), "one");
    await write("two");
    assertEquals(await program.nextLine(), "stops");
    assertMatch(await program.nextLine(), RUNNING);
    assertEquals(await ask(port), "two");
    program.signal("SIGTERM");
    const { code, stdout } = await program.end();
    assertEquals([code, stdout], [0, "stops\n"]);
  } finally {
    await Deno.remove(app);
  }
});

test("cli --reload ends gracefully when a terminal sends SIGINT to the whole process group", {
  permissions: ["net", "read", "run"],
}, async () => {
  const port = freePort();
  await using program = new Program(
    { detached: true },
    ...MAY_RUN,
    "tests/cli_app.ts:pid",
    "--reload",
    "--port",
    port,
  );
  assertMatch(await program.nextLine(), RUNNING);
  using client = await RawClient.connect({ hostname: "127.0.0.1", port: Number(port) });
  await client.send("POST /stop HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  assertEquals(await program.nextLine(), "waits");
  program.signalGroup("SIGINT");
  assertEquals(await program.nextLine(), "stops");
  await client.send("a");
  assertEquals((await client.response()).body, "a");
  assertEquals((await program.end()).code, 0);
});

test("cli --reload ends at one SIGTERM, also while the program has failed", {
  permissions: ["net", "read", "run"],
}, async () => {
  const source = `data:text/javascript,console.log("fails");throw new Error("my own fault"):app`;
  await using program = new Program(...MAY_RUN, source, "--reload");
  assertEquals(await program.nextLine(), "fails");
  program.signal("SIGTERM");
  assertEquals((await program.end()).code, 0);
});

test("cli --reload ends a program that listens for SIGTERM itself", {
  permissions: ["net", "read", "run"],
}, async () => {
  const listener = "tests/cli_app.ts:listening";
  await using program = new Program(...MAY_RUN, listener, "--reload", "--port", freePort());
  assertMatch(await program.nextLine(), RUNNING);
  program.signal("SIGTERM");
  assertEquals((await program.end()).code, 0);
});

// What cannot be done, and the one line on standard error that says so.
const REFUSED: [args: string, message: RegExp][] = [
  ["", /^Cannot run 0 listeners: expected one "<file>:<name>"; see --help$/],
  ["a.ts:a b.ts:b", /^Cannot run 2 listeners: /],
  ["--foo a.ts:a", /^Cannot read the command line: Unknown option '--foo'; see --help$/],
  ["a.ts:a --port", /^Cannot read the command line: Option '--port <value>' argument missing; /],
  [
    "a.ts:a --port --host",
    /^Cannot read the command line: Option '--port' argument is ambiguous; /,
  ],
  ["--help=yes", /^Cannot read the command line: Option '--help' does not take an argument; /],
  ["examples/http_web.ts", /^Cannot import "examples\/http_web.ts": must be "file:name", /],
  ["no.ts:app", /^Cannot import "no.ts:app": file:.*\/no\.ts does not exist$/],
  ["examples:app", /^Cannot import "examples:app": .*/],
  ["examples/http_web.ts:no", /^Cannot import .*: examples\/http_web.ts has no export "no"$/],
  [
    "data:text/javascript,let;1=;:app",
    /^Cannot import "[^"]*": SyntaxError: .* at data:text\/javascript,let;1=;:1:\d+$/,
  ],
  [
    "data:text/javascript,import'file:///no.ts':app",
    /^Cannot import "[^"]*": Module not found "file:\/\/\/no\.ts" at data:.*:1:\d+$/,
  ],
  ["data:text/javascript,throw(null):app", /^Cannot import .*: the module threw null$/],
  [
    "data:text/javascript,throw[null,{a:1}]:app",
    /^Cannot import .*: the module threw \[ null, \{ a: 1 } \]$/,
  ],
  ["tests/cli_app.ts:nothing", /^Cannot run .*: must be a Listener, got null$/],
  ["tests/cli_app.ts:number", /^Cannot run .*: must be a Listener, got a number$/],
  ["tests/cli_app.ts:Once", /^Cannot run .*: must be a Listener, got a function or class$/],
  [
    "tests/cli_app.ts:all",
    /^Cannot run .*: must be a Listener, got an object of another type$/,
  ],
  [
    "tests/cli_app.ts:all.once --port 1",
    /^Cannot set port of "tests\/cli_app.ts:all.once": the listener does not accept this option$/,
  ],
  [
    "examples/http_web.ts:app --port http",
    /^Cannot set --port to "http": must be a non-negative integer$/,
  ],
  ["examples/http_web.ts:app --workers 0", /^Cannot set workers to 0: must be .* from 1 to 1024$/],
  [
    "examples/http_web.ts:app --workers 2 --port 0",
    /^Cannot share port 0 among 2 workers: use a TCP port of 1 or higher$/,
  ],
  [
    "examples/http_web.ts:app --workers 2",
    /^Cannot start a worker: missing permission; run the program with --allow-run$/,
  ],
  [
    "examples/http_web.ts:app --reload",
    /^Cannot reload: missing permission; run the program with --allow-run$/,
  ],
  [
    "examples/http_web.ts:app --reload --workers 2",
    /^Cannot reload with --workers: use only one of them$/,
  ],
  [
    "examples/http_web.ts:app --port=-1",
    /^Cannot set --port to "-1": must be a non-negative integer$/,
  ],
  [
    "examples/http_web.ts:app --port 65536",
    /^Cannot set port to 65536: must be .* from 0 to 65535$/,
  ],
  ["examples/http_web.ts:app --host 192.0.2.1 --port 0", /^Cannot listen on 192\.0\.2\.1:0: /],
];

for (const [args, message] of REFUSED) {
  test(`cli ${args || "without arguments"} fails with one line and status 1`, RUN, async () => {
    const { code, stdout, stderr } = await cli(...args.split(" ").filter((arg) => arg !== ""));
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^ERROR: [^\n]*\n$/);
    assertMatch(stderr.slice("ERROR: ".length).trimEnd(), message);
  });
}

test("cli shows the error of a module that fails", RUN, async () => {
  const source = `data:text/javascript,throw new RangeError("my own fault"):app`;
  const { code, stderr } = await cli(source);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "RangeError: my own fault");
});

test("cli says that it needs --allow-read", RUN, async () => {
  const ending = await run(
    "run",
    "--no-prompt",
    "--allow-net",
    "cli.ts",
    "examples/http_web.ts:app",
  );
  assertEquals([ending.code, ending.stdout], [1, ""]);
  assertMatch(
    ending.stderr,
    /^ERROR: Cannot import "examples\/http_web\.ts:app": .*--allow-read.*\n$/,
  );
});
