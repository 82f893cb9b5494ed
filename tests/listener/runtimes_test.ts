// The event framework does the same in Node.js as in Deno, signals included.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "../needs.ts";

const ROOT = new URL("../../", import.meta.url);

/** What the program prints until it is ended by signals, one for each time it tells that it waits for one. */
async function printed(
  command: string,
  args: string[],
  signals: [after: string, signal: Deno.Signal][],
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using child = new Deno.Command(command, {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let stdout = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += text;
    while (signals.length > 0 && stdout.includes(`${signals[0][0]}\n`)) {
      child.kill(signals.shift()![1]);
    }
  }
  const { code } = await child.status;
  return { code, stdout, stderr: await errors };
}

const PRINTED = `startup
over save bob true
over mail 1 true
mail 2: bob made for a
true Cannot find route for "sav bob": no pattern matches; did you mean "save <name>"?
over sleep false
true TimeoutError
true Cannot import "/nowhere/app.ts:app": file:///nowhere/app.ts does not exist
over lost false
ready
shutdown
`;

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`listener.ts, bundled, does the same in Node, and ends at ${signal}`, {
    permissions: ["run", "write"],
    commands: [["node", "--version"]],
  }, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const bundle = `${directory}/program.mjs`;
      const bundled = await new Deno.Command(Deno.execPath(), {
        args: ["bundle", "--quiet", "-o", bundle, "tests/listener/runtime_program.ts"],
        cwd: ROOT,
      }).output();
      assertEquals([bundled.success, new TextDecoder().decode(bundled.stderr)], [true, ""]);
      for (
        const [command, args] of [
          [Deno.execPath(), ["run", "--allow-read", "tests/listener/runtime_program.ts"]],
          ["node", [bundle]],
        ] as const
      ) {
        const once = await printed(command, [...args], [["ready", signal]]);
        assertEquals([once.code, once.stdout], [0, `${PRINTED}ended\n`]);
        assertStringIncludes(once.stderr, 'Cannot finish event "lost" ("lost"): RangeError');
        const hung = [["ready", signal], ["shutdown", signal]] as const;
        const twice = await printed(command, [...args, "hang"], hung.map(([a, b]) => [a, b]));
        assertEquals([twice.code, twice.stdout], [signal === "SIGINT" ? 130 : 143, PRINTED]);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
