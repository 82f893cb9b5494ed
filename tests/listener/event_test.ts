import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type Context,
  ContextNotFound,
  depends,
  type Event,
  EventAlreadyDone,
  EventDataError,
  EventNotFound,
  Listener,
  TimeoutError,
} from "../../listener.ts";
import { Unhandled } from "../unhandled.ts";

/** A listener whose events "work <x>" wait to be told how they end. */
function workshop(): { app: Listener; jobs: Map<string, PromiseWithResolvers<unknown>> } {
  const app = new Listener();
  const jobs = new Map<string, PromiseWithResolvers<unknown>>();
  app.onEvent("work <x>", { name: "work" }, ({ params }) => {
    const job = Promise.withResolvers<unknown>();
    jobs.set(params.x, job);
    return job.promise;
  });
  app.onEvent("other <x>", { name: "other" }, ({ params }) => params.x);
  return { app, jobs };
}

Deno.test("Event carries what a handler needs", async () => {
  const app = new Listener();
  const ctx = app.newCtx();
  let event: Event | undefined;
  const route = app.onEvent("save <x:int>", (e) => {
    event = e;
    assert(e.running && !e.isDone && e.autoDone);
    return "saved";
  });
  await ctx.triggerEvent("save 1", { data: { age: 35 } });
  assert(event !== undefined);
  assertStrictEquals(event.ctx, ctx);
  assertStrictEquals(event.listener, app);
  assertStrictEquals(event.route, route);
  assertEquals(event.params, { x: 1 });
  assertEquals(event.path, "save 1");
  assertEquals(event.data, { age: 35 });
  assertEquals([event.result, event.error], ["saved", undefined]);
  assertEquals([event.running, event.isDone], [false, true]);
});

Deno.test("Event.data is what the data option of the route made of it", async () => {
  const app = new Listener();
  const toAge = (data: unknown): number => {
    if (typeof data !== "number") throw new TypeError("must be a number");
    return data + 1;
  };
  app.onEvent("born", { data: toAge }, ({ data }) => data);
  assertEquals(await app.triggerEvent("born", { data: 35 }), 36);
  const error = await assertRejects(
    () => app.triggerEvent("born"),
    EventDataError,
    'Cannot accept the data of event "born" ("born"): must be a number',
  );
  assert(error.cause instanceof TypeError);
});

Deno.test("Event.data is waited for where the data option of the route returns a promise", async () => {
  using unhandled = new Unhandled();
  const app = new Listener();
  const toAge = async (data: unknown): Promise<number> => {
    await null;
    if (typeof data !== "number") throw new TypeError("must be a number");
    return data + 1;
  };
  const ages: unknown[] = [];
  app.beforeEvent(async ({ data }) => {
    await new Promise((resolve) => setTimeout(resolve));
    ages.push(data);
  });
  app.onEvent("born", { data: toAge }, ({ data }) => data satisfies number);
  assertEquals(await app.triggerEvent("born", { data: 35 }), 36);
  await assertRejects(() => app.triggerEvent("born"), EventDataError, "must be a number");
  assertEquals([ages, unhandled.reasons], [[36], []]);
});

Deno.test("Event.data that is checked too late leaves an event that failed alone", async () => {
  const app = new Listener();
  const check = Promise.withResolvers<number>();
  app.onEvent("born", { data: () => check.promise }, () => "ran");
  const task = app.triggerEvent("born", { timeout: 1 });
  await assertRejects(() => task, TimeoutError);
  check.resolve(1);
  await check.promise;
  assertEquals(task.event.result, undefined);
});

Deno.test("Event.data that is refused by something without a text fails the event all the same", async () => {
  const app = new Listener();
  const data = (): never => {
    throw Object.create(null);
  };
  app.onEvent("go", { data }, () => {});
  const message = 'Cannot accept the data of event "go" ("go"): the thrown value cannot be shown';
  await assertRejects(() => app.triggerEvent("go"), EventDataError, message);
});

Deno.test("Event.preventAutoDone() leaves done() to the application", async () => {
  const app = new Listener();
  app.onEvent("go", (event) => {
    event.preventAutoDone();
    return 1;
  });
  const task = app.triggerEvent("go");
  const { event } = task;
  assertEquals(await task, 1);
  assertEquals([event.running, event.isDone, event.autoDone], [false, false, false]);
  const waiting = event.waitUntilDone();
  event.done();
  assertEquals([await waiting, event.isDone], [1, true]);
  assertThrows(() => event.done(), EventAlreadyDone, 'Cannot call done() on event "go" ("go")');
});

