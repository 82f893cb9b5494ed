// Routes, contexts and hooks of a listener.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type AnyListener,
  Context,
  ContextAlreadyExists,
  ContextNotFound,
  depends,
  EventAlreadyExists,
  EventNotFound,
  Listener,
  PathParamsError,
  type Route,
  RouteError,
  type RouteOptions,
} from "../../listener.ts";

Deno.test("onEvent() names a route by option, else by function, else by pattern", () => {
  const app = new Listener();
  function save(): void {}
  assertEquals(app.onEvent("a", { name: "given" }, save).name, "given");
  assertEquals(app.onEvent("b", save).name, "save");
  assertEquals(app.onEvent("c <x>", () => {}).name, "c <x>");
  assertEquals(app.onEvent(() => {}).name, "<_:path>");
  assertEquals([...app.routes.keys()], ["given", "save", "c <x>", "<_:path>"]);
});

Deno.test("onEvent() keeps the application's own options with the route", () => {
  const route = new Listener().onEvent("a", { name: "a", role: "admin" }, () => {});
  assertEquals(route.options.role, "admin");
});

Deno.test("onEvent() refuses a name that is taken", () => {
  const app = new Listener();
  app.onEvent("a", { name: "x" }, () => {});
  assertThrows(
    () => app.onEvent("b", { name: "x" }, () => {}),
    EventAlreadyExists,
    'Cannot add route "b": the name "x" is taken by "a"; give one of them another name, as in onEvent(pattern, { name }, handler)',
  );
  assertStrictEquals(app.findRoute("b"), null);
});

Deno.test("onEvent() tells of a pattern that is there already, to which no name would help", () => {
  const app = new Listener();
  app.onEvent("a", () => 1);
  assertThrows(
    () => app.onEvent("a", () => 2),
    EventAlreadyExists,
    'Cannot add route "a": it already exists; ' +
      "omit one of them, or first remove the other with removeOnEventHook()",
  );
});

const TAKEN: [first: string, second: string, why: string][] = [
  ["a", "a", "it already exists"],
  ["GET:/users/<id>", "GET:/users/<name>", '"GET:/users/<id>" already matches the same events'],
  [
    "<x:int>-<rest:path>",
    "{n:int}-<_:path>",
    '"<x:int>-<rest:path>" already matches the same events',
  ],
];

const SHADOWED: [earlier: string, later: string][] = [
  ["GET:/user/<name>", "GET:/user/me"],
  ["GET:/<rest:path>", "GET:/user/me"],
  ["<x:int>", "12"],
];
for (const [earlier, later] of SHADOWED) {
  Deno.test(`onEvent() refuses "${later}" after "${earlier}", which would take its events`, () => {
    const app = new Listener();
    app.onEvent(earlier, { name: "earlier" }, () => {});
    const add = (): Route => app.onEvent(later, () => {});
    assertThrows(
      add,
      EventAlreadyExists,
      `Cannot add route "${later}": "${earlier}" already matches its events; register "${later}" first`,
    );
    app.removeOnEventHook("earlier");
    const route = add();
    app.onEvent(earlier, () => {});
    assertStrictEquals(app.findRoute(later)?.route, route);
  });
}

Deno.test("onEvent() refuses a pattern without params after the handler of all other events", () => {
  const app = new Listener();
  app.onEvent(() => {});
  assertThrows(
    () => app.onEvent("GET:/", () => {}),
    EventAlreadyExists,
    'register "GET:/" first',
  );
});

for (const [first, second, why] of TAKEN) {
  Deno.test(`onEvent() refuses "${second}" after "${first}", though the handlers have names`, () => {
    const app = new Listener();
    const one = app.onEvent(first, function list(): void {});
    const addTwo = (): unknown => app.onEvent(second, function show(): void {});
    assertThrows(
      addTwo,
      EventAlreadyExists,
      `Cannot add route "${second}": ${why}; omit one of them`,
    );
    assertEquals([...app.routes.values()], [one]);
    app.removeOnEventHook("list");
    addTwo();
  });
}

