import { assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { CHROMIUM, inBrowser, whileServing } from "./example.ts";

test(
  "examples/http_web.ts greets bob in a browser",
  { permissions: ["run"], programs: [CHROMIUM] },
  async () => {
    await whileServing("http_web.ts", async ({ hostname, port }) => {
      const page = `http://${hostname}:${port}/user/bob`;
      assertEquals(await inBrowser("examples/browser_program.ts", page), "200 Hello, bob!\n");
    });
  },
);
