import { assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";

const CHROMIUM = "/usr/bin/chromium";

test(
  "examples/http_web.ts greets bob in a browser",
  { permissions: ["run"], programs: [CHROMIUM] },
  async () => {
    await using program = new Program(
      ...["run", "--no-prompt", "--allow-net", "--allow-read"],
      ...["cli.ts", "examples/http_web.ts:app", "--port", "0"],
    );
    const address = /[\d.]+:\d+$/.exec(await program.nextLine())?.[0];
    const page = `http://${address}/user/bob`;
    const browser = await run("run", "-qA", "tests/examples/browser_program.ts", CHROMIUM, page);
    assertEquals(browser, { code: 0, stdout: "200 Hello, bob!\n", stderr: "" });
    program.signal("SIGINT");
    assertEquals((await program.end()).code, 0);
  },
);