Deno.test("onEvent() takes patterns whose params match different texts", () => {
  const app = new Listener();
  for (const pattern of ["a/<x>", "a/<x:int>", "a/<x:path>", "a/<x>/", "<_:path>"]) {
    app.onEvent(pattern, () => {});
  }
  assertEquals(app.routes.size, 5);
});

Deno.test("onEvent() refuses what compilePath() refuses", () => {
  assertThrows(() => new Listener().onEvent("<a:b>", () => {}), RouteError, 'converter "b"');
});

const noop = (): void => {};
/** A value as JavaScript hands it over. */
// deno-lint-ignore no-explicit-any
const any = (value: unknown): any => value;

const NOT_TAKEN: [what: string, register: (app: Listener) => unknown, message: string][] = [
  [
    "onEvent() without a handler",
    (app) => app.onEvent(any("GET:/")),
    'Cannot add route "GET:/": the handler must be a function, got undefined',
  ],
  [
    "onEvent() with text for a handler",
    (app) => app.onEvent("a", any("x")),
    'Cannot add route "a": the handler must be a function, got "x"',
  ],
  [
    "onEvent() with options and no handler",
    (app) => app.onEvent("a", any({ name: "a" })),
    "the handler must be a function, got an object",
  ],
  [
    "onEvent() with the handler before the options",
    (app) => app.onEvent("a", any(noop), any({})),
    'Cannot add route "a": the options must be an object, got a function; they come before the handler, as in onEvent(pattern, { name }, handler)',
  ],
  [
    "onEvent() with null for options",
    (app) => app.onEvent("a", any(null), noop),
    "the options must be an object, got null",
  ],
  [
    "onEvent() with an expression for a pattern",
    (app) => app.onEvent(any(/GET/), noop),
    "Cannot add route: the pattern must be a string, got an object",
  ],
  [
    "onEvent() with options but no pattern",
    (app) => app.onEvent(any(noop), any({})),
    "Cannot add route: the pattern must be a string, got a function",
  ],
  [
    "onEvent() with data that is no function",
    (app) => app.onEvent("a", { data: any(1) }, noop),
    'Cannot add route "a": data must be a function, got 1',
  ],
  [
    "addOnEventHook() without a handler",
    (app) => app.addOnEventHook(any("a")),
    "the handler must be a function",
  ],
  [
    "onError() without a class",
    (app) => app.onError(any(noop), any(undefined)),
    "Cannot add an error hook: the first argument must be an error class, as in onError(Error, hook)",
  ],
  [
    "onError() with the name of a class",
    (app) => app.onError(any("Error"), noop),
    "the first argument must be an error class",
  ],
  [
    "onError() without a hook",
    (app) => app.onError(Error, any(undefined)),
    "Cannot add an error hook: the second argument must be a function, got undefined",
  ],
  [
    "beforeEvent() without a hook",
    (app) => app.beforeEvent(any(undefined)),
    "Cannot call beforeEvent(): the hook must be a function, got undefined",
  ],
  [
    "afterEvent() without a hook",
    (app) => app.afterEvent(any(undefined)),
    "Cannot call afterEvent(): the hook",
  ],
  [
    "finallyEvent() with an array",
    (app) => app.finallyEvent(any([noop])),
    "Cannot call finallyEvent(): the hook must be a function, got an array",
  ],
  [
    "startup() with text",
    (app) => app.startup(any("x")),
    'Cannot call startup(): the hook must be a function, got "x"',
  ],
  [
    "shutdown() without a hook",
    (app) => app.shutdown(any(undefined)),
    "Cannot call shutdown(): the hook",
  ],
  [
    "addConverter() without a converter",
    (app) => app.addConverter("x", any(undefined)),
    'Cannot add converter "x": regex must be a RegExp, got undefined',
  ],
  [
    "addConverter() with text for an expression",
    (app) => app.addConverter("x", any({ regex: "abc" })),
    'Cannot add converter "x": regex must be a RegExp, got "abc"',
  ],
  [
    "addConverter() without parse()",
    (app) => app.addConverter("x", any({ regex: /x/ })),
    'Cannot add converter "x": parse must be a function, got undefined',
  ],
];
for (const [what, register, message] of NOT_TAKEN) {
  Deno.test(`${what} is refused`, () => {
    assertThrows(() => register(new Listener()), TypeError, message);
  });
}

