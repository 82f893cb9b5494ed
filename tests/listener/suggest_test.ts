import { assert, assertEquals, assertThrows } from "@std/assert";
import { EventNotFound, Listener } from "../../listener.ts";
import { processorTime } from "../processor_time.ts";

/** What the error for `path` ends with: the part that tells what may be meant. */
function hint(app: Listener, path: string): string {
  const { message } = assertThrows(() => app.triggerEvent(path), EventNotFound) as Error;
  return /no pattern matches(.*)$/.exec(message)![1];
}

function appWith(...patterns: string[]): Listener {
  const app = new Listener();
  for (const pattern of patterns) app.onEvent(pattern, () => {});
  return app;
}

const SUGGESTED: [what: string, path: string, pattern: string][] = [
  ["a letter left out", "GET:/usr/bob", "GET:/user/<username>"],
  ["a letter too many", "GET:/userr/bob", "GET:/user/<username>"],
  ["two letters exchanged", "GET:/uesr/bob", "GET:/user/<username>"],
  ["another method", "POST:/user/bob", "GET:/user/<username>"],
  ["a slash at the end", "GET:/user/bob/", "GET:/user/<username>"],
  ["a param left out", "GET:/user/", "GET:/user/<username>"],
  ["text for a number", "GET:/page/two/edit", "GET:/page/<n:int>/edit"],
  ["a typo before a param that takes slashes", "GET:/sttic/a/b/c", "GET:/static/<file:path>"],
  ["text between two params", "step 1: safe a to b", "step 1: save <a> to <b>"],
];
for (const [what, path, pattern] of SUGGESTED) {
  Deno.test(`EventNotFound tells the pattern that is meant in spite of ${what}`, () => {
    const app = appWith(
      "GET:/",
      "GET:/user/<username>",
      "GET:/page/<n:int>/edit",
      "GET:/static/<file:path>",
      "step 1: save <a> to <b>",
    );
    assertEquals(hint(app, path), `; did you mean "${pattern}"?`);
  });
}

Deno.test("EventNotFound tells the closest pattern, and the first of those that are equally close", () => {
  const app = appWith("order <id> packed", "order <id> paid", "order <nr:int> paid");
  assertEquals(hint(app, "order 7 pad"), '; did you mean "order <id> paid"?');
  const exact = appWith("order one paid", "order <nr:int> paid");
  assertEquals(hint(exact, "order ones paid"), '; did you mean "order <nr:int> paid"?');
});

Deno.test("EventNotFound guesses nothing where no pattern is close", () => {
  const app = appWith("GET:/", "GET:/user/<username>", "ab", "<a>.<b>");
  for (const path of ["", "cd", "GET:/orders/7", "GET:/user/bob/posts", "a/b"]) {
    assertEquals(hint(app, path), "", path);
  }
});

Deno.test("EventNotFound tells the name that is meant", () => {
  const app = new Listener();
  app.onEvent("step 1", { name: "save" }, () => {});
  for (const name of ["sav", "ave"]) {
    assertThrows(() => app.getRoute(name), EventNotFound, 'that name; did you mean "save"?');
  }
  const { message } = assertThrows(() => app.getRoute("send"), EventNotFound) as Error;
  assertEquals(message, 'Cannot find route "send": no route has that name');
});

// A search that goes to the end takes half a second and more.
const COSTLY: [what: string, pattern: string, paths: string[]][] = [
  [
    "params",
    "<a>/<b:path>/<c>/<d:path>abcdef",
    ["a/".repeat(100), "a".repeat(200), "a/".repeat(10_000)],
  ],
  ["text that is alike", `${"a".repeat(190)}abcdef`, ["a".repeat(200)]],
];
for (const [what, pattern, paths] of COSTLY) {
  Deno.test(`EventNotFound costs a bounded time, however many routes of ${what} there are`, () => {
    const app = new Listener();
    for (let i = 0; i < 10_000; i++) app.onEvent(`${pattern}${i}`, () => {});
    for (const path of paths) {
      const start = processorTime();
      for (let i = 0; i < 20; i++) assertThrows(() => app.matchRoute(path), EventNotFound);
      const took = (processorTime() - start) / 20;
      assert(took < 50, `${took} ms`);
    }
  });
}
