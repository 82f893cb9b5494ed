// Which route a path finds, and with which params: by table, against a plain scan of regular expressions, and
// in linear time.

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  compilePath,
  EventAlreadyExists,
  type FoundRoute,
  Listener,
  type PathParam,
  PathParamsError,
  type Route,
} from "../../listener.ts";
import { processorTime } from "../processor_time.ts";

function listenerOf(patterns: readonly string[]): Listener {
  const app = new Listener();
  patterns.forEach((pattern, i) => app.onEvent(pattern, { name: String(i) }, () => {}));
  return app;
}

const U = "123e4567-e89b-12d3-a456-426614174000";

const FOUND: [pattern: string, path: string, params: Record<string, unknown> | null][] = [
  // Literal text.
  ["", "", {}],
  ["", "a", null],
  ["a.c", "abc", null],
  ["GET:/", "GET:/", {}],
  ["GET:/", "GET:/x", null],
  ["GET:/", "XGET:/", null],
  // str
  ["GET:/user/<username>", "GET:/user/bob", { username: "bob" }],
  ["GET:/user/<username>", "GET:/user/", null],
  ["GET:/user/<username>", "GET:/user/bob/", null],
  ["GET:/user/<username>", "GET:/user/bob/alice", null],
  ["GET:/user/{username}", "GET:/user/a b\nc", { username: "a b\nc" }],
  ["<_>?", "How are you?", { _: "How are you" }],
  ["<_>?", "what??", { _: "what?" }],
  ["<_>?", "?", null],
  ["<_>.", "Fine...", { _: "Fine.." }],
  ["step 1: save <username>'s data to database", "step 1: save Alice's data to database", {
    username: "Alice",
  }],
  ["/iot/home/<room>/temperature", "/iot/home/kitchen/temperature", { room: "kitchen" }],
  ["/iot/home/<room>/temperature", "/iot/home/a/b/temperature", null],
  // More than one in a segment: the first takes what it can.
  ["<a>-<b>", "1-2-3", { a: "1-2", b: "3" }],
  ["<a>-<b>-<c>", "------", { a: "--", b: "-", c: "-" }],
  ["<a><b>", "xyz", { a: "xy", b: "z" }],
  ["<a><b>", "x", null],
  ["<a:int><b>", "12x", { a: 12, b: "x" }],
  ["<a:int><b>", "12", { a: 1, b: "2" }],
  // int
  ["<n:int>", "0042", { n: 42 }],
  ["<n:int>", "9007199254740991", { n: 9007199254740991 }],
  ["<n:int>", "-1", null],
  ["<n:int>", "1.0", null],
  ["<n:int>", "", null],
  ["<n:int>", "٣", null],
  // float
  ["<x:float>", "1.5", { x: 1.5 }],
  ["<x:float>", "15", { x: 15 }],
  ["<x:float>", "1x5", null],
  ["<x:float>", "1.", null],
  ["<x:float>", ".5", null],
  ["<x:float>", "1.5.2", null],
  ["<x:float>.<y:float>", "1.2.3.4", { x: 1.2, y: 3.4 }],
  ["<x:float>.<y:float>", "1.2.3", { x: 1.2, y: 3 }],
  ["<x:float>.<y:float>", "1.2", { x: 1, y: 2 }],
  ["<x:float>.txt", "1.5.txt", { x: 1.5 }],
  ["v<x:float><rest:path>", "v1.", { x: 1, rest: "." }],
  // path
  ["GET:/static/<file:path>", "GET:/static/css/a.css", { file: "css/a.css" }],
  ["GET:/static/<file:path>", "GET:/static/", { file: "" }],
  ["<a:path>/<b:path>", "x/y/z", { a: "x/y", b: "z" }],
  ["<a:path>/<b:path>", "/", { a: "", b: "" }],
  ["<a:path>\n", "x\ny\n", { a: "x\ny" }],
  // uuid
  ["<id:uuid>", U, { id: U }],
  ["<id:uuid>", U.toUpperCase(), { id: U }],
  ["<id:uuid>", U.replaceAll("-", ""), null],
  ["<id:uuid>", U.slice(1), null],
  ["<id:uuid>", U.replace("e", "@"), null],
  ["<id:uuid>", U.replace("e", "g"), null],
  ["<id:uuid>/<n:int>", `${U}/7`, { id: U, n: 7 }],
  // Beyond the Basic Multilingual Plane, and keys that objects have.
  ["💾 <file>", "💾 a🙂", { file: "a🙂" }],
  ["<constructor>", "x", { constructor: "x" }],
];
for (const [pattern, path, params] of FOUND) {
  const outcome = params === null ? "does not match" : "matches";
  Deno.test(`findRoute() ${outcome} ${JSON.stringify(pattern)}: ${JSON.stringify(path)}`, () => {
    assertEquals(listenerOf([pattern]).findRoute(path)?.params ?? null, params);
  });
}