Deno.test("checkRoute() is asked for each route, and refuses what it throws for", () => {
  class Shouting extends Listener {
    protected override checkRoute(pattern: string, _path: string, { quiet }: RouteOptions): void {
      if (!pattern.endsWith("!") && !quiet) {
        throw new RouteError(`Cannot add route "${pattern}": must end in !`);
      }
    }
  }
  const app = new Shouting();
  assertThrows(
    () => app.onEvent("go", () => {}),
    RouteError,
    'Cannot add route "go": must end in !',
  );
  assertEquals(app.onEvent("go!", () => {}).pattern, "go!");
  assertEquals(app.onEvent("go", { quiet: true }, () => {}).pattern, "go");
  assertEquals(app.routes.size, 2);
});

Deno.test("onEvent() with a handler alone catches what no earlier route takes", async () => {
  const app = new Listener();
  app.onEvent("a", () => "a");
  app.onEvent(({ params }) => `all: ${params._}`);
  assertEquals(await app.triggerEvent("a"), "a");
  assertEquals(await app.triggerEvent("any/thing"), "all: any/thing");
});

Deno.test("addOnEventHook() registers as onEvent() does", async () => {
  const app = new Listener();
  app.addOnEventHook("a <x:int>", ({ params }) => params.x satisfies number);
  app.addOnEventHook("b", { name: "b" }, () => "b");
  assertEquals(await app.triggerEvent("a 1"), 1);
  assertEquals(app.getRoute("b").pattern, "b");
});

Deno.test("removeOnEventHook() removes by name, by handler, and says whether there was one", () => {
  const app = new Listener();
  const handler = (): void => {};
  app.onEvent("<x>", { name: "one" }, handler);
  app.onEvent("a<x>", { name: "two" }, handler);
  app.onEvent("<x:path>b", { name: "three" }, () => {});
  assert(app.removeOnEventHook("one"));
  assertEquals(app.findRoute("ab")?.route.name, "two");
  assert(app.removeOnEventHook(handler));
  assertEquals(app.findRoute("ab")?.route.name, "three");
  assert(!app.removeOnEventHook("one"));
  assert(!app.removeOnEventHook(() => {}));
});

Deno.test("getRoute() throws EventNotFound for a name no route has", () => {
  assertThrows(() => new Listener().getRoute("x"), EventNotFound, 'Cannot find route "x"');
});

Deno.test("matchRoute() gives the route and its params, or throws EventNotFound", () => {
  const app = new Listener();
  const route = app.onEvent("a <x:int>", () => {});
  assertEquals(app.matchRoute("a 1"), [route, { x: 1 }]);
  assertThrows(
    () => app.matchRoute("b\n"),
    EventNotFound,
    'Cannot find route for "b\\n": no pattern matches',
  );
});

Deno.test("matchRoute() escapes what is no text in a log: control characters and line separators", () => {
  assertThrows(
    () => new Listener().matchRoute("a\x1b\x7f\x85\x9f\u2028\u2029\xa0"),
    EventNotFound,
    '"a\\u001b\\u007f\\u0085\\u009f\\u2028\\u2029\xa0"',
  );
});

Deno.test("Route.order rises with registration", () => {
  const app = new Listener();
  const [a, b] = [app.onEvent("a", () => {}), app.onEvent("b", () => {})];
  assert(a.order < b.order);
});

const NO_PARAM: [what: string, pattern: string, path: string][] = [
  ["an int above 2^53 - 1", "<n:int>", "9007199254740993"],
  ["a float that is not finite", "<x:float>", "9".repeat(400)],
];
for (const [what, pattern, path] of NO_PARAM) {
  Deno.test(`findRoute() throws PathParamsError for ${what}`, () => {
    const app = new Listener();
    app.onEvent(pattern, () => {});
    const error = assertThrows(() => app.findRoute(path), PathParamsError, "Cannot parse param");
    assert(error.cause instanceof RangeError);
  });
}

