// Types from text: most of these tests pass by compiling.

import { assertEquals } from "@std/assert";
import { type Context, Listener, type PathParams } from "../../listener.ts";
import { addRoute } from "./add_route.ts";

/** `true` where A and B are the same type, not merely assignable. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

Deno.test("PathParams reads names and types from the pattern's text", () => {
  true satisfies Same<
    PathParams<"GET:/user/<username>/<page:int>">,
    { username: string; page: number }
  >;
  true satisfies Same<PathParams<"{a:float} {b:path} {c:uuid} {d:str}">, {
    a: number;
    b: string;
    c: string;
    d: string;
  }>;
  true satisfies Same<PathParams<"<a>{b:int}<c1>">, { a: string; c1: string; b: number }>;
  true satisfies Same<PathParams<"<_>?">, { _: string }>;
});

Deno.test("PathParams finds no params in text that is none", () => {
  // deno-lint-ignore ban-types
  type None = {};
  true satisfies Same<PathParams<"no params">, None>;
  true satisfies Same<PathParams<"a < b > c {} <> <1a> <a b> <a:> <:int> {a>">, None>;
  true satisfies Same<PathParams<"1 < 2 <n:int>">, { n: number }>;
  true satisfies Same<PathParams<"<<a>>">, { a: string }>;
});

Deno.test("PathParams of a pattern known only at run time is Record<string, unknown>", () => {
  true satisfies Same<PathParams<string>, Record<string, unknown>>;
});

Deno.test("PathParams of a pattern with a part known only at run time are those of the rest, and unknown others", () => {
  type Params = PathParams<`GET:${string}/<id:int>/${"a" | "b"}/{x}`>;
  true satisfies Same<Params["id"], number>;
  true satisfies Same<Params["x"], string>;
  true satisfies Same<Params["y"], unknown>;
  // Which converter it is, is not known.
  true satisfies Same<PathParams<`<id:${string}>`>["id"], unknown>;
});

Deno.test("onEvent() gives handlers the params of a pattern under a prefix", () => {
  function addUsers(app: Listener, prefix: string): void {
    app.onEvent(`GET:${prefix}/users/<id:int>`, ({ params }) => params.id satisfies number);
  }
  function addOrders<P extends string>(app: Listener, prefix: P): void {
    app.onEvent(`GET:${prefix}/orders/<id:int>`, ({ params }) => params.id);
  }
  const app = new Listener();
  addUsers(app, "/v1");
  addOrders(app, "/v1");
  assertEquals(app.matchRoute("GET:/v1/users/7")[1], { id: 7 });
});

Deno.test("PathParams of one of several patterns are those of one of them", () => {
  // deno-lint-ignore ban-types
  type None = {};
  true satisfies Same<PathParams<"a <x>" | "plain">, { x: string } | None>;
  true satisfies Same<PathParams<"<x>" | "<y:int>">, { x: string } | { y: number }>;
});

Deno.test("PathParams gives unknown for a converter it does not know", () => {
  true satisfies Same<PathParams<"<a:hex>">, { a: unknown }>;
  true satisfies Same<PathParams<"<a:hex>", { hex: bigint }>, { a: bigint }>;
});

Deno.test("onEvent() gives handlers the params of the pattern", () => {
  const app = new Listener();
  app.onEvent("GET:/user/<username>/<page:int>", ({ params }) => {
    params.page satisfies number;
    params.username satisfies string;
    // @ts-expect-error the pattern has no <user>
    params.user;
    // @ts-expect-error a number
    params.page satisfies string;
  });
  app.onEvent("none", ({ params }) => {
    // @ts-expect-error the pattern has no params
    params.any;
  });
  app.onEvent("GET:/" + app.routes.size, { name: "run time" }, ({ params }) => {
    params.any satisfies unknown;
  });
  app.onEvent(({ params }) => params._ satisfies string);
  class App extends Listener {}
  new App().onEvent("x <id:int>", (event) => event.params.id satisfies number);
});

Deno.test("onEvent() gives handlers the type that the data option makes", () => {
  const app = new Listener();
  const toAge = (data: unknown): { age: number } => ({ age: Number(data) });
  app.onEvent("a", { data: toAge }, ({ data }) => data.age satisfies number);
  app.onEvent("b", ({ data }) => {
    true satisfies Same<typeof data, unknown>;
    // @ts-expect-error unknown until it was checked
    data.age;
  });
});

Deno.test("addConverter() makes its type known to patterns", () => {
  class App extends Listener<Context> {
    own = 1;
  }
  const app = new App()
    .addConverter("hex", { regex: /[0-9a-f]+/, parse: (text) => parseInt(text, 16) })
    .addConverter("date", { regex: /\d{4}-\d\d-\d\d/, parse: (text) => new Date(text) });
  app.own satisfies number;
  app.onEvent("<c:hex> on <day:date> by <user>", ({ params }) => {
    params.c satisfies number;
    params.day satisfies Date;
    params.user satisfies string;
    // @ts-expect-error a Date
    params.day satisfies string;
  });
  assertEquals(app.findRoute("ff on 2026-01-02 by bob")?.params, {
    c: 255,
    day: new Date("2026-01-02"),
    user: "bob",
  });
});

Deno.test("a generic function gets the types of the converters from any listener", () => {
  class App extends Listener {
    readonly own = 1;
  }
  addRoute(new App(), "<n:int>", ({ params }) => params.n satisfies number);
  const withHex = new App().addConverter("hex", { regex: /[0-9a-f]+/, parse: Number });
  addRoute(withHex, "<n:int> <c:hex>", ({ params }) => {
    params.n satisfies number;
    params.c satisfies number;
  });
});
