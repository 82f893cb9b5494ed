// An example on a free port, as a process of its own, and the programs that drive it.

import { assertEquals } from "@std/assert";
import { Program, run } from "../program.ts";

/** The browser that the tests drive. */
export const CHROMIUM = "/usr/bin/chromium";

/** Runs `use` while the example serves at `addr`; at the end it has to stop at SIGINT with status 0. */
export async function whileServing(
  example: string,
  use: (addr: Deno.NetAddr, program: Program) => Promise<void>,
  permissions: string[] = [],
): Promise<void> {
  await using program = new Program(
    ...["run", "--no-prompt", "--allow-net", "--allow-read", ...permissions],
    ...["cli.ts", `examples/${example}:app`, "--port", "0"],
  );
  const port = Number(/:(\d+)$/.exec(await program.nextLine())?.[1]);
  await use({ transport: "tcp", hostname: "127.0.0.1", port }, program);
  program.signal("SIGINT");
  const { code, stderr } = await program.end();
  assertEquals([code, stderr], [0, ""]);
}

/** What a program in `tests/` that drives the browser prints. It needs all permissions, so it is a process of its own. */
export async function inBrowser(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(
    ...["run", "-qA", `tests/${program}`, CHROMIUM, ...args],
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** What curl prints with these arguments, and its status. */
export async function curl(...args: string[]): Promise<{ code: number; stdout: string }> {
  const { code, stdout } = await new Deno.Command("/usr/bin/curl", {
    args: ["--silent", "--max-time", "30", ...args],
    stdin: "null",
    stderr: "null",
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout) };
}