Deno.test("Event.done() in the handler wakes those who wait while it runs on", async () => {
  const app = new Listener();
  const go = Promise.withResolvers<void>();
  app.onEvent("go", async (event) => {
    event.done("early");
    await go.promise;
  });
  const { event } = app.triggerEvent("go");
  assertEquals(await event.waitUntilDone(), "early");
  assert(event.running);
  go.resolve();
  await Promise.resolve();
  assertEquals(event.result, "early");
});

Deno.test("Event.done() in the handler gives the result, where the handler returns none", async () => {
  const app = new Listener();
  app.onEvent("go", (event) => event.done("early"));
  const task = app.triggerEvent("go");
  assertEquals([await task, task.event.result], ["early", "early"]);
});

Deno.test("Event.done() in the handler fixes what those get who wait, whatever the handler returns", async () => {
  const app = new Listener();
  const go = Promise.withResolvers<string>();
  app.onEvent("go", (event) => {
    event.done("early");
    return go.promise;
  });
  const ctx = app.newCtx();
  const task = ctx.triggerEvent("go");
  const { event } = task;
  const results = [await event.waitUntilDone()];
  go.resolve("returned");
  assertEquals([await task, event.result], ["returned", "returned"]);
  results.push(await event.waitUntilDone(), ...await event.waitEventDone("go"));
  assertEquals(results, ["early", "early", "early"]);
});

for (const later of [false, true]) {
  Deno.test(`Event.done() in a before hook${later ? ", later," : ""} leaves the handler out`, async () => {
    const app = new Listener();
    const ran: string[] = [];
    app.beforeEvent(async (event) => {
      if (later) await null;
      event.done("denied");
    });
    app.beforeEvent(() => void ran.push("before"));
    app.onEvent("work", () => void ran.push("handler"));
    app.afterEvent(({ result }) => void ran.push(`after ${result}`));
    assertEquals([await app.triggerEvent("work"), ran], ["denied", ["after denied"]]);
  });
}

Deno.test("Event that fails is done, also with preventAutoDone()", async () => {
  const app = new Listener();
  app.onEvent("go", (event) => {
    event.preventAutoDone();
    throw new Error("no");
  });
  const task = app.triggerEvent("go");
  await assertRejects(() => task, Error, "no");
  assertEquals([task.event.isDone, await task.event.waitUntilDone()], [true, undefined]);
});

Deno.test("Event.waitEventDone() waits for events to come, and counts those that came", async () => {
  const { app, jobs } = workshop();
  const ctx = app.newCtx();
  const { event } = ctx.triggerEvent("other x");
  const one = event.waitEventDone("work");
  const two = event.waitEventDone("work", { n: 2 });
  for (const x of ["a", "b", "c"]) ctx.triggerEvent(`work ${x}`);
  jobs.get("b")!.resolve("B");
  assertEquals(await one, ["B"]);
  jobs.get("a")!.resolve("A");
  assertEquals(await two, ["A", "B"]);
  jobs.get("c")!.resolve("C");
  assertEquals(await event.waitEventDone("work", { n: 3 }), ["A", "B", "C"]);
  assertEquals(await event.waitEventDone("work"), ["A"]);
});

Deno.test("Event.waitEventDone() has the results where the context is dropped as soon as they are there", async () => {
  const { app } = workshop();
  const ctx = app.newCtx();
  const waiting = ctx.triggerEvent("work a").event.waitEventDone("other");
  ctx.triggerEvent("other x");
  ctx.drop();
  assertEquals(await waiting, ["x"]);
});

Deno.test("Event.waitEventDone() ends with its event, where it has no timeout", async () => {
  const { app, jobs } = workshop();
  const ctx = app.newCtx();
  const { event } = ctx.triggerEvent("work a");
  const timed = event.waitEventDone("other", { timeout: 1e6 });
  const waiting = event.waitEventDone("other");
  jobs.get("a")!.resolve("A");
  await assertRejects(() => waiting, DOMException, 'event "work" ("work a") is over');
  ctx.triggerEvent("other x");
  assertEquals(await timed, ["x"]);
});

