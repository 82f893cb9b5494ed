import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ListenError } from "../../http/listen.ts";
import { Backoff, isWorker, superviseWorkers } from "../../http/workers.ts";
import { type Needs, test } from "../needs.ts";
import { Program, run } from "../program.ts";

const RUN: Needs = { permissions: ["run"] };
const SUPERVISE = ["run", "--no-prompt", "--allow-run", "tests/http/workers_program.ts"];

/** A supervisor with two workers, and their process ids. */
async function supervise(
  behaviour: string,
  ...deno: string[]
): Promise<AsyncDisposable & { program: Program; pids: number[] }> {
  const program = new Program(...SUPERVISE, behaviour, "2", ...deno);
  const pids = [await started(program), await started(program)];
  return { program, pids, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** The process id of the worker that starts next. */
async function started(program: Program): Promise<number> {
  const line = await program.nextLine();
  assertMatch(line, /^\d+ started$/);
  return parseInt(line);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`superviseWorkers() asks all workers for their end at ${signal}`, RUN, async () => {
    await using supervised = await supervise("works");
    const { program, pids } = supervised;
    program.signal(signal);
    const { code, stdout } = await program.end();
    assertEquals([code, lines(stdout)], [
      0,
      [...pids.map((pid) => `${pid} stops`), "all ended"].sort(),
    ]);
  });
}

test("superviseWorkers() has status 1 where a worker does not end cleanly", RUN, async () => {
  await using supervised = await supervise("fails");
  supervised.program.signal("SIGTERM");
  assertEquals((await supervised.program.end()).code, 1);
});

test("superviseWorkers() kills its workers at the second signal", RUN, async () => {
  await using supervised = await supervise("hangs");
  const { program, pids } = supervised;
  program.signal("SIGINT");
  const stops = [await program.nextLine(), await program.nextLine()];
  assertEquals(stops.sort(), pids.map((pid) => `${pid} stops`).sort());
  program.signal("SIGTERM");
  const { code, stdout } = await program.end();
  assertEquals([code, stdout], [128 + 15, "all ended\n"]);
});

test("superviseWorkers() starts another worker for one that dies", RUN, async () => {
  await using supervised = await supervise("works");
  const { program, pids: [killed, other] } = supervised;
  Deno.kill(killed, "SIGKILL");
  const line = await program.nextLine();
  assertEquals(line, `worker ${killed} was killed by SIGKILL; starting another in 100 ms`);
  const another = await started(program);
  program.signal("SIGTERM");
  const { code, stdout } = await program.end();
  assertEquals([code, lines(stdout)], [
    0,
    [`${another} stops`, `${other} stops`, "all ended"].sort(),
  ]);
});

test("superviseWorkers() waits longer each time a worker dies at once", RUN, async () => {
  await using program = new Program(...SUPERVISE, "crashes", "1");
  for (const delay of [100, 200, 400]) {
    assertMatch(
      await program.nextLine(),
      new RegExp(`^worker \\d+ exited with status 1; starting another in ${delay} ms$`),
    );
  }
});

test(
  "superviseWorkers() ends with status 1 where its first workers cannot listen",
  RUN,
  async () => {
    const { code, stdout } = await run(...SUPERVISE, "cannot listen", "2");
    assertEquals([code, stdout], [1, "all ended\n"]);
  },
);

test("superviseWorkers() tries again where a worker cannot be started", {
  permissions: ["read", "run", "write"],
}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const deno = `${folder}/deno`;
    await Deno.symlink(Deno.execPath(), deno);
    await using supervised = await supervise("works", deno);
    const { program, pids: [killed] } = supervised;
    await Deno.remove(deno);
    Deno.kill(killed, "SIGKILL");
    assertMatch(await program.nextLine(), / was killed by SIGKILL; starting another in 100 ms$/);
    assertMatch(
      await program.nextLine(),
      /^Cannot start a worker: .*; starting another in 200 ms$/,
    );
    await Deno.symlink(Deno.execPath(), deno);
    await started(program);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("superviseWorkers() says that it needs --allow-run", RUN, async () => {
  const { code, stderr } = await run("run", "--no-prompt", SUPERVISE.at(-1)!, "works", "1");
  assertEquals(code, 1);
  const reason = "missing permission; run the program with --allow-run";
  assertMatch(stderr, new RegExp(`ListenError: Cannot start a worker: ${reason}\n`));
});

test(
  "superviseWorkers() starts no workers of a compiled program that would not know it",
  RUN,
  async () => {
    const { code, stderr } = await run(...SUPERVISE, "compiled", "2");
    assertEquals(code, 1);
    const flag = "--allow-env=TINY_LISTENER_SUPERVISOR";
    const reason = `missing permission; compile the program with ${flag}`;
    assertMatch(stderr, new RegExp(`ListenError: Cannot start a worker: ${reason}\n`));
  },
);

test("superviseWorkers() rejects where no worker can be started", RUN, async () => {
  const command = ["/no/such/program"];
  await assertRejects(
    () => superviseWorkers({ command, count: 2, log: () => {} }),
    ListenError,
    "Cannot start a worker: ",
  );
});

test("onSupervisorStop() is called when the supervisor is gone", RUN, async () => {
  await using supervised = await supervise("works");
  const { program, pids } = supervised;
  program.signal("SIGKILL");
  // Standard output ends with the last process that has it.
  const { stdout } = await program.end();
  assertEquals(lines(stdout), pids.map((pid) => `${pid} stops`).sort());
});

test("onSupervisorStop() does not keep a worker going that stops it", RUN, async () => {
  await using program = new Program(...SUPERVISE, "unwatches", "1");
  await started(program);
  assertMatch(await program.nextLine(), / exited with status 0; starting another in 100 ms$/);
});

test(
  "isWorker() tells a worker from a program that a worker runs",
  { permissions: ["env"] },
  () => {
    Deno.env.set("TINY_LISTENER_SUPERVISOR", String(Deno.ppid + 1));
    try {
      assertEquals(isWorker(), false);
    } finally {
      Deno.env.delete("TINY_LISTENER_SUPERVISOR");
    }
  },
);

Deno.test("Backoff.next() doubles from 100 ms to 10 s, and begins anew after a life of 10 s", () => {
  const backoff = new Backoff();
  const lives = [0, 0, 0, 9_999, 0, 0, 0, 0, 0, 10_000, 0];
  const delays = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 100, 200];
  assertEquals(lives.map((lived) => backoff.next(lived)), delays);
});

// Permissions of a program, and those that its workers get.
const NAMES = "TINY_LISTENER_SUPERVISOR";
const PERMISSIONS: [given: string, passed: string][] = [
  ["", `--allow-env=${NAMES}`],
  ["--allow-all", "--allow-all"],
  ["--allow-net --allow-env --allow-run", "--allow-net --allow-env --allow-run"],
  ["--allow-net=127.0.0.1:8000", `--allow-net=127.0.0.1:8000 --allow-env=${NAMES}`],
  ["--allow-net=127.0.0.1:8001", `--allow-env=${NAMES}`],
  ["--allow-read=. --allow-write=.", `--allow-read=. --allow-write=. --allow-env=${NAMES}`],
  ["--allow-read --deny-read=/etc", `--allow-read=. --allow-env=${NAMES}`],
  [
    "--allow-sys --allow-ffi --allow-import",
    `--allow-env=${NAMES} --allow-sys --allow-ffi --allow-import`,
  ],
];

for (const [given, passed] of PERMISSIONS) {
  test(`workerCommand() never widens ${given || "no permission"}`, RUN, async () => {
    const flags = given.split(" ").filter((flag) => flag !== "");
    const { stdout } = await run("run", "--no-prompt", ...flags, SUPERVISE.at(-1)!, "command");
    const module = new URL("./workers_program.ts", import.meta.url).href;
    assertEquals(stdout, `run --no-prompt --unstable-net ${passed} --watch ${module} a b\n`);
  });
}

function lines(text: string): string[] {
  return text.trimEnd().split("\n").sort();
}
