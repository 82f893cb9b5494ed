import { assertEquals, assertStringIncludes } from "@std/assert";
import { createApp } from "../../examples/users/app.ts";
import { Users } from "../../examples/users/users.ts";
import { testClient } from "../../testing.ts";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";
import { CHROMIUM, inBrowser } from "./example.ts";

const MAIN = "examples/users/main.ts";

test(
  "examples/users/main.ts keeps its users, with no more permissions than it says",
  { permissions: ["net", "run", "read", "write"], ports: [8000] },
  async () => {
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/.env`, "ADMIN_TOKEN=secret\n");
      const path = `${directory}/users.db`;
      const users: string[] = [];
      for (const name of ["Ada", "Grace"]) {
        await using program = new Program(
          ...["run", "--no-prompt", `--env-file=${directory}/.env`, "--allow-env=ADMIN_TOKEN"],
          ...["--allow-net=127.0.0.1:8000", `--allow-read=${path}`, `--allow-write=${path}`],
          ...[MAIN, path],
        );
        await program.nextLine();
        const body = JSON.stringify({ name, email: `${name}@example.org` });
        const added = await fetch("http://127.0.0.1:8000/users", { method: "POST", body });
        users.push(await added.text());
        program.signal("SIGINT");
        assertEquals((await program.end()).code, 0);
      }
      assertEquals(users, [
        '{"id":1,"name":"Ada","email":"Ada@example.org"}',
        '{"id":2,"name":"Grace","email":"Grace@example.org"}',
      ]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

test("examples/users/main.ts says that it lacks a token", { permissions: ["run"] }, async () => {
  const { code, stderr } = await run("run", "--no-prompt", "--allow-env=ADMIN_TOKEN", MAIN);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "ERROR: Cannot start: set ADMIN_TOKEN");
});

test(
  "examples/users/page.html adds a user in a browser, and shows why one is refused",
  { permissions: ["net", "run", "read"], programs: [CHROMIUM] },
  async () => {
    await using client = await testClient(createApp({ users: new Users(), adminToken: "secret" }));
    assertEquals(
      await inBrowser("examples/users_browser.ts", client.url),
      "<b>Ada</b> <ada@example.org>\nada@example.org belongs to another user\n",
    );
  },
);
