// The engine against the parsers that Node and Python have, all reading one browser's GET:
//
//     deno run --allow-read --allow-write --allow-run --allow-env bench/h11/node.ts
//
// Node runs this engine, llhttp (its own parser) and http-parser-js in one process; Python runs its
// h11 in another, between the runs of Node's. The best of all rounds counts.

import { BROWSER_GET, CHUNKED_BODY_SIZE } from "./cases.ts";

const PYTHON = "/usr/bin/python3";
const RUNS = 2;

async function output(command: string, args: string[], input = ""): Promise<string> {
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error(`Cannot run ${command}: it failed`);
  return new TextDecoder().decode(stdout);
}

const path = (name: string): string => new URL(name, import.meta.url).pathname;
const directory = await Deno.makeTempDir();
const best: Record<string, number> = {};
try {
  const bundle = `${directory}/rounds.mjs`;
  await output(Deno.execPath(), ["bundle", "--quiet", "-o", bundle, path("node_rounds.ts")]);
  for (let run = 0; run < RUNS; run++) {
    const node = JSON.parse(await output("node", ["--no-deprecation", bundle]));
    const python = Number(await output(PYTHON, [path("cycle.py")], BROWSER_GET));
    for (const [name, ns] of Object.entries({ ...node.best, "Python's h11 cycle": python })) {
      best[name] = Math.min(best[name] ?? Infinity, ns as number);
    }
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}

const cycle = best["ours cycle"];
for (const [name, ns] of Object.entries(best)) {
  const shown = name === "ours chunked 1 MiB"
    ? `${(CHUNKED_BODY_SIZE / ns).toFixed(1)} GB/s`
    : `${(ns / cycle).toFixed(2)} x our cycle`;
  console.log(`${name.padEnd(28)} ${ns.toFixed(0).padStart(8)} ns  ${shown}`);
}
