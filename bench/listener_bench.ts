// deno-lint-ignore-file no-import-prefix -- peers of a benchmark are no dependencies of the package
// The event framework: finding a route, against a plain scan of regular expressions, Hono's routers and
// URLPattern; and triggering an event. Before anything is timed, all routers must give the same answers.
//
//     deno bench --allow-env bench/listener_bench.ts

import { assertEquals } from "@std/assert";
import { RegExpRouter } from "npm:hono@4.13.19/router/reg-exp-router";
import { SmartRouter } from "npm:hono@4.13.19/router/smart-router";
import { TrieRouter } from "npm:hono@4.13.19/router/trie-router";
import { compilePath, Listener } from "../listener.ts";

type Params = Record<string, unknown>;

/** Finds the number of the route and its params, as strings. */
type Finder = (path: string) => { index: number; params: Params } | null;

/** One router behind the interface that all of them are timed through. */
interface Peer {
  name: string;
  make(patterns: readonly string[]): Finder;
}

const ours: Peer = {
  name: "Listener",
  make(patterns): Finder {
    const app = new Listener();
    patterns.forEach((pattern, index) =>
      app.onEvent(pattern, { name: `${index}`, index }, () => {})
    );
    return (path) => {
      const found = app.findRoute(path);
      return found === null
        ? null
        : { index: found.route.options.index as number, params: found.params };
    };
  },
};

const scan: Peer = {
  name: "scan of regular expressions",
  make(patterns): Finder {
    const regexes = patterns.map((pattern) => compilePath(pattern).regex);
    return (path) => {
      for (let index = 0; index < regexes.length; index++) {
        const match = regexes[index].exec(path);
        if (match !== null) return { index, params: match.groups ?? {} };
      }
      return null;
    };
  },
};

/** `GET:/a/<b>` as method and path in the syntax of Hono and URLPattern. */
function toColons(pattern: string): [method: string, path: string] {
  const [method, path] = splitMethod(pattern);
  return [method, path.replaceAll(/<(\w+)>/g, ":$1")];
}

function splitMethod(path: string): [method: string, path: string] {
  const colon = path.indexOf(":");
  return [path.slice(0, colon), path.slice(colon + 1)];
}

function hono(name: string, newRouter: () => SmartRouter<number>): Peer {
  return {
    name: `Hono ${name}`,
    make(patterns): Finder {
      const router = newRouter();
      patterns.forEach((pattern, index) => router.add(...toColons(pattern), index));
      return (path) => {
        const [handlers, stash] = router.match(...splitMethod(path));
        if (handlers.length === 0) return null;
        const [index, found] = handlers[0];
        if (stash === undefined) return { index, params: found as Params };
        const params: Params = {};
        for (const key in found) params[key] = stash[found[key] as number];
        return { index, params };
      };
    },
  };
}

const urlPattern: Peer = {
  name: "scan of URLPatterns",
  make(patterns): Finder {
    const compiled = patterns.map((pattern) => {
      const [method, pathname] = toColons(pattern);
      return { method, pattern: new URLPattern({ pathname }) };
    });
    return (path) => {
      const [method, pathname] = splitMethod(path);
      for (let index = 0; index < compiled.length; index++) {
        if (compiled[index].method !== method) continue;
        const match = compiled[index].pattern.exec({ pathname });
        if (match !== null) return { index, params: match.pathname.groups };
      }
      return null;
    };
  },
};

const PEERS: Peer[] = [
  ours,
  scan,
  hono("RegExpRouter", () => new RegExpRouter<number>() as unknown as SmartRouter<number>),
  hono("TrieRouter", () => new TrieRouter<number>() as unknown as SmartRouter<number>),
  hono(
    "SmartRouter",
    () => new SmartRouter<number>({ routers: [new RegExpRouter(), new TrieRouter()] }),
  ),
  urlPattern,
];

