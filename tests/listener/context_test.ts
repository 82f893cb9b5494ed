import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Context, ContextNotFound, depends, Listener } from "../../listener.ts";

function newApp(): Listener {
  const app = new Listener();
  app.onEvent("a <x>", { name: "a" }, ({ params }) => params.x);
  app.onEvent("b", { name: "b" }, () => "b");
  return app;
}

Deno.test("Context.events has the events by route, oldest first", () => {
  const app = newApp();
  const ctx = app.newCtx();
  const [a, b] = [app.getRoute("a"), app.getRoute("b")];
  assertEquals(ctx.events.size, 0);
  const first = ctx.triggerEvent("a 1").event;
  assertEquals(ctx.events, new Map([[a, [first]]]));
  const events = [ctx.triggerEvent("b").event, ctx.triggerEvent("a 2").event];
  assertEquals(ctx.events.get(a), [first, events[1]]);
  assertEquals(ctx.events.get(b), [events[0]]);
});

Deno.test("Context.events has events made before it was asked for", () => {
  const app = newApp();
  const ctx = app.newCtx();
  const events = ["a 1", "a 2"].map((path) => ctx.triggerEvent(path).event);
  assertEquals(ctx.events.get(app.getRoute("a")), events);
});

Deno.test("Context.newEvent() makes an event that has not run", () => {
  const app = newApp();
  const ctx = app.newCtx();
  const route = app.getRoute("a");
  const event = ctx.newEvent(route, { params: { x: "1" }, data: 2 });
  assertEquals([event.running, event.isDone, event.data, event.path], [false, false, 2, "a <x>"]);
  assertEquals(ctx.events.get(route), [event]);
});

Deno.test("Context.trigger() runs an event of a route without looking for it", async () => {
  const app = newApp();
  const task = app.newCtx().trigger(app.getRoute("a"), { params: { x: "1" }, path: "from where" });
  assertEquals([await task, task.event.path], ["1", "from where"]);
});

Deno.test("Context.drop() takes the context and its events out of the listener", () => {
  const app = newApp();
  for (const ctx of [app.newCtx({ cid: "x" }), app.newCtx()]) {
    ctx.triggerEvent("b");
    const { cid } = ctx;
    assert(ctx.isAlive);
    ctx.drop();
    ctx.drop();
    assert(!ctx.isAlive && !app.ctxs.has(cid));
    assertEquals([ctx.cid, ctx.events.size], [cid, 0]);
    assertThrows(
      () => ctx.triggerEvent("b"),
      ContextNotFound,
      "it was dropped; create another one with newCtx()",
    );
    assertThrows(() => ctx.newEvent(app.getRoute("b")), ContextNotFound);
  }
  assertEquals(app.ctxs.size, 0);
});

Deno.test("Context.drop() leaves scope and cache to the events that still run", async () => {
  const app = newApp();
  let made = 0;
  const db = depends(() => `connection ${++made}`);
  const mail = depends(() => ++made);
  const seen: unknown[] = [];
  app.onEvent("query", async (event) => {
    await event.use(db);
    try {
      await aborted(event.signal);
    } finally {
      seen.push(event.ctx.scope.user, await event.use(db));
    }
  });
  app.finallyEvent(({ ctx }) => seen.push(ctx.scope.user));
  const ctx = app.newCtx({ scope: { user: "bob" } });
  const task = ctx.triggerEvent("query");
  await task.event.use(db);
  ctx.drop();
  await assertRejects(() => task, DOMException, "aborted");
  assertEquals(seen, ["bob", "connection 1", "bob"]);
  await assertRejects(() => task.event.use(mail), ContextNotFound, "it was dropped");
  assertEquals(made, 1);
});

/** Rejects when `signal` is aborted, with its reason. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

Deno.test("Context.drop() of a context whose id was given again leaves the new one alone", () => {
  const app = newApp();
  const old = app.newCtx({ cid: "x" });
  old.drop();
  const now = app.newCtx({ cid: "x" });
  old.drop();
  assertStrictEquals(app.getCtx("x"), now);
});

Deno.test("Context.drop() of a context that newCtx() did not make leaves that of the same id alone", () => {
  const app = newApp();
  const ctx = app.newCtx({ cid: "x" });
  new Context(app, { cid: "x" }).drop();
  assertStrictEquals(app.getCtx("x"), ctx);
});

Deno.test("Context.scope is the object that was given", () => {
  const scope = { user: "bob" };
  assertStrictEquals(newApp().newCtx({ scope }).scope, scope);
});
