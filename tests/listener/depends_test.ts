import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Context, depends, type Event, Listener, TimeoutError } from "../../listener.ts";

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
    "Cannot use dependency: not made after 1 ms",
  );
  assertEquals(await app.triggerEvent("fast"), "fast");
});

Deno.test("depends() refuses a timeout that is none", () => {
  assertThrows(() => depends(() => 1, { timeout: NaN }), RangeError, "Cannot set timeout to NaN");
});

Deno.test("Context.cache holds what dependencies made until the context is dropped", async () => {
  const one = depends(() => 1);
  const app = new Listener();
  app.onEvent("go", (event) => event.use(one));
  const ctx = app.newCtx();
  await ctx.triggerEvent("go");
  assertEquals([...ctx.cache.keys()], [one]);
  ctx.drop();
  assertEquals(ctx.cache.size, 0);
});