Deno.test("decodeParam() is given each param's text before its converter", () => {
  class App extends Listener {
    protected override decodeParam(text: string): string {
      return decodeURIComponent(text);
    }
  }
  const app = new App();
  app.onEvent("<a>/<b:path>", () => {});
  assertEquals(app.findRoute("x%2Fy/%41")?.params, { a: "x/y", b: "A" });
  const error = assertThrows(() => app.findRoute("%/x"), PathParamsError, 'param "a" of "%/x"');
  assert(error.cause instanceof URIError);
});

Deno.test("addConverter() has the expression match what decodeParam() makes of a text, too", () => {
  class App extends Listener {
    protected override decodeParam(text: string): string {
      return decodeURIComponent(text);
    }
  }
  const app = new App().addConverter("file", { regex: /[^./]+/, parse: (text) => text });
  app.onEvent("f/<n:file>", () => {});
  assertEquals(app.findRoute("f/a%20b")?.params, { n: "a b" });
  const error = assertThrows(() => app.findRoute("f/%2e%2e%2fetc"), PathParamsError);
  assertEquals(
    error.message,
    'Cannot parse param "n" of "f/%2e%2e%2fetc": "../etc" does not match /[^./]+/ as a whole',
  );
});

Deno.test("addConverter() takes text that its expression matches as a whole", () => {
  const app = new Listener().addConverter("ab", { regex: /a|ab/gi, parse: (text) => text });
  app.onEvent("<x:ab>/<y:ab>c", ({ params }) => params.x satisfies string);
  assertEquals(app.findRoute("AB/abc")?.params, { x: "AB", y: "ab" });
  assertEquals(app.findRoute("aab/abc"), null);
});

Deno.test("addConverter() hands what parse throws on as the cause of a PathParamsError", () => {
  const cause = new Error("no such day");
  const app = new Listener().addConverter("day", {
    regex: /[0-9]+/,
    parse: () => {
      throw cause;
    },
  });
  app.onEvent("<x:day>", () => {});
  assertStrictEquals(
    assertThrows(() => app.findRoute("99"), PathParamsError, "no such day").cause,
    cause,
  );
});

Deno.test("addConverter() refuses a name that is taken, or is no word", () => {
  const converter = { regex: /x/, parse: (text: string): string => text };
  assertThrows(() => new Listener().addConverter("int", converter), RouteError, "is taken");
  assertThrows(
    () => new Listener().addConverter("a b", converter),
    RouteError,
    "must consist of letters",
  );
});

Deno.test("contexts that live long stay among thousands that live shortly, oldest first", () => {
  const app = new Listener();
  const long = [];
  for (let i = 0; i < 5_000; i++) {
    const ctx = app.newCtx();
    if (i % 1_000 === 7) long.push(ctx);
    else ctx.drop();
  }
  const gone = app.newCtx();
  gone.drop();
  assertEquals([...app.ctxs.values()], long);
  assertEquals(long.map(({ cid }) => app.ctxs.get(cid)), long);
  assert(!app.ctxs.has(gone.cid));
  for (const ctx of app.ctxs.values()) ctx.drop();
  assertEquals(app.ctxs.size, 0);
});

Deno.test("Listener.ctxs leaves out the contexts that are dropped while it is iterated", () => {
  const app = new Listener();
  const all = [app.newCtx({ cid: "a" }), app.newCtx({ cid: "b" }), app.newCtx(), app.newCtx()];
  const seen = [];
  for (const ctx of app.ctxs.values()) {
    seen.push(ctx);
    if (ctx === all[0]) all[1].drop();
    if (ctx === all[2]) all[3].drop();
  }
  assertEquals(seen, [all[0], all[2]]);
});

Deno.test("newCtx() makes ids that differ, and takes one that is given", () => {
  const app = new Listener();
  const [a, b, c] = [app.newCtx(), app.newCtx(), app.newCtx({ cid: "c" })];
  assert(a.cid !== b.cid && a.cid !== "");
  assertEquals(c.cid, "c");
  assertStrictEquals(app.getCtx(a.cid), a);
  assertStrictEquals(app.getCtx("c"), c);
  assertEquals(app.ctxs.size, 3);
  assertEquals(new Set(app.ctxs.keys()), new Set([a.cid, b.cid, "c"]));
  assertEquals(new Map(app.ctxs), new Map([[a.cid, a], [b.cid, b], ["c", c]]));
  assert(app.ctxs.has(b.cid) && !app.ctxs.has("d"));
  const seen: unknown[] = [];
  app.ctxs.forEach((ctx, cid) => seen.push(ctx.cid === cid));
  assertEquals(seen, [true, true, true]);
});

