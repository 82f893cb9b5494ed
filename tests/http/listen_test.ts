import { assertEquals, assertRejects } from "@std/assert";
import { HTTPListener, ListenError } from "../../http_context.ts";
import { type Needs, test } from "../needs.ts";
import { type Ending, run } from "../program.ts";
import { Accepting } from "./accepting.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

const RUN: Needs = { permissions: ["run"] };

/** What `start()` says of an address. */
async function failure(hostname: string, port: number): Promise<string> {
  const app = new HTTPListener({ hostname, port });
  const { message } = await assertRejects(() => app.start(), ListenError);
  return message.replace(`Cannot listen on ${hostname}:${port}: `, "");
}

test("HTTPListener.start() says what to do when the port is in use", NET, async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assertEquals(
    await failure("127.0.0.1", taken.addr.port),
    "the port is in use; stop the program that uses it, or choose another port",
  );
});

test(
  "HTTPListener.start() says what to do when the address is another machine's",
  NET,
  async () => {
    assertEquals(
      await failure("192.0.2.1", 0),
      "this machine has no such address; use one that it has, or 0.0.0.0 for all of them",
    );
  },
);

for (const host of ["::1", "[::1]"]) {
  const ask = (flags: string[], args: string[]): Promise<Ending> => {
    const command = ["run", "--no-prompt", "--allow-read", ...flags, "cli.ts"];
    return run(...command, "examples/http_web.ts:app", "--host", host, "--port", "8000", ...args);
  };

  test(`HTTPListener.run() writes ${host} as flags of Deno have it`, RUN, async () => {
    const { code, stderr } = await ask([], []);
    const message = "missing permission; run the program with --allow-net=[::1]:8000";
    assertEquals([code, stderr], [1, `ERROR: Cannot listen on [::1]:8000: ${message}\n`]);
  });

  test(`HTTPListener.run() with workers on ${host} needs no more of the network`, RUN, async () => {
    const { code, stderr } = await ask(["--allow-net=[::1]:8000"], ["--workers", "2"]);
    const message = "missing permission; run the program with --allow-run";
    assertEquals([code, stderr], [1, `ERROR: Cannot start a worker: ${message}\n`]);
  });
}

test("HTTPListener.start() can be called again when the port is free", NET, async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using app = new HTTPListener({ port: taken.addr.port, accessLog: false });
  await assertRejects(() => app.start(), ListenError);
  taken.close();
  await app.start();
  assertEquals(app.addr.port, taken.addr.port);
});

test("HTTPListener goes on accepting where setNoDelay() of a connection throws", NET, async () => {
  // As on macOS where the client has left by then.
  using _ = new Accepting((conn, before) => {
    if (before > 0) return;
    (conn as Deno.TcpConn).setNoDelay = () => {
      throw new Error("Invalid argument (os error 22)");
    };
  });
  await using app = await serving((app) => app.onEvent("GET:/", ({ ctx }) => ctx.response(200)));
  for (let i = 0; i < 2; i++) {
    using client = await RawClient.connect(app.addr);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assertEquals((await client.response()).status, 200);
  }
});

test(
  "HTTPListener.start() says which permissions a Unix socket needs, and needs no others",
  { permissions: ["read", "write", "run"] },
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      // The program runs in the repository's root.
      const up = new URL("../..", import.meta.url).pathname.replaceAll(/[^/]+/g, "..").slice(1, -1);
      for (const path of [`${folder}/a.sock`, `${up}${folder}/a.sock`]) {
        const program = ["tests/http/unix_program.ts", path];
        const { stdout } = await run("run", "--no-prompt", ...program);
        const [, flags] = /^Cannot listen on .*: missing permission; run the program with (.*)\n$/
          .exec(stdout)!;
        const allowed = await run("run", "--no-prompt", ...flags.split(" "), ...program);
        assertEquals(allowed, { code: 0, stdout: "listening\n", stderr: "" });
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

// Paths that no socket can have, and what to do about them.
const BAD_PATHS: [path: string, advice: string][] = [
  ["/nonexistent/a.sock", "the folder for the socket does not exist; create it first"],
  [`/${"a".repeat(108)}`, "the path is too long; Linux allows 107 bytes, and macOS 103"],
];
for (const [path, advice] of BAD_PATHS) {
  test(
    `HTTPListener.start() says what to do about the path ${path.slice(0, 20)}`,
    { permissions: ["net", "read", "write"] },
    async () => {
      const app = new HTTPListener({ path, accessLog: false });
      const { message } = await assertRejects(() => app.start(), ListenError);
      assertEquals(message, `Cannot listen on ${path}: ${advice}`);
    },
  );
}

// What may be at the path of a Unix socket, and whether the server takes its place.
const IN_THE_WAY: [what: string, put: (path: string) => Disposable | void, isReplaced: boolean][] =
  [
    ["a socket that a program has left behind as it was killed", leaveSocket, true],
    [
      "a socket that a program listens on",
      (path) => Deno.listen({ transport: "unix", path }),
      false,
    ],
    ["a file", (path) => Deno.writeTextFileSync(path, "keep me"), false],
  ];

for (const [what, put, isReplaced] of IN_THE_WAY) {
  const does = isReplaced ? "takes the place of" : "leaves alone";
  test(
    `HTTPListener on a Unix socket ${does} ${what}`,
    { permissions: ["net", "read", "write"] },
    async () => {
      const folder = await Deno.makeTempDir();
      const path = `${folder}/a.sock`;
      try {
        using _ = put(path) ?? null;
        await using app = new HTTPListener({ path, accessLog: false });
        if (isReplaced) {
          await app.start();
          (await Deno.connect({ transport: "unix", path })).close();
        } else {
          const { message } = await assertRejects(() => app.start(), ListenError);
          assertEquals(
            message,
            `Cannot listen on ${path}: the path already exists; ` +
              "stop the program that listens on it, or remove it",
          );
          assertEquals((await Deno.lstat(path)).isSocket, what !== "a file");
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

/** A close removes the socket by the name it was made with. */
function leaveSocket(path: string): void {
  using _ = Deno.listen({ transport: "unix", path: `${path}.new` });
  Deno.renameSync(`${path}.new`, path);
}
