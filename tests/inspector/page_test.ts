import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { inspector } from "../../inspector.ts";
import { CHROMIUM, inBrowser } from "../examples/example.ts";
import { RawClient } from "../http/raw_client.ts";
import { ErrorLog, serving } from "../http/serving.ts";
import { test } from "../needs.ts";

/** What page_program.ts prints of a view. */
interface Shown {
  problems: string[];
  requests: string[];
  routes: string[];
  labels: string[];
  events: string[];
  errors: string[];
  stack: string[];
  states: string[];
  figures: string[];
  injected: number;
  hacked: string;
  background: string;
  isTooWide: boolean;
}

/** Text that would run a script, were it taken for HTML. */
const HOSTILE = "<img/src=x/onerror=hacked=1>";

test("inspector() shows in a browser what the application does, as text", {
  permissions: ["net", "run"],
  programs: [CHROMIUM],
}, async (t) => {
  using _ = new ErrorLog();
  await using app = await serving((app) => {
    app.use(inspector());
    app.onEvent("GET:/user/<name>", ({ ctx }) => ctx.response(200, "hello"));
    app.onEvent("DELETE:/<name>", async ({ ctx }) => {
      await ctx.triggerEvent("check <b>");
      throw new RangeError(HOSTILE);
    });
    app.onEvent("check <what>", () => {});
    app.onEvent(
      "GET:/hang",
      ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
    );
  }, { shutdownGrace: 1_000 });
  using hanging = await RawClient.connect(app.addr);
  await hanging.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
  using client = await RawClient.connect(app.addr);
  const lines = ["GET /user/bob", "GET /user/bob", `DELETE /${HOSTILE.replaceAll("/", "%2F")}`];
  for (const line of [...lines, `GET /a/b?${HOSTILE}`, "GET /last"]) {
    await client.send(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.response();
  }

  const url = `http://127.0.0.1:${app.addr.port}/_inspect`;
  const shown = await inBrowser("inspector/page_program.ts", url);
  const { light, dark, phone, live } = JSON.parse(shown);

  for (const [name, shown] of Object.entries<Shown>({ light, dark, phone })) {
    await t.step(`${name}: routes, requests, events, errors and connections`, () => {
      assertEquals(shown.routes.slice(0, 3), ["GET", "/user/<name>", name === "light" ? "2" : "3"]);
      assertEquals(shown.labels.slice(0, 6), [
        "GET/hang",
        "GET/user/bob",
        "GET/user/bob",
        `DELETE/${HOSTILE.replaceAll("/", "%2F")}`,
        `GET/a/b?${HOSTILE}`,
        "GET/last",
      ]);
      assertEquals(shown.events.length, 2);
      assertMatch(shown.events[1], /^check <b>check <what>$/);
      assertEquals(shown.errors, [`RangeError ${HOSTILE}`]);
      assertEquals(shown.stack, [`RangeError: ${HOSTILE}`]);
      assert(shown.states.includes("handling") && shown.states.includes("idle"));
      assertEquals(shown.states.filter((state) => state === "inspector").length, 1);
      assert(shown.figures.includes("Failed1"), shown.figures.join());
    });

    await t.step(
      `${name}: no text of a client becomes HTML, and nothing comes from elsewhere`,
      () => {
        // The page has one script, its own.
        assertEquals([shown.injected, shown.hacked, shown.problems], [1, "undefined", []]);
        const others = shown.requests.filter((it) => it !== url && it !== `${url}/events`);
        assertEquals(others.filter((it) => it !== "data:"), []);
      },
    );

    await t.step(`${name}: fits the screen`, () => assertEquals(shown.isTooWide, false));
  }

  await t.step("light and dark by what the system prefers", () => {
    assertNotEquals(light.background, dark.background);
    assertEquals(dark.background, phone.background);
  });

  await t.step("what happens is shown live, but while paused, and filtered", () => {
    assertEquals(live, { whilePaused: 0, filtered: ["GET/user/live"] });
  });
});
