import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Context,
  type Dependency,
  depends,
  type DependsOptions,
  type Event,
  type EventTask,
  Listener,
  TimeoutError,
} from "../../listener.ts";
import { Unhandled } from "../unhandled.ts";

/** `true` where A and B are the same type, not merely assignable. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

Deno.test("Event.use() makes a dependency once per context, shared by uses at the same time", async () => {
  let made = 0;
  const counter = depends(async () => {
    await null;
    return ++made;
  });
  const app = new Listener();
  app.onEvent("go", (event) => Promise.all([event.use(counter), event.use(counter)]));
  const ctx = app.newCtx();
  assertEquals(await Promise.all([ctx.triggerEvent("go"), ctx.triggerEvent("go")]), [[1, 1], [
    1,
    1,
  ]]);
  assertEquals(await app.newCtx().triggerEvent("go"), [2, 2]);
});

Deno.test("Event.use() makes a dependency at each use with useCache: false", async () => {
  let made = 0;
  const counter = depends(() => ++made, { useCache: false });
  const app = new Listener();
  app.onEvent("go", async (event) => [await event.use(counter), await event.use(counter)]);
  assertEquals(await app.triggerEvent("go"), [1, 2]);
});

Deno.test("a dependency that fails before its event looks is no unhandled rejection", async () => {
  using unhandled = new Unhandled();
  const app = new Listener();
  const failing = depends(() => Promise.reject(new Error("no user")), { useCache: false });
  app.onEvent("go", async (event) => {
    const user = event.use(failing);
    await new Promise((resolve) => setTimeout(resolve));
    return await user;
  });
  await assertRejects(() => app.triggerEvent("go"), Error, "no user");
  assertEquals(unhandled.reasons, []);
});

Deno.test("depends() nests, and is typed by what is returned and by the context", async () => {
  class Session extends Context {
    token = "t";
  }
  const getToken = depends((event: Event<Session>) => event.ctx.token);
  const getUser = depends(async (event: Event<Session>) => ({
    name: `user of ${await event.use(getToken)}`,
  }));
  const app = new Listener<Session>().setContextClass(Session);
  app.onEvent("who <x:int>", async (event) => {
    const user = await event.use(getUser);
    user.name satisfies string;
    return user.name;
  });
  assertEquals(await app.triggerEvent("who 1"), "user of t");
  new Listener().onEvent("x", (event) => {
    // @ts-expect-error the contexts of this listener have no token
    event.use(getToken);
  });
});

Deno.test("depends() without an annotation knows the events of any listener", () => {
  depends((event) => {
    true satisfies Same<typeof event, Event>;
    true satisfies Same<typeof event.ctx, Context>;
    true satisfies Same<typeof event.listener, Listener>;
    true satisfies Same<typeof event.ctx.listener, Listener>;
    // @ts-expect-error a context has no token
    event.ctx.token;
  });
});

Deno.test("Event.use() does not keep a failure", async () => {
  let tries = 0;
  const flaky = depends(() => {
    if (++tries === 1) throw new Error("first");
    return "second";
  });
  const app = new Listener();
  app.onEvent("go", (event) => event.use(flaky));
  const ctx = app.newCtx();
  await assertRejects(() => ctx.triggerEvent("go"), Error, "first");
  assertEquals(await ctx.triggerEvent("go"), "second");
});

Deno.test("Event.use() makes a dependency again where the event that had it made was aborted meanwhile", async () => {
  const runs: PromiseWithResolvers<string>[] = [];
  const page = depends(({ signal }) => {
    const run = Promise.withResolvers<string>();
    signal.addEventListener("abort", () => run.reject(signal.reason));
    runs.push(run);
    return run.promise;
  });
  const app = new Listener();
  app.onEvent("go <x>", (event) => event.use(page));
  const ctx = app.newCtx();
  const [first, second, third] = ["a", "b", "c"].map((x) => ctx.triggerEvent(`go ${x}`));
  third.event.abort(new Error("not now"));
  first.event.abort(new Error("too late"));
  await assertRejects(() => first, Error, "too late");
  await assertRejects(() => third, Error, "too late");
  assertEquals(runs.length, 2);
  runs[1].resolve("page");
  assertEquals(await second, "page");
});

Deno.test("Event.use() hands on why a dependency failed to all events that share the run", async () => {
  const run = Promise.withResolvers<void>();
  const page = depends(() => run.promise);
  const app = new Listener();
  app.onEvent("go <x>", (event) => event.use(page));
  const ctx = app.newCtx();
  const tasks = ["a", "b"].map((x) => ctx.triggerEvent(`go ${x}`));
  run.reject(new Error("no page"));
  for (const task of tasks) await assertRejects(() => task, Error, "no page");
});

const CYCLES: [
  what: string,
  uses: Record<string, string>,
  options: DependsOptions,
  chain: string,
][] = [
  ["itself", { a: "a" }, {}, "a -> a"],
  ["one that uses it", { a: "b", b: "a" }, { timeout: 1e6 }, "a -> b -> a"],
  ["one without a name that uses it", { a: "", "": "a" }, {}, "a -> unnamed -> a"],
  [
    "itself by two others, without a cache",
    { a: "b", b: "c", c: "a" },
    { useCache: false },
    "a -> b -> c -> a",
  ],
];
for (const [what, uses, options, chain] of CYCLES) {
  Deno.test(`Event.use() refuses a dependency that uses ${what}`, async () => {
    const dependencies: Record<string, Dependency<unknown>> = {};
    for (const [name, used] of Object.entries(uses)) {
      const functions = { [name]: async (event: Event) => await event.use(dependencies[used]) };
      dependencies[name] = depends(functions[name], options);
    }
    const app = new Listener();
    app.onEvent("go", (event) => event.use(dependencies.a));
    await assertRejects(
      () => app.triggerEvent("go"),
      TypeError,
      `Cannot use dependency "a" for event "go" ("go"): it uses itself (${chain})`,
    );
  });
}

Deno.test("Event.use() gives one dependency to several that another one uses", async () => {
  const base = depends(() => 1);
  const left = depends(async (event) => await event.use(base) + 1);
  const right = depends(async (event) => await event.use(base) + 2);
  const top = depends((event) => Promise.all([event.use(left), event.use(right)]));
  const app = new Listener();
  app.onEvent("go", (event) => event.use(top));
  assertEquals(await app.triggerEvent("go"), [2, 3]);
});

Deno.test("Event.use() waits for a dependency that has triggered the event", async () => {
  const tasks: EventTask[] = [];
  const announced = depends(({ ctx }) => {
    tasks.push(ctx.triggerEvent("announce"));
    return "made";
  });
  const app = new Listener();
  app.onEvent("announce", (event) => event.use(announced));
  app.onEvent("go", (event) => event.use(announced));
  assertEquals(await app.triggerEvent("go"), "made");
  assertEquals(await Promise.all(tasks), ["made"]);
});

Deno.test("depends() with a timeout rejects with TimeoutError when it is over", async () => {
  const never = Promise.withResolvers<void>();
  const getSlow = depends(() => never.promise, { timeout: 1 });
  const getFast = depends(() => "fast", { timeout: 1e6 });
  const app = new Listener();
  app.onEvent("slow", (event) => event.use(getSlow));
  app.onEvent("fast", (event) => event.use(getFast));
  await assertRejects(
    () => app.triggerEvent("slow"),
    TimeoutError,
    'Cannot use dependency for event "slow" ("slow"): not ready after 1 ms',
  );
  assertEquals(await app.triggerEvent("fast"), "fast");
});

Deno.test("depends() refuses a timeout that is none", () => {
  assertThrows(() => depends(() => 1, { timeout: NaN }), RangeError, "Cannot set timeout to NaN");
});

Deno.test("depends() refuses what is no function", () => {
  const make = "x" as unknown as () => void;
  const message = 'Cannot create a dependency: the argument must be a function, got "x"';
  assertThrows(() => depends(make), TypeError, message);
});

Deno.test("Event.use() rejects for what is no dependency", async () => {
  const app = new Listener();
  const message = "Cannot use the dependency: it must be created with depends(fn)";
  app.onEvent("go", async (event) => {
    const wrong = (() => 1) as unknown as Dependency<number>;
    const using = event.use(wrong);
    await assertRejects(() => using, TypeError, message);
  });
  await app.triggerEvent("go");
});

Deno.test("Context.cache holds what dependencies made", async () => {
  const one = depends(() => 1);
  const app = new Listener();
  app.onEvent("go", (event) => event.use(one));
  const ctx = app.newCtx();
  await ctx.triggerEvent("go");
  assertEquals([...ctx.cache.keys()], [one]);
});
