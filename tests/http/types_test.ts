// What an editor knows of an application: most of these tests pass by compiling.

import { assertEquals, assertThrows } from "@std/assert";
import {
  type BuiltinConverters,
  Context,
  depends,
  type Event,
  type Handler,
  HTTPContext,
  HTTPListener,
  type Listener,
  type RequestHook,
} from "../../mod.ts";
import { testClient } from "../../testing.ts";
import { inspector } from "../../inspector.ts";
import { telemetry } from "../../telemetry.ts";
import { addRoute } from "../listener/add_route.ts";

/** `true` where A and B are the same type, not merely assignable. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

class AppContext extends HTTPContext {
  user: string | null = null;

  requireUser(): string {
    return this.user ?? this.throw404("no such user");
  }
}

function newApp(): HTTPListener<AppContext> {
  return new HTTPListener<AppContext>({ accessLog: false }).setContextClass(AppContext);
}

Deno.test("HTTPListener gives handlers the application's own context", async () => {
  const app = newApp();
  app.onEvent("GET:/<name>/<page:int>", ({ ctx, params }) => {
    true satisfies Same<typeof ctx, AppContext>;
    true satisfies Same<typeof params, { name: string; page: number }>;
    ctx.user satisfies string | null;
    // @ts-expect-error the context has no <token>
    ctx.token;
    // @ts-expect-error the pattern has no <id>
    params.id;
    ctx.user = params.name;
    ctx.response(200, ctx.requireUser());
  });
  assertEquals(await (await app.fetch("/bob/1")).text(), "bob");
});

Deno.test("HTTPListener gives hooks the application's own context", async () => {
  const app = newApp();
  const seen: unknown[] = [];
  app.beforeEvent(({ ctx }) => {
    true satisfies Same<typeof ctx, AppContext>;
    ctx.user = "alice";
  });
  app.afterEvent(({ ctx }) => seen.push(ctx.user satisfies string | null));
  app.finallyEvent(({ ctx }) => seen.push(ctx.user satisfies string | null));
  app.onError(RangeError, ({ ctx }, error) => {
    error satisfies RangeError;
    // @ts-expect-error an error has no status
    error.status;
    ctx.response(422, ctx.requireUser());
  });
  app.aroundRequest(async (ctx, next) => {
    true satisfies Same<typeof ctx, AppContext>;
    await next();
    ctx.route?.pattern satisfies string | undefined;
    seen.push(ctx.user);
  });
  app.onEvent("GET:/", () => {
    throw new RangeError("no");
  });
  assertEquals(await (await app.fetch("/")).text(), "alice");
  assertEquals(seen, ["alice", "alice"]);
});

Deno.test("depends() gives what it makes, for the contexts it was declared for", async () => {
  const getUser = depends(async ({ ctx }: Event<AppContext>) => {
    await null;
    return { name: ctx.requireUser() };
  });
  const getLength = depends(async (event: Event<AppContext>) => {
    return (await event.use(getUser)).name.length;
  });
  const app = newApp();
  app.onEvent("GET:/<name>", async (event) => {
    event.ctx.user = event.params.name;
    const user = await event.use(getUser);
    true satisfies Same<typeof user, { name: string }>;
    const length = await event.use(getLength);
    true satisfies Same<typeof length, number>;
    return new Response(`${user.name} ${length}`);
  });
  new HTTPListener().onEvent("GET:/", async (event) => {
    // @ts-expect-error the contexts of this listener have no user
    await event.use(getUser);
  });
  assertEquals(await (await app.fetch("/bob")).text(), "bob 3");
});

Deno.test("handlers and hooks can be declared apart from the application", async () => {
  const greet: Handler<AppContext, { name: string }> = ({ ctx, params }) => {
    ctx.response(200, `Hello, ${params.name}!`);
  };
  const count: RequestHook<AppContext> = (_, next) => next();
  const app = newApp();
  app.onEvent("GET:/<name>", greet);
  app.aroundRequest(count);
  // @ts-expect-error the pattern has no <name>
  app.onEvent("GET:/a/<id>", { name: "other" }, greet);
  // @ts-expect-error the contexts of this listener have no user
  new HTTPListener().aroundRequest(count);
  assertEquals(await (await app.fetch("/bob")).text(), "Hello, bob!");
});

Deno.test("the application's own context is what ctxs, newCtx() and getCtx() give", () => {
  const app = newApp();
  const ctx = app.newCtx({ cid: "a" });
  true satisfies Same<typeof ctx, AppContext>;
  true satisfies Same<ReturnType<typeof app.getCtx>, AppContext>;
  app.ctxs satisfies ReadonlyMap<string, AppContext>;
  assertEquals(app.getCtx("a").user, null);
  // @ts-expect-error it makes other contexts than those that handlers are promised
  assertThrows(() => app.setContextClass(HTTPContext), TypeError);
});

Deno.test("plugins and the test client take applications of whatever context, and use() gives them back", () => {
  class App extends HTTPListener<AppContext> {
    readonly own = 1;
  }
  const app = new App().use(inspector()).use(telemetry()).use((app) => {
    true satisfies Same<typeof app, App>;
  });
  app.own satisfies 1;
  ((): Promise<unknown> => testClient(app)) satisfies () => Promise<unknown>;
  // @ts-expect-error a plugin is a function of the application
  ((): unknown => app.use(inspector));
  assertEquals(app.routes.has("inspector"), true);
});

Deno.test("what a client sends is unknown until it was checked", () => {
  newApp().onEvent("POST:/", async ({ ctx }) => {
    const body = await ctx.json();
    true satisfies Same<typeof body, unknown>;
    // @ts-expect-error unknown
    body.name;
    // @ts-expect-error a status is a number
    ctx.response("200");
    // @ts-expect-error an object is no body
    ctx.response(200, { a: 1 });
  });
});

Deno.test("HTTPListener.setContextClass() tells the class to all that is registered after", async () => {
  const app = new HTTPListener({ accessLog: false }).setContextClass(AppContext);
  app.aroundRequest((ctx, next) => {
    ctx.user = "alice";
    return next();
  });
  app.onEvent("GET:/", ({ ctx }) => {
    true satisfies Same<typeof ctx, AppContext>;
    return ctx.response(200, ctx.requireUser());
  });
  // @ts-expect-error it is no context of requests
  assertThrows(() => app.setContextClass(Context), TypeError);
  app.setContextClass(AppContext);
  assertEquals(await (await app.fetch("/")).text(), "alice");
});

Deno.test("setContextClass() of a listener whose contexts have that class already keeps it", () => {
  class OwnContext extends AppContext {
    own = 1;
  }
  const app = newApp().setContextClass(AppContext).setContextClass(OwnContext).setContextClass(
    OwnContext,
  );
  app.onEvent("GET:/", ({ ctx }) => {
    true satisfies Same<typeof ctx, OwnContext>;
  });
});

Deno.test("what takes a Listener takes any HTTPListener", () => {
  const named: string[] = [];
  function name(app: Listener): void {
    app.onEvent("health", ({ ctx }) => ctx.cid);
    named.push(...app.routes.keys());
  }
  class App extends HTTPListener<AppContext> {}
  name(new App());
  name(new HTTPListener().setContextClass(AppContext));
  name(new HTTPListener().addConverter("any", { regex: /.*/, parse: (text) => text.length }));
  assertEquals(named, ["health", "health", "health"]);
});