Deno.test("Event.waitEventDone() ends when the context of the event is let go of", async () => {
  const { app, jobs } = workshop();
  const { event } = app.triggerEvent("work a");
  const waiting = event.waitEventDone("other", { timeout: 1e6 });
  jobs.get("a")!.resolve("A");
  assertEquals(await event.waitUntilDone(), "A");
  assertEquals(app.ctxs.size, 0);
  await assertRejects(() => waiting, ContextNotFound);
});

Deno.test("Event.waitEventDone() does not wait where the context of the event was let go of", async () => {
  const { app, jobs } = workshop();
  const { event } = app.triggerEvent("other x");
  assertEquals(await event.waitEventDone("other"), ["x"]);
  await assertRejects(() => event.waitEventDone("work"), ContextNotFound);
  event.ctx.triggerEvent("work a");
  const waiting = event.waitEventDone("work");
  jobs.get("a")!.resolve("A");
  assertEquals(await waiting, ["A"]);
});

Deno.test("waits that nobody awaits end without an unhandled rejection", async () => {
  using unhandled = new Unhandled();
  const { app } = workshop();
  const ctx = app.newCtx();
  const { event } = ctx.triggerEvent("work a");
  void event.waitUntilDone();
  void event.waitEventDone("other");
  void event.waitEventDone("other", { timeout: 0 });
  await new Promise((resolve) => setTimeout(resolve));
  ctx.drop();
  // Also those that begin too late.
  void event.waitUntilDone();
  void event.waitEventDone("other");
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(unhandled.reasons, []);
});

Deno.test("Event.waitEventDone() in an event that was aborted is no unhandled rejection", async () => {
  using unhandled = new Unhandled();
  const { app } = workshop();
  const { event } = app.newCtx().triggerEvent("work a");
  event.abort(new Error("enough"));
  const waiting = event.waitEventDone("other");
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(unhandled.reasons, []);
  await assertRejects(() => waiting, Error, "enough");
});

Deno.test("Event.waitEventDone() does not take events of other contexts", async () => {
  const { app } = workshop();
  const { event } = app.newCtx().triggerEvent("other x");
  const waiting = event.waitEventDone("other", { n: 2, timeout: 20 });
  app.newCtx().triggerEvent("other y");
  await assertRejects(
    () => waiting,
    TimeoutError,
    'Cannot wait for 2 events of "other": 1 done after 20 ms',
  );
});

Deno.test("Event.waitEventDone() has undefined in the place of an event that failed", async () => {
  const { app, jobs } = workshop();
  const ctx = app.newCtx();
  const task = ctx.triggerEvent("work a");
  jobs.get("a")!.reject(new Error("no"));
  await assertRejects(() => task, Error, "no");
  assertEquals(await task.event.waitEventDone("work"), [undefined]);
});

Deno.test("an event has no result where an after hook has failed", async () => {
  const app = new Listener();
  app.onEvent("go", () => 1);
  app.afterEvent(() => {
    throw new Error("no");
  });
  const task = app.triggerEvent("go");
  await assertRejects(() => task, Error, "no");
  assertEquals(await task.event.waitUntilDone(), undefined);
});

Deno.test("what a handler's thenable fulfils with is waited for, and only its first outcome counts", async () => {
  const app = new Listener();
  app.onEvent("go", () => ({
    then(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
      resolve(Promise.resolve(1));
      reject(new Error("too late"));
    },
  }));
  const seen: unknown[] = [];
  app.afterEvent(({ result }) => seen.push(result));
  assertEquals(await app.triggerEvent("go"), 1);
  assertEquals(seen, [1]);
});

Deno.test("Event.waitEventDone() refuses a name no route has, and n below 1", async () => {
  const { app } = workshop();
  const { event } = app.newCtx().triggerEvent("other x");
  await assertRejects(() => event.waitEventDone("x"), EventNotFound, 'Cannot find route "x"');
  for (const n of [0, 1.5]) {
    await assertRejects(() => event.waitEventDone("work", { n }), RangeError, "must be 1 or more");
  }
  await assertRejects(() => event.waitEventDone("work", { timeout: -1 }), RangeError, "timeout");
});