const FIRST: [patterns: string[], path: string, index: number][] = [
  [["<a>x", "<a>"], "xx", 0],
  [["<a>", "<a>x"], "xx", 0],
  [["x", "<a>"], "x", 0],
  [["x", "<a>"], "y", 1],
  [["<a:path>", "GET:/<b>"], "GET:/b", 0],
  [["GET:/<a:int>", "GET:/<b>"], "GET:/1", 0],
  [["GET:/<a:int>", "GET:/<b>"], "GET:/a", 1],
  [["<a>-<b>x", "<a>-<b>", "<c:path>"], "1-2-3", 1],
  [["ab<x>", "abc<y>", "a<z>"], "abcd", 0],
];
for (const [patterns, path, index] of FIRST) {
  Deno.test(`findRoute() takes the first of ${JSON.stringify(patterns)} for "${path}"`, () => {
    assertEquals(listenerOf(patterns).findRoute(path)?.route.name, String(index));
  });
}

/** A generator of numbers in [0, 1), the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ATOMS = ["a", "b", "-", "/", ".", "1", "2", "12", "a/", "1.2", `${U.slice(0, 9)}`, U];
const KINDS = ["str", "int", "float", "path", "uuid"];

function randomPattern(random: () => number): string {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)];
  let pattern = "";
  for (let i = 0, n = Math.floor(random() * 7); i < n; i++) {
    pattern += random() < 0.55 ? `<p${i}:${pick(KINDS)}>` : pick(ATOMS);
  }
  return pattern;
}

/** Adds routes named by their index, and returns the patterns that were not refused as those of earlier ones. */
function added(app: Listener, patterns: string[]): string[] {
  const taken: string[] = [];
  for (const pattern of patterns) {
    try {
      app.onEvent(pattern, { name: String(taken.length) }, () => {});
      taken.push(pattern);
    } catch (error) {
      assert(error instanceof EventAlreadyExists, String(error));
    }
  }
  return taken;
}

function randomPath(random: () => number): string {
  let path = "";
  for (let n = Math.floor(random() * 12); n > 0; n--) {
    path += ATOMS[Math.floor(random() ** 1.5 * ATOMS.length)];
  }
  return path;
}

/** What `findRouteOf` finds for `path` cut at `at`, with other code units around the second part. */
function findCut(app: Listener, path: string, at: number): FoundRoute | null {
  const text = `<${path.slice(at)}>`;
  const units = Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return app.findRouteOf(path.slice(0, at), units, 1, units.length - 1);
}

Deno.test("findRouteOf() finds the only route of each of several heads that begin alike", () => {
  const heads = ["PUT:", "POST:", "PATCH:"];
  const app = new Listener();
  for (const head of heads) app.onEvent(`${head}/a`, () => {});
  const path = Uint16Array.from("/a", (c) => c.charCodeAt(0));
  const found = heads.map((head) => app.findRouteOf(head, path, 0, path.length)?.route.pattern);
  assertEquals(found, ["PUT:/a", "POST:/a", "PATCH:/a"]);
});

Deno.test("findRouteOf() finds the first of several routes with params that begin within the head", () => {
  const app = listenerOf(["<method>/a", "GET:/<x>", "G<rest:path>!"]);
  assertEquals(findCut(app, "GET:/a", 4)?.route.pattern, "<method>/a");
});

Deno.test("findRouteOf() tells the whole path of a param without a value", () => {
  const app = listenerOf(["GET:/<n:int>"]);
  const find = (): unknown => findCut(app, "GET:/99999999999999999999", 4);
  assertThrows(find, PathParamsError, 'param "n" of "GET:/99999999999999999999"');
});

Deno.test("findRoute() has the params of its own path where a converter looks for a route", () => {
  const other = "/other/12345/67890";
  const listener: Listener = new Listener();
  listener.addConverter("nested", {
    regex: /[a-z]+/,
    parse: (text) => `${text} ${listener.findRoute(other)?.params.second}`,
  });
  listener.onEvent("/other/{first}/{second}", () => {});
  listener.onEvent("/{first:nested}/{second}", () => {});
  const params = { first: "one 67890", second: "two" };
  assertEquals(listener.findRoute("/one/two")?.params, params);
});