Deno.test("setContextClass() and addConverter() return the listener with the new types, and nothing else", () => {
  const toDate = { regex: /\d+-\d+-\d+/, parse: (text: string) => new Date(text) };
  const app = new HTTPListener().setContextClass(AppContext).addConverter("date", toDate);
  true satisfies Same<typeof app, HTTPListener<AppContext, BuiltinConverters & { date: Date }>>;
  addRoute(app, "GET:/<day:date>", ({ ctx, params }) => {
    true satisfies Same<typeof ctx, AppContext>;
    true satisfies Same<typeof params, { day: Date }>;
  });
});

Deno.test("setContextClass() and addConverter() keep the members that a subclass adds", () => {
  class App extends HTTPListener {
    readonly own = 1;
  }
  const app = new App()
    .setContextClass(AppContext)
    .addConverter("any", { regex: /.*/, parse: (text) => text.length });
  app satisfies App;
  app.own satisfies 1;
  app.onEvent("GET:/<n:any>", ({ ctx, params }) => {
    true satisfies Same<typeof ctx, AppContext>;
    true satisfies Same<typeof params, { n: number }>;
  });
});

Deno.test("what takes an HTTPListener takes one with its own context class or converters", async () => {
  function addHealth(app: HTTPListener): void {
    app.onEvent("GET:/health", ({ ctx }) => ctx.response(200, "up"));
  }
  class App extends HTTPListener<AppContext> {}
  const converter = { regex: /.*/, parse: (text: string) => text.length };
  const apps = [
    newApp(),
    new App(),
    new HTTPListener().setContextClass(AppContext).addConverter("any", converter),
  ];
  for (const app of apps) {
    addHealth(app.use((app) => app.beforeEvent(({ ctx }) => void ctx.method)));
    assertEquals(await (await app.fetch("/health")).text(), "up");
  }
  const plain = new HTTPListener().use(addHealth);
  // @ts-expect-error its contexts are not of that class
  plain satisfies HTTPListener<AppContext>;
});