Deno.test("Event.waitUntilDone() rejects when its timeout is over", async () => {
  const { app, jobs } = workshop();
  const task = app.triggerEvent("work a");
  await assertRejects(
    () => task.event.waitUntilDone(1),
    TimeoutError,
    'Cannot wait for event "work" ("work a"): not done after 1 ms',
  );
  jobs.get("a")!.resolve(1);
  assertEquals(await task.event.waitUntilDone(0), 1);
});

Deno.test("Context.drop() ends waiting with ContextNotFound", async () => {
  const { app, jobs } = workshop();
  const ctx = app.newCtx({ cid: "c" });
  const task = ctx.triggerEvent("work a");
  const { event: over } = ctx.triggerEvent("other x");
  const waiting = [
    task.event.waitUntilDone(),
    over.waitEventDone("work"),
    task.event.waitEventDone("other", { n: 2 }),
  ];
  ctx.drop();
  for (const wait of waiting) await assertRejects(() => wait, ContextNotFound, '"c"');
  await assertRejects(() => task.event.waitUntilDone(), ContextNotFound, '"c": it was dropped');
  await assertRejects(() => task.event.waitEventDone("other"), ContextNotFound);
  jobs.get("a")!.resolve(1);
  await task;
});

Deno.test("Event.signal is aborted when the event's timeout is over, and the task rejects", async () => {
  const app = new Listener();
  let reason: unknown;
  app.onEvent("go", ({ signal }) =>
    new Promise((_, reject) => {
      signal.onabort = () => reject(reason = signal.reason);
    }));
  const task = app.triggerEvent("go", { timeout: 1 });
  await assertRejects(
    () => task,
    TimeoutError,
    'Cannot finish event "go" ("go"): still running after 1 ms',
  );
  assertStrictEquals(task.reason, reason);
  assertStrictEquals(task.event.signal.reason, reason);
  assert(task.event.isDone);
});

Deno.test("Event timeout goes through the error hooks, and what comes later has no effect", async () => {
  const { app, jobs } = workshop();
  const errors: unknown[] = [];
  app.onError(TimeoutError, (_event, error) => errors.push(error.name));
  const task = app.triggerEvent("work a", { timeout: 1 });
  assertEquals(await task, undefined);
  jobs.get("a")!.resolve("late");
  await jobs.get("a")!.promise;
  assertEquals([task.event.result, errors], [undefined, ["TimeoutError"]]);
});

Deno.test("Event timeout goes through the error hooks that were there when the event began", async () => {
  const { app } = workshop();
  const task = app.triggerEvent("work a", { timeout: 1 });
  app.onError(TimeoutError, () => {});
  await assertRejects(() => task, TimeoutError, "still running after 1 ms");
  assertEquals(await app.triggerEvent("work b", { timeout: 1 }), undefined);
});

Deno.test("an event is over once it is triggered, where the check of its data does not wait", () => {
  const app = new Listener();
  app.onEvent("go", { data: String }, ({ data }) => data);
  const { status, event } = app.triggerEvent("go", { data: 1 });
  assertEquals([status, event.result], ["fulfilled", "1"]);
});

Deno.test("an event that fails is over once it is triggered, where its error hooks do not wait", () => {
  const app = new Listener();
  app.onError(RangeError, () => 1);
  app.onEvent("go", () => {
    throw new RangeError("no");
  });
  assertEquals(app.triggerEvent("go").status, "fulfilled");
});

Deno.test("Event timeout does not limit the error hooks", async () => {
  const app = new Listener();
  app.onError(RangeError, () => new Promise((resolve) => setTimeout(resolve, 2)));
  app.onEvent("go", () => Promise.reject(new RangeError("no")));
  const task = app.triggerEvent("go", { timeout: 1 });
  await task;
  assertEquals([task.event.isTimedOut, task.event.signal.aborted], [false, false]);
});

Deno.test("Event timeout leaves no timer where the event ends in time", {
  sanitizeOps: true,
}, async () => {
  const { app, jobs } = workshop();
  app.triggerEvent("other x", { timeout: 1e6 });
  const task = app.triggerEvent("work a", { timeout: 1e6 });
  const waiting = task.event.waitEventDone("work", { timeout: 1e6 });
  jobs.get("a")!.resolve(1);
  assertEquals([await task, await waiting], [1, [1]]);
});

