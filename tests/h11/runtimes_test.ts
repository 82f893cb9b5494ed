// The engine stands on its own: it imports nothing, knows no runtime, and runs the same in another one.

import { assert, assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { smoke } from "./smoke.ts";

const ROOT = new URL("../../", import.meta.url);

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd: ROOT }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

for (
  const [what, first] of [
    ["Node", ""],
    [
      "Node without TextEncoder and TextDecoder",
      "delete globalThis.TextEncoder; delete globalThis.TextDecoder;",
    ],
  ]
) {
  test(`h11.ts, bundled, does the same in ${what}`, {
    permissions: ["run", "write"],
    commands: [["node", "--version"]],
  }, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const bundle = `${directory}/smoke.mjs`;
      await run(Deno.execPath(), ["bundle", "--quiet", "-o", bundle, "tests/h11/smoke.ts"]);
      const program = `${first} const { smoke } = await import(${JSON.stringify(bundle)});
          console.log(JSON.stringify(smoke()));`;
      const made = await run("node", ["--input-type=module", "--eval", program]);
      assertEquals(JSON.parse(made), smoke());
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

test("h11.ts imports nothing but what is in h11/", { permissions: ["run"] }, async () => {
  const { modules } = JSON.parse(await run(Deno.execPath(), ["info", "--json", "h11.ts"]));
  const others = modules.map(({ specifier }: { specifier: string }) => specifier)
    .filter((specifier: string) => !specifier.startsWith(new URL("h11", ROOT).href));
  assertEquals(others, []);
});

test("h11.ts knows nothing of Deno: it type-checks with ECMAScript alone", {
  permissions: ["run"],
}, async () => {
  await run(Deno.execPath(), ["task", "check:h11"]);
});