Deno.test("newCtx() makes up no id that was given before", () => {
  const app = new Listener();
  const [prefix, serial] = app.newCtx().cid.split("-");
  const after = (n: number): string => `${prefix}-${(parseInt(serial, 36) + n).toString(36)}`;
  const given = [app.newCtx({ cid: after(1) }), app.newCtx({ cid: after(2) })];
  const madeUp = [app.newCtx(), app.newCtx()];
  assertEquals(madeUp.map(({ cid }) => cid), [after(3), after(4)]);
  for (const ctx of [...given, ...madeUp]) assertStrictEquals(app.getCtx(ctx.cid), ctx);
});

Deno.test("newCtx() refuses the id of a context that is alive", () => {
  const app = new Listener();
  const { cid } = app.newCtx();
  app.newCtx({ cid: "x" });
  assertThrows(() => app.newCtx({ cid: "x" }), ContextAlreadyExists, '"x"');
  assertThrows(() => app.newCtx({ cid }), ContextAlreadyExists);
  app.getCtx("x").drop();
  app.newCtx({ cid: "x" });
});

Deno.test("getCtx() throws ContextNotFound for an id no context has", () => {
  assertThrows(() => new Listener().getCtx("x"), ContextNotFound, 'Cannot find context "x"');
});

Deno.test("setContextClass() makes contexts of a subclass", async () => {
  class Chat extends Context {
    messages: string[] = [];
  }
  const app = new Listener<Chat>();
  app.setContextClass(Chat);
  app.onEvent("say <what>", ({ ctx, params }) => ctx.messages.push(params.what));
  const ctx = app.newCtx({ scope: { user: "bob" } });
  await ctx.triggerEvent("say hello");
  assertEquals(ctx.messages, ["hello"]);
  assertEquals(ctx.scope, { user: "bob" });
});

const NO_CONTEXT_CLASSES: [what: string, cls: unknown, shown: string][] = [
  ["undefined, as of a circular import", undefined, "undefined"],
  ["an arrow function", () => {}, "a function"],
  ["a class that extends nothing", class Plain {}, "Plain"],
  ["an instance", new Context(new Listener()), "an object"],
];
for (const [what, cls, shown] of NO_CONTEXT_CLASSES) {
  Deno.test(`setContextClass() refuses ${what}`, () => {
    assertThrows(
      () => new Listener().setContextClass(cls as typeof Context),
      TypeError,
      `Cannot set the context class to ${shown}: must be Context or a class that extends it`,
    );
  });
}

Deno.test("setContextClass() takes the class that it has", () => {
  assert(new Listener().setContextClass(Context).newCtx() instanceof Context);
});

Deno.test("setContextClass() refuses a class beside the one that handlers were promised", () => {
  class Chat extends Context {}
  class Call extends Context {}
  const app = new Listener().setContextClass(Chat);
  assertThrows(
    () => app.setContextClass(Call),
    TypeError,
    "Cannot set the context class to Call: must be Chat or a class that extends it",
  );
});

Deno.test("newCtx() refuses a class whose constructor does not pass on its arguments", () => {
  class Forgetful extends Context {
    constructor(listener: AnyListener) {
      super(listener);
    }
  }
  const app = new Listener().setContextClass(Forgetful);
  const why = "Cannot create a context: the constructor of Forgetful must pass on both of its " +
    "arguments, as in super(listener, options)";
  assertThrows(() => app.newCtx({ cid: "bob" }), TypeError, why);
  class Lost extends Context {
    constructor() {
      super(undefined as unknown as AnyListener);
    }
  }
  assertThrows(() => new Listener().setContextClass(Lost).newCtx(), TypeError, "of Lost must");
});