Deno.test("hooks and plugins for one context class are refused by an application with another", () => {
  const hook = ({ ctx }: Event<AppContext>): void => void ctx.user;
  const errorHook = (_: unknown, ctx: AppContext): void => void ctx.user;
  const responseHook = (response: Response, ctx: AppContext): Response => {
    return new Response(ctx.user, response);
  };
  const plugin = (app: HTTPListener<AppContext>): void => void app.beforeEvent(hook);
  const app = newApp().use(plugin);
  app.onError(Error, hook);
  app.onHTTPError(errorHook);
  app.beforeResponse(responseHook);

  const plain = new HTTPListener();
  // @ts-expect-error the contexts of this listener have no user
  plain.use(plugin);
  // @ts-expect-error nor when a hook of another kind asks for it
  plain.beforeEvent(hook);
  // @ts-expect-error the same
  plain.afterEvent(hook);
  // @ts-expect-error the same
  plain.finallyEvent(hook);
  // @ts-expect-error the same
  plain.onError(Error, hook);
  // @ts-expect-error the same
  plain.onHTTPError(errorHook);
  // @ts-expect-error the same
  plain.beforeResponse(responseHook);
  const apps = new Map<string, HTTPListener>([["own", app], ["plain", plain]]);
  // @ts-expect-error one of them may have other contexts
  apps satisfies Map<string, HTTPListener<AppContext>>;
});

Deno.test("routes in a function of their own know the converters of the application", async () => {
  type Converters = BuiltinConverters & { date: Date };
  function addRoutes(app: HTTPListener<AppContext, Converters>): void {
    app.onEvent("GET:/<day:date>/<n:int>", ({ ctx, params }) => {
      true satisfies Same<typeof params, { day: Date; n: number }>;
      return ctx.response(200, `${params.day.getUTCFullYear()} ${params.n} ${ctx.user}`);
    });
  }
  const app = new HTTPListener()
    .setContextClass(AppContext)
    .addConverter("date", { regex: /\d+-\d+-\d+/, parse: (text) => new Date(text) });
  addRoutes(app);
  app.use(inspector()).use(telemetry());
  assertEquals(await (await app.fetch("/2026-11-29/1")).text(), "2026 1 null");
});
