import { assertEquals, assertMatch } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { CHROMIUM, inBrowser, whileServing } from "./example.ts";

const NEEDS = { permissions: ["net", "run"] } as const;

test(
  "examples/sse_clock.ts sends the time now and each second, and a whole end at SIGINT",
  NEEDS,
  async () => {
    let client: RawClient;
    await whileServing("sse_clock.ts", async (addr) => {
      client = await RawClient.connect(addr);
      await client.send("GET /time HTTP/1.1\r\nHost: a\r\n\r\n");
      assertMatch(await client.until("\r\n\r\n"), /^Content-Type: text\/event-stream\r$/m);
      const times: number[] = [];
      while (times.length < 2) {
        const event = await client.until("\n\n");
        times.push(Date.parse(/data: (.*)\n\n$/.exec(event)![1]));
      }
      assertEquals(Math.round((times[1] - times[0]) / 1000), 1);
    });
    assertMatch(await client!.rest(), /\r\n0\r\n\r\n$/);
    client![Symbol.dispose]();
  },
);

test(
  "examples/sse_clock.ts shows the time in a browser",
  { permissions: ["run"], programs: [CHROMIUM] },
  async () => {
    await whileServing("sse_clock.ts", async ({ port }) => {
      const shown = await inBrowser("examples/sse_clock_browser.ts", `http://127.0.0.1:${port}/`);
      const [first, second] = shown.split("\n").map((line) => Date.parse(line));
      assertEquals(second > first, true, shown);
    });
  },
);