Deno.test("findRoute() answers as a scan of greedy regular expressions does, on random patterns", () => {
  const random = seeded(20261122);
  let matches = 0;
  for (let round = 0; round < 400; round++) {
    const app = new Listener();
    const patterns = added(
      app,
      Array.from({ length: 1 + Math.floor(random() * 12) }, () => randomPattern(random)),
    );
    const regexes = patterns.map((pattern) => compilePath(pattern).regex);
    for (let i = 0; i < 60; i++) {
      const path = randomPath(random);
      const index = regexes.findIndex((regex) => regex.test(path));
      const found = app.findRoute(path);
      const context = JSON.stringify({ patterns, path });
      assertStrictEquals(found?.route.name, index < 0 ? undefined : String(index), context);
      const at = Math.floor(random() * (path.length + 1));
      assertEquals(findCut(app, path, at), found, context);
      if (found === null) continue;
      matches++;
      const groups = regexes[index].exec(path)!.groups ?? {};
      for (const { name, converter } of found.route.params) {
        assertEquals(found.params[name], converter.parse(groups[name]), context);
      }
    }
  }
  assert(matches > 5000, `only ${matches} of 24,000 paths matched: the test tests little`);
});

/** Expressions that read alike, and some that look at what stands around their text. */
const EXPRESSIONS: Record<string, RegExp> = {
  even: /(?:[ab12.-]{2})+/,
  slug: /[a-z0-9]+(?:-[a-z0-9]+)*/,
  lazy: /.+?/,
  either: /a|ab|b1/,
  empty: /a*/,
  folded: /[A-B]+/i,
  twice: /(.)\1/,
  first: /^./,
  ending: /a+$|1/,
  words: /\b.+\b/,
  ahead: /(?!a).+/,
  behind: /(?<!a).+/,
  character: /[^a]/u,
  half: /[\ud83d]|\u{1f642}./u,
  letters: /[\w--\d]+/v,
};

const wholes = new Map<RegExp, RegExp>();

/** The expression that matches what `regex` matches as a whole. */
function wholeOf(regex: RegExp): RegExp {
  const whole = wholes.get(regex) ?? new RegExp(`^(?:${regex.source})$`, regex.flags);
  wholes.set(regex, whole);
  return whole;
}

/** The ends of the params of a pattern in `path` from `at` on: of each the farthest that leads on, one by one. */
function endsOf(parts: (string | PathParam)[], path: string, at = 0): number[] | null {
  if (parts.length === 0) return at === path.length ? [] : null;
  const [part, ...rest] = parts;
  if (typeof part === "string") {
    return path.startsWith(part, at) ? endsOf(rest, path, at + part.length) : null;
  }
  const whole = wholeOf(part.converter.regex);
  for (let end = path.length; end >= at; end--) {
    const ends = whole.test(path.slice(at, end)) ? endsOf(rest, path, end) : null;
    if (ends !== null) return [end, ...ends];
  }
  return null;
}

Deno.test("findRoute() tries ends from the farthest on, on random patterns with converters of the user's own", () => {
  const random = seeded(7);
  const names = Object.keys(EXPRESSIONS);
  let matches = 0;
  for (let round = 0; round < 400; round++) {
    const app = new Listener();
    for (const name of names) {
      app.addConverter(name, { regex: EXPRESSIONS[name], parse: (text) => text });
    }
    const patterns = added(
      app,
      Array.from({ length: 6 }, () => {
        return randomPattern(random).replaceAll(
          /uuid|str/g,
          () => names[Math.floor(random() * names.length)],
        );
      }),
    );
    const routes = [...app.routes.values()];
    for (let i = 0; i < 40; i++) {
      const path = randomPath(random).slice(0, 16)
        .replaceAll("/", () => random() < 0.5 ? "/" : "\u{1f642}");
      const parts = (route: Route): (string | PathParam)[] => [...route.parts];
      const route = routes.find((route) => endsOf(parts(route), path) !== null);
      const found = app.findRoute(path);
      const context = JSON.stringify({ patterns, path });
      assertStrictEquals(found?.route, route, context);
      assertEquals(findCut(app, path, Math.floor(random() * (path.length + 1))), found, context);
      if (route === undefined) continue;
      matches++;
      const params: Record<string, unknown> = {};
      const ends = endsOf(parts(route), path)!;
      let at = 0, n = 0;
      for (const part of route.parts) {
        const end = typeof part === "string" ? at + part.length : ends[n++];
        if (typeof part !== "string") params[part.name] = part.converter.parse(path.slice(at, end));
        at = end;
      }
      assertEquals(found?.params, params, context);
    }
  }
  assert(matches > 2000, `only ${matches} of 16,000 paths matched: the test tests little`);
});

