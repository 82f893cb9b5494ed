import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type AnyEvent, Listener } from "../../listener.ts";
import { test } from "../needs.ts";
import { run } from "../program.ts";

class App extends Listener {
  readonly failures: string[] = [];
  reported = Promise.withResolvers<void>();

  protected override reportFailure(event: AnyEvent, error: unknown): void {
    this.failures.push(`${event.route.name}: ${event.path}: ${(error as Error).message}`);
    this.reported.resolve();
  }
}

function failingApp(): App {
  const app = new App();
  app.onEvent("sync <x>", { name: "sync" }, ({ params }) => {
    throw new Error(params.x);
  });
  app.onEvent("async <x>", { name: "async" }, async ({ params }) => {
    await null;
    throw new Error(params.x);
  });
  return app;
}

/** Resolves after whatever was left for the end of this turn of the event loop has run. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(() => setImmediate(() => resolve()), 0));
}

Deno.test("EventTask is settled on return where nothing had to be waited for", () => {
  const app = failingApp();
  app.onEvent("ok", () => "result");
  const ok = app.triggerEvent("ok");
  assertEquals([ok.status, ok.event.result, ok.event.isDone], ["fulfilled", "result", true]);
  const failed = app.triggerEvent("sync x");
  const outcomes: string[] = [];
  failed.onSettled(({ status, reason }) => outcomes.push(`${status} ${reason}`));
  assertEquals(outcomes, ["rejected Error: x"]);
});

Deno.test("EventTask.onSettled() calls back when the event is over", async () => {
  const app = new App();
  const go = Promise.withResolvers<string>();
  app.onEvent("go", () => go.promise);
  const task = app.triggerEvent("go");
  const settled = Promise.withResolvers<string>();
  task.onSettled(({ status, event }) => settled.resolve(`${status} ${event.result}`));
  assertEquals(task.status, "pending");
  go.resolve("x");
  assertEquals(await settled.promise, "fulfilled x");
});

Deno.test("EventTask is awaited as a promise is, any number of times", async () => {
  const app = failingApp();
  app.onEvent("ok <x>", async ({ params }) => await params.x);
  const task = app.triggerEvent("ok 1");
  assertEquals(String(task), "[object EventTask]");
  assertEquals([await task, await task], ["1", "1"]);
  assertEquals(await task.then((x) => `${x}!`), "1!");
  let isFinal = false;
  assertEquals(await task.finally(() => isFinal = true), "1");
  assert(isFinal);
  assertEquals(await app.triggerEvent("async x").catch((error) => error.message), "x");
  assertEquals(await Promise.all([app.triggerEvent("ok a"), app.triggerEvent("ok b")]), ["a", "b"]);
});

Deno.test("EventTask that a handler returns is awaited, and its failure is the event's", async () => {
  const app = failingApp();
  app.onEvent("outer", ({ ctx }) => ctx.triggerEvent("async inner"));
  await assertRejects(() => app.triggerEvent("outer"), Error, "inner");
  await nextTurn();
  assertEquals(app.failures, []);
});

Deno.test("EventTask whose failure nobody awaits is reported once, with route and path", async () => {
  const app = failingApp();
  app.triggerEvent("sync a");
  app.triggerEvent("sync b");
  await app.reported.promise;
  assertEquals(app.failures, ["sync: sync a: a", "sync: sync b: b"]);
  app.reported = Promise.withResolvers();
  app.triggerEvent("async c");
  await app.reported.promise;
  assertEquals(app.failures.slice(2), ["async: async c: c"]);
});

Deno.test("EventTask that is awaited some microtasks later is not reported", async () => {
  const app = failingApp();
  const task = app.triggerEvent("sync a");
  for (let i = 0; i < 100; i++) await null;
  await assertRejects(() => task, Error, "a");
  await nextTurn();
  assertEquals(app.failures, []);
});

const BROKEN: [what: string, report: () => void][] = [
  ["throws", () => {
    throw new Error("log is closed");
  }],
  ["rejects", () => Promise.reject(new Error("log is closed"))],
];
for (const [what, report] of BROKEN) {
  Deno.test(`reportFailure() that ${what} is logged with what it was given, and all else goes on`, async () => {
    class App extends Listener {
      protected override reportFailure(): void {
        return report();
      }
    }
    const app = new App();
    app.onEvent("fail <why>", ({ params }) => {
      throw new Error(params.why);
    });
    app.onEvent("go", () => "result");
    app.finallyEvent(({ path }) => {
      if (path === "go") throw new Error("finally");
    });
    const { error } = console;
    const logged: string[] = [];
    const all = Promise.withResolvers<void>();
    console.error = (message, cause, failure) => {
      logged.push(`${message} ${cause.message}, ${failure.message}`);
      if (logged.length === 3) all.resolve();
    };
    try {
      assertEquals(await app.triggerEvent("go"), "result");
      app.triggerEvent("fail a");
      app.triggerEvent("fail b");
      await all.promise;
    } finally {
      console.error = error;
    }
    const line = (event: string, why: string): string =>
      `Cannot report the failure of event ${event}: reportFailure() failed itself; both errors: log is closed, ${why}`;
    assertEquals(logged, [
      line('"go" ("go")', "finally"),
      line('"fail <why>" ("fail a")', "a"),
      line('"fail <why>" ("fail b")', "b"),
    ]);
  });
}

Deno.test("Listener.reportFailure() logs with console.error and escapes the path", async () => {
  const app = new Listener();
  app.onEvent("go <x:path>", { name: "go" }, () => {
    throw new Error("no");
  });
  const { error } = console;
  const logged = Promise.withResolvers<unknown[]>();
  console.error = (...args) => logged.resolve(args);
  try {
    app.triggerEvent("go \n\x1b[31m");
    const [line, thrown] = await logged.promise;
    assertEquals(line, 'Cannot finish event "go" ("go \\n\\u001b[31m"):');
    assertEquals((thrown as Error).message, "no");
  } finally {
    console.error = error;
  }
});

// Events that trigger events without end, and what they are told by.
const ENDLESS: [what: string, define: (app: App) => void][] = [
  ["handlers", (app) => {
    app.onEvent("go", ({ ctx }) => void ctx.triggerEvent("go"));
  }],
  ["finally hooks", (app) => {
    app.onEvent("go", () => {});
    app.finallyEvent(({ path }) => path === "go" && void app.triggerEvent("go"));
  }],
];
for (const [what, define] of ENDLESS) {
  Deno.test(`${what} that trigger events until the stack is full are reported, and so are later failures`, async () => {
    const app = new App();
    define(app);
    app.onEvent("fail", () => {
      throw new Error("later");
    });
    app.triggerEvent("go");
    await nextTurn();
    assert(app.failures.length > 0);
    for (const failure of app.failures) assertStringIncludes(failure, "call stack");
    app.triggerEvent("fail");
    await nextTurn();
    assertStringIncludes(app.failures.at(-1)!, "later");
  });
}

test("EventTask whose failure nobody awaits does not end the process", {
  permissions: ["run"],
}, async () => {
  const program = `
    import { Listener } from ${JSON.stringify(import.meta.resolve("../../listener.ts"))};
    const app = new Listener();
    app.onEvent("sync", () => { throw new Error("one"); });
    app.onEvent("async", async () => { await null; throw new Error("two"); });
    app.triggerEvent("sync");
    app.triggerEvent("async");
    setTimeout(() => console.log("alive"), 10);
  `;
  const { code, stdout, stderr } = await run("eval", program);
  assertEquals([code, stdout], [0, "alive\n"]);
  assertStringIncludes(stderr, 'Cannot finish event "sync" ("sync"): Error: one');
  assertEquals(stderr.split("Error: two").length, 2);
});