const five = 5 as unknown as string;
const WRONG_ARGUMENTS: [call: string, run: (app: Listener) => unknown, message: string][] = [
  ["newCtx({ cid: 5 })", (app) => app.newCtx({ cid: five }), "cid must be a string, got 5"],
  ["newCtx(5)", (app) => app.newCtx(five as never), "the options must be an object, got 5"],
  ["getCtx(5)", (app) => app.getCtx(five), "cid must be a string, got 5"],
  ["getRoute(5)", (app) => app.getRoute(five), "the name must be a string, got 5"],
  ["matchRoute(5)", (app) => app.matchRoute(five), "the path must be a string, got 5"],
  ["triggerEvent(5)", (app) => app.triggerEvent(five), "the path must be a string, got 5"],
  [
    "triggerEvent(path, 5)",
    (app) => app.triggerEvent("x", five as never),
    "the options must be an object, got 5",
  ],
  [
    "ctx.triggerEvent(path, null)",
    (app) => app.newCtx().triggerEvent("x", null as never),
    "the options must be an object, got null",
  ],
  [
    "onEvent(pattern, { name: 5 }, handler)",
    (app) => app.onEvent("y", { name: five }, () => {}),
    "name must be a string, got 5",
  ],
  [
    "depends(make, 5)",
    () => depends(() => 1, five as never),
    "the options must be an object, got 5",
  ],
  [
    "waitEventDone(name, 5)",
    (app) => app.triggerEvent("x").event.waitEventDone("x", five as never),
    "the options must be an object, got 5",
  ],
  ["new Listener(5)", () => new Listener(five as never), "the options must be an object, got 5"],
];
for (const [call, run, message] of WRONG_ARGUMENTS) {
  Deno.test(`${call} is a TypeError that says what is wrong`, async () => {
    const app = new Listener();
    app.onEvent("x", () => {});
    await assertRejects(async () => await run(app), TypeError, message);
  });
}

Deno.test("triggerEvent() throws EventNotFound at once where no route matches", () => {
  const app = new Listener();
  assertThrows(() => app.triggerEvent("x"), EventNotFound);
  assertThrows(() => app.newCtx().triggerEvent("x"), EventNotFound);
  assertEquals(app.ctxs.size, 1);
});

Deno.test("triggerEvent() runs in the context of the id given", async () => {
  const app = new Listener();
  app.onEvent("who", ({ ctx }) => ctx.cid);
  app.newCtx({ cid: "x" });
  assertEquals(await app.triggerEvent("who", { cid: "x" }), "x");
  assertThrows(() => app.triggerEvent("who", { cid: "y" }), ContextNotFound);
});

Deno.test("triggerEvent() keeps a context of its own while its events are in flight", async () => {
  const app = new Listener();
  const go = Promise.withResolvers<void>();
  const seen: boolean[] = [];
  app.onEvent("one", async ({ ctx, listener }) => {
    seen.push(listener.ctxs.has(ctx.cid));
    await ctx.triggerEvent("two");
    void ctx.triggerEvent("three");
  });
  app.onEvent("two", () => "over at once");
  app.onEvent("three", () => go.promise);
  const task = app.triggerEvent("one");
  await task;
  seen.push(app.ctxs.has(task.event.ctx.cid));
  go.resolve();
  await task.event.waitEventDone("three");
  await Promise.resolve();
  assertEquals(seen, [true, true]);
  assertEquals(app.ctxs.size, 0);
  app.triggerEvent("two");
  assertEquals(app.ctxs.size, 0);
});

Deno.test("triggerEvent() lets go of no context but its own", async () => {
  const app = new Listener();
  const go = Promise.withResolvers<void>();
  app.onEvent("wait", () => go.promise);
  app.onEvent("short", () => Promise.resolve());
  const ctx = app.newCtx();
  const task = app.triggerEvent("wait");
  await ctx.triggerEvent("short");
  assertEquals([...app.ctxs.values()], [ctx, task.event.ctx]);
  go.resolve();
  await task;
  assertEquals([...app.ctxs.values()], [ctx]);
});