Deno.test("options that are undefined are as if not given", async () => {
  const app = new Listener({ shutdownGrace: undefined });
  const none = depends(({ ctx }) => ctx.cid !== "", { timeout: undefined, useCache: undefined });
  const route = app.onEvent("go", { name: undefined, data: undefined }, async (event) => {
    await event.waitEventDone("go", { n: undefined, timeout: undefined });
    return event.use(none);
  });
  const ctx = app.newCtx({ cid: undefined, scope: undefined });
  const options = { timeout: undefined, data: undefined };
  const tasks = [
    app.triggerEvent("go", { cid: undefined, ...options }),
    ctx.triggerEvent("go", options),
    ctx.trigger(route, { params: undefined, path: undefined, ...options }),
  ];
  for (const { event } of tasks) event.done();
  assertEquals(await Promise.all(tasks), [true, true, true]);
});

// The last two are of callers without type checks, who may have read them from a file.
const TIMEOUTS: [timeout: unknown, shown: string][] = [
  [-1, "-1"],
  [NaN, "NaN"],
  [2 ** 31, "2147483648"],
  [-Infinity, "-Infinity"],
  ["5", '"5"'],
  [null, "null"],
];
for (const [timeout, shown] of TIMEOUTS) {
  Deno.test(`triggerEvent() refuses a timeout of ${shown}`, () => {
    const { app } = workshop();
    assertThrows(
      () => app.triggerEvent("other x", { timeout: timeout as number }),
      RangeError,
      `Cannot set timeout to ${shown}: must be a number from 0`,
    );
  });
}

// The longest that a timer takes, and none.
for (const timeout of [2 ** 31 - 1, Infinity]) {
  Deno.test(`triggerEvent() takes a timeout of ${timeout}`, async () => {
    const { app } = workshop();
    assertEquals(await app.triggerEvent("other x", { timeout }), "x");
  });
}

Deno.test("Event.signal is aborted by abort(), and by Context.drop() unless the event is over", async () => {
  const { app, jobs } = workshop();
  const ctx = app.newCtx();
  const [a, b] = [ctx.triggerEvent("work a"), ctx.triggerEvent("work b")];
  const over = ctx.triggerEvent("other x").event;
  const early = a.event.signal;
  a.event.abort("why");
  assertEquals([early.aborted, early.reason], [true, "why"]);
  ctx.drop("gone");
  assertEquals([b.event.signal.aborted, b.event.signal.reason], [true, "gone"]);
  assertEquals(over.signal.aborted, false);
  over.abort();
  assertEquals(over.signal.aborted, true);
  for (const { resolve } of jobs.values()) resolve(1);
  assertEquals(await Promise.all([a, b]), [1, 1]);
});

Deno.test("Event.abort() gives an AbortError as the reason where none is given", async () => {
  const { app, jobs } = workshop();
  const task = app.triggerEvent("work a");
  task.event.abort();
  assertEquals(task.event.signal.reason.name, "AbortError");
  await assertRejects(() => task.event.waitEventDone("other"), DOMException, "aborted");
  jobs.get("a")!.resolve(1);
  await task;
});

Deno.test("a method of an event that is called without the event does not compile", async () => {
  const one = depends(() => 1);
  const app = new Listener();
  // @ts-expect-error use() needs its event
  app.onEvent("use", ({ use }) => use(one));
  // @ts-expect-error waitEventDone() needs its event
  app.onEvent("wait", ({ waitEventDone }) => waitEventDone("use"));
  app.onEvent("done", ({ done }) => {
    // @ts-expect-error done() needs its event
    done(1);
  });
  app.onEvent("all", async (event) => [await event.use(one), event.done()]);
  for (const path of ["use", "wait", "done"]) {
    await assertRejects(async () => await app.triggerEvent(path), TypeError);
  }
  assertEquals(await app.triggerEvent("all"), [1, undefined]);
});

Deno.test("a handler of two routes can call the methods of either event", async () => {
  const one = depends(() => 1);
  const app = new Listener();
  const handler = async (
    event: Event<Context, { id: number }> | Event<Context, { name: string }>,
  ) => {
    event.preventAutoDone();
    event.done(await event.use(one));
    event.abort();
    return await event.waitUntilDone();
  };
  app.onEvent("number <id:int>", { name: "number" }, handler);
  app.onEvent("name <name>", { name: "name" }, handler);
  for (const path of ["number 1", "name a"]) assertEquals(await app.triggerEvent(path), 1);
});