/** The routes of a small web API; Hono's RegExpRouter takes no param beside literal text. */
const API = [
  "GET:/",
  "GET:/user",
  "GET:/user/comments",
  "GET:/user/avatar",
  "GET:/user/lookup/username/<username>",
  "GET:/user/lookup/email/<address>",
  "GET:/event/<id>",
  "GET:/event/<id>/comments",
  "POST:/event/<id>/comments",
  "GET:/map/<location>/events",
];
const API_PATHS: [path: string, index: number | null, params?: Params][] = [
  ["GET:/user", 1, {}],
  ["GET:/user/comments", 2, {}],
  ["GET:/user/lookup/username/bob", 4, { username: "bob" }],
  ["GET:/event/7/comments", 7, { id: "7" }],
  ["POST:/event/7/comments", 8, { id: "7" }],
  ["GET:/map/warsaw/events", 9, { location: "warsaw" }],
  ["GET:/nothing/here", null],
];

for (const { name, make } of PEERS) {
  const find = make(API);
  for (const [path, index, params] of API_PATHS) {
    const found = find(path);
    const plain = found === null ? null : { index: found.index, params: { ...found.params } };
    assertEquals(plain, index === null ? null : { index, params: params! }, `${name}: ${path}`);
  }
  // An iteration is the whole row of paths: one alone is over before the clock can tell.
  Deno.bench(name, { group: "find 7 paths among 10 routes", baseline: name === ours.name }, () => {
    for (const [path] of API_PATHS) find(path);
  });
}

// The cost among 10 routes and among 10,000: as many paths of the same length each, from all of the routes.
const PATHS = 10;
for (const count of [10, 100, 1000, 10_000]) {
  const numberOf = (i: number): string => `${i * 7919 % count * (10_000 / count)}`.padStart(4, "0");
  const indices = Array.from({ length: count }, (_, i) => i);
  const find = ours.make(indices.map((i) => `GET:/resource${numberOf(i)}/<id>`));
  const paths = indices.slice(-PATHS).map((i) => `GET:/resource${numberOf(i)}/abc`);
  paths.forEach((path, i) => assertEquals(find(path)?.index, count - PATHS + i));
  const group = `find ${PATHS} paths, by routes`;
  Deno.bench(`among ${count}`, { group, baseline: count === 10 }, () => {
    for (const path of paths) find(path);
  });
}

for (const count of [1000, 10_000]) {
  const patterns = Array.from({ length: count }, (_, i) => `GET:/resource${i}/<id>`);
  Deno.bench(`register ${count} routes`, { group: "register" }, () => {
    ours.make(patterns);
  });
}

{
  const patterns = ["<a>-<b>-<c>-<d>-<e>!", "<a:path>/<b:path>/<c:path>!"];
  const find = ours.make(patterns);
  for (const kibibytes of [8, 64]) {
    const path = "-".repeat(kibibytes * 1024);
    assertEquals(find(path), null);
    Deno.bench(`a path of ${kibibytes} KiB`, { group: "hostile" }, () => {
      find(path);
    });
  }
}

{
  const app = new Listener();
  let steps = 0;
  app.beforeEvent(() => void steps++);
  app.afterEvent(() => void steps++);
  app.onEvent("GET:/user/<username>", { name: "sync" }, ({ params }) => params.username);
  app.onEvent("async <username>", { name: "async" }, async ({ params }) => await params.username);
  const route = app.getRoute("sync");
  const task = app.triggerEvent("GET:/user/bob");
  assertEquals([task.status, task.event.result, steps], ["fulfilled", "bob", 2]);

  const group = "100 times: before hook, handler, after hook";
  Deno.bench("trigger() in one context", { group, baseline: true }, () => {
    // A context remembers its events, so each takes a hundred.
    const ctx = app.newCtx();
    for (let i = 0; i < 100; i++) ctx.trigger(route);
    ctx.drop();
  });
  Deno.bench("by path, in a new context that is dropped", { group }, () => {
    for (let i = 0; i < 100; i++) {
      const ctx = app.newCtx();
      ctx.triggerEvent("GET:/user/bob");
      ctx.drop();
    }
  });
  Deno.bench("Listener.triggerEvent()", { group }, () => {
    for (let i = 0; i < 100; i++) app.triggerEvent("GET:/user/bob");
  });
  Deno.bench("with an async handler, awaited", { group }, async () => {
    for (let i = 0; i < 100; i++) await app.triggerEvent("async bob");
  });
  Deno.bench("newCtx() and drop()", { group }, () => {
    for (let i = 0; i < 100; i++) app.newCtx().drop();
  });
}