Deno.test("hooks run in the order of registration around the handler", async () => {
  const app = new Listener();
  const log: string[] = [];
  app.beforeEvent(async ({ params }) => {
    await null;
    log.push(`before 1 ${params.x}`);
  });
  app.beforeEvent(() => void log.push("before 2"));
  app.afterEvent(({ result }) => void log.push(`after 1 ${result}`));
  app.afterEvent(async (event) => {
    await null;
    log.push(`after 2 ${event.isDone}`);
  });
  app.onEvent("go <x>", () => {
    log.push("handler");
    return "result";
  });
  const task = app.triggerEvent("go 7");
  await task;
  log.push(`done ${task.event.isDone}`);
  assertEquals(log, [
    "before 1 7",
    "before 2",
    "handler",
    "after 1 result",
    "after 2 false",
    "done true",
  ]);
});

Deno.test("beforeEvent() that throws keeps the handler and the after hooks from running", async () => {
  const app = new Listener();
  app.beforeEvent(() => {
    throw new RangeError("no");
  });
  app.afterEvent(() => {
    throw new Error("ran");
  });
  app.onEvent("go", () => {
    throw new Error("ran");
  });
  await assertRejects(() => app.triggerEvent("go"), RangeError, "no");
});

Deno.test("onError() runs every hook whose class fits, and the task resolves", async () => {
  const app = new Listener();
  const log: string[] = [];
  app.onError(TypeError, () => void log.push("type"));
  app.onError(RangeError, async (event, error) => {
    await null;
    log.push(`range ${error.message} ${event.error === error} ${event.running}`);
  });
  app.onError(Error, (_event, error) => void log.push(`any ${error.message}`));
  app.onEvent("sync", () => {
    throw new RangeError("a");
  });
  app.onEvent("async", async () => {
    await null;
    throw new RangeError("b");
  });
  const task = app.triggerEvent("sync");
  assertStrictEquals(await task, undefined);
  assertEquals([task.status, task.event.isDone], ["fulfilled", true]);
  assertStrictEquals((task.event.error as Error).message, "a");
  await app.triggerEvent("async");
  assertEquals(log, ["range a true true", "any a", "range b true true", "any b"]);
});

Deno.test("onError() leaves an error no hook takes to the task", async () => {
  const app = new Listener();
  app.onError(TypeError, () => {});
  app.onEvent("go", () => {
    throw new RangeError("a");
  });
  const task = app.triggerEvent("go");
  await assertRejects(() => task, RangeError, "a");
  assertStrictEquals(task.event.error, task.reason);
});

Deno.test("onError() hook that throws fails the task, after the others have run", async () => {
  const app = new Listener();
  const log: string[] = [];
  app.onError(Error, async () => {
    await null;
    throw new TypeError("first");
  });
  app.onError(Error, () => {
    throw new TypeError("second");
  });
  app.onError(Error, () => void log.push("third"));
  app.onEvent("go", () => {
    throw new RangeError("a");
  });
  await assertRejects(() => app.triggerEvent("go"), TypeError, "first");
  assertEquals(log, ["third"]);
});

Deno.test("finallyEvent() hooks see each event when it is over, with what it failed with", async () => {
  const app = new Listener();
  const log: string[] = [];
  app.onEvent("fine", () => Promise.resolve());
  app.onEvent("taken", () => {
    throw new RangeError("a");
  });
  app.onEvent("lost", () => Promise.reject(new TypeError("b")));
  app.afterEvent(({ path }) => log.push(`after ${path}`));
  app.onError(RangeError, async ({ path }) => {
    await null;
    log.push(`error ${path}`);
  });
  app.finallyEvent(({ path, error, running }) => log.push(`over ${path} ${error} ${running}`));
  await app.triggerEvent("fine");
  await app.triggerEvent("taken");
  await assertRejects(() => app.triggerEvent("lost"), TypeError);
  assertEquals(log, [
    "after fine",
    "over fine undefined false",
    "error taken",
    "over taken RangeError: a false",
    "over lost TypeError: b false",
  ]);
});

Deno.test("finallyEvent() hook that throws is reported and changes nothing", async () => {
  const reported: unknown[] = [];
  class App extends Listener {
    protected override reportFailure(_: unknown, error: unknown): void {
      reported.push(error);
    }
  }
  const app = new App();
  app.onEvent("go", () => "result");
  app.finallyEvent(() => {
    throw "at once";
  });
  app.finallyEvent(() => Promise.reject("later"));
  assertEquals(await app.triggerEvent("go"), "result");
  assertEquals(reported, ["at once", "later"]);
});