const ALMOST: [pattern: string, unit: string][] = [
  ["<lang>-<s:slug>-print", "-"],
  ["<lang>-<s:slug>-print", "a-"],
  ["<lang>-<s:slug>-print", "word-for-word-"],
  ["<a:word><b:word><c:word>!", "a"],
  ["<a>-<b:pdf>", "-"],
  ["<a:other>-<b:other>-x", "a-"],
  ["<a:slug>-<b:path>-<c>-x", "a-"],
  ["<a:word><b:float>.<c:float>!", "1."],
];
for (const [pattern, unit] of ALMOST) {
  Deno.test(`findRoute() answers a hostile path in time: "${pattern}", "${unit}${unit}..."`, () => {
    const parse = (text: string): string => text;
    const app = new Listener()
      .addConverter("slug", { regex: EXPRESSIONS.slug, parse })
      .addConverter("word", { regex: /[\w.-]+/, parse })
      .addConverter("other", { regex: /(?!admin)[\w-]+/, parse })
      .addConverter("pdf", { regex: /.*\.pdf/, parse });
    app.onEvent(pattern, () => {});
    const path = unit.repeat(8000 / unit.length);
    const start = processorTime();
    try {
      assertStrictEquals(app.findRoute(path), null);
    } catch (error) {
      assert(error instanceof PathParamsError, String(error));
    }
    const time = processorTime() - start;
    assert(time < 500, `${time} ms`);
  });
}

Deno.test("findRoute() takes no float that ends in a dot after a param of the user's own converter", () => {
  const app = new Listener().addConverter("a", { regex: /[a-]+/, parse: (text) => text });
  app.onEvent("<x:a><n:float>5", () => {});
  assertEquals(app.findRoute("a1.5"), null);
  assertEquals(app.findRoute("a1.55")?.params, { x: "a", n: 1.5 });
});

Deno.test("findRoute() throws PathParamsError rather than take a later route for a path it cannot read", () => {
  const app = new Listener().addConverter("a", { regex: /[a-]+/, parse: (text) => text });
  app.onEvent("x/<one>-<two:a>!", () => {});
  app.onEvent(() => {});
  const path = `x/${"a-".repeat(4000)}`;
  const message = 'a-a-": its params can be read in too many ways';
  assertThrows(() => app.findRoute(path), PathParamsError, message);
  assertThrows(() => findCut(app, path, 2), PathParamsError, 'Cannot find route for "x/a-a-');
  assertEquals(app.findRoute("x/a-a!")?.params, { one: "a", two: "a" });
});

Deno.test("findRoute() has an expression read a long text with many ends", () => {
  const app = new Listener().addConverter("a", { regex: /[a,]+/, parse: (text) => text.length });
  app.onEvent("<n:a>,b", () => {});
  assertEquals(app.findRoute(`${"aaaaaaaaa,".repeat(10_000)},b`)?.params, { n: 100_000 });
});

const HOSTILE: [what: string, patterns: string[], unit: string][] = [
  ["many params in one segment", ["<a>-<b>-<c>-<d>-<e>-<f>!"], "-"],
  ["adjacent params", ["<a><b><c><d><e><f>!"], "x"],
  ["paths in paths", ["<a:path>/<b:path>/<c:path>/<d:path>!"], "/"],
  ["floats in floats", ["<a:path><b:float>.<c:float><d:float>!"], "1."],
  [
    "routes that share what is ambiguous",
    ["<a>1<b>1<c>!", "<a>1<b>2<c>", "<a:path>1<b:int>x"],
    "1",
  ],
];
for (const [what, patterns, unit] of HOSTILE) {
  Deno.test(`findRoute() takes time linear in a hostile path: ${what}`, () => {
    const app = listenerOf(patterns);
    const time = (length: number): number => {
      const path = unit.repeat(length / unit.length);
      let best = Infinity;
      for (let i = 0; i < 7; i++) {
        const start = processorTime();
        app.findRoute(path);
        best = Math.min(best, processorTime() - start);
      }
      return best;
    };
    time(8192);
    // 16 times as long takes 256 times the time where it is quadratic; 64 leaves room for noise.
    const [short, long] = [time(8192), time(16 * 8192)];
    assert(long < 64 * short, `8 KiB: ${short} ms, 128 KiB: ${long} ms`);
  });
}

Deno.test("findRoute() keeps finding among routes that split each other's text", () => {
  const random = seeded(3);
  const words = new Set<string>();
  while (words.size < 2000) {
    let word = "";
    for (let n = 1 + Math.floor(random() * 8); n > 0; n--) {
      word += String.fromCharCode(97 + Math.floor(random() * (random() < 0.1 ? 2000 : 4)));
    }
    words.add(word);
  }
  const app = listenerOf([...words]);
  [...words].forEach((word, i) => assertEquals(app.findRoute(word)?.route.name, String(i)));
});
