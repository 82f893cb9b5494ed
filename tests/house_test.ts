// DESIGN's arrows: http → listener, http → h11, inspector → http and listener, telemetry → http, testing → http,
// websocket → http, compression → http, and no others. A room is a door, one file at the top, and
// the folder behind it; nobody imports around a door but the room itself, its own tests and its benchmark.

import { assertEquals } from "@std/assert";
import { test } from "./needs.ts";
import { run } from "./program.ts";

const ROOT = new URL("..", import.meta.url).href;

/** Each room's door, its folder, and what it may import: doors and packages. */
const ROOMS = [
  { door: "h11.ts", folder: "h11/", mayImport: [] },
  { door: "listener.ts", folder: "listener/", mayImport: ["@std/path"] },
  {
    door: "http_context.ts",
    folder: "http/",
    mayImport: ["h11.ts", "listener.ts", "@std/http/status"],
  },
  { door: "inspector.ts", folder: "inspector/", mayImport: ["http_context.ts", "listener.ts"] },
  {
    door: "telemetry.ts",
    folder: "telemetry/",
    mayImport: ["http_context.ts", "npm:@opentelemetry/api@^1.9.0"],
  },
  { door: "testing.ts", folder: "testing/", mayImport: ["http_context.ts"] },
  {
    door: "compression.ts",
    folder: "compression/",
    mayImport: ["http_context.ts", "node:stream", "node:zlib"],
  },
  {
    door: "websocket.ts",
    folder: "websocket/",
    mayImport: ["http_context.ts", "node:buffer", "node:stream", "npm:ws@^8.23.0"],
  },
];
type Room = typeof ROOMS[number];

interface Module {
  specifier: string;
  dependencies?: Record<"code" | "type", { specifier: string } | undefined>[];
}

/** All imports of files in the repository: files by their paths, packages by their specifiers. */
async function imports(): Promise<[file: string, imported: string][]> {
  const all = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const files = [...sourceFiles(new URL(ROOT))];
    await Deno.writeTextFile(all, files.map((url) => `import ${JSON.stringify(url)};\n`).join(""));
    const { code, stdout, stderr } = await run("info", "--json", "--config", "deno.json", all);
    assertEquals(code, 0, stderr);
    const { modules } = JSON.parse(stdout) as { modules: Module[] };
    return modules.filter(({ specifier }) => files.includes(specifier)).flatMap((module) =>
      (module.dependencies ?? []).map(({ code, type }): [string, string] => [
        relative(module.specifier),
        relative((code ?? type)!.specifier),
      ])
    );
  } finally {
    await Deno.remove(all);
  }
}

/** The URLs of the TypeScript files that are ours. */
function* sourceFiles(folder: URL): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (name.startsWith(".") || name === "node_modules" || name === "coverage") continue;
    if (isDirectory) yield* sourceFiles(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder).href;
  }
}

/** The path of a file of ours; a stand-in for a package is that package. */
function relative(specifier: string): string {
  if (!specifier.startsWith(ROOT)) return specifier.replace(/^jsr:(@std\/\w+)@[^/]*/, "$1");
  return specifier.slice(ROOT.length).replace(
    /^links\/std_(\w+)\/(?:mod|(\w+))\.ts$/,
    (_, name, file) => {
      return file === undefined ? `@std/${name}` : `@std/${name}/${file}`;
    },
  );
}

const roomOf = (file: string): Room | undefined =>
  ROOMS.find(({ door, folder }) => file === door || file.startsWith(folder));

/** Whether `file` may import `imported`. */
function isAllowed(file: string, imported: string): boolean {
  const from = roomOf(file), to = roomOf(imported);
  if (from !== undefined) return from === to || from.mayImport.includes(imported);
  if (to === undefined || imported === to.door) return true;
  return file.startsWith(`tests/${to.folder}`) ||
    file === `bench/${to.folder.replace("/", "_bench.ts")}`;
}

test(
  "rooms import each other through their doors, and only where an arrow goes",
  { permissions: ["read", "write", "run"] },
  async () => {
    const found = await imports();
    const arrows = new Set(found.map(([file, imported]) => `${roomOf(file)?.door} ${imported}`));
    assertEquals(
      ["http_context.ts h11.ts", "http_context.ts listener.ts"].filter((it) => !arrows.has(it)),
      [],
    );
    assertEquals(found.filter(([file, imported]) => !isAllowed(file, imported)), []);
    // Who imports the package gets no page, no OpenTelemetry, no WebSockets and no test client along with it.
    assertEquals(
      found.filter(([file]) => file === "mod.ts").map(([, imported]) => imported).sort(),
      ["h11.ts", "http_context.ts", "listener.ts"],
    );
  },
);

/** The names that a door exports, types among them. */
async function exportsOf(door: string): Promise<string[]> {
  const { code, stdout, stderr } = await run("doc", "--json", door);
  assertEquals(code, 0, stderr);
  const { nodes } = JSON.parse(stdout) as {
    nodes: Record<string, { symbols: { name: string }[] }>;
  };
  return Object.values(nodes).flatMap(({ symbols }) => symbols.map(({ name }) => name));
}

test(
  "mod.ts exports all that the doors do, but what is for programs that supervise others",
  { permissions: ["run"] },
  async () => {
    const all = await exportsOf("mod.ts");
    const others = [...await exportsOf("listener.ts"), ...await exportsOf("http_context.ts")];
    assertEquals(others.filter((name) => !all.includes(name)).sort(), [
      "SupervisorOptions",
      "WorkerCommandOptions",
      "isWorker",
      "onSupervisorStop",
      "superviseWorkers",
      "workerCommand",
    ]);
  },
);

test(
  "the package compiles under the options that users may set",
  { permissions: ["read", "write", "run"] },
  async () => {
    const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
    // Not in deno.json: programs write `export const app = new HTTPListener()`.
    config.compilerOptions.isolatedDeclarations = true;
    config.compilerOptions.declaration = true;
    config.links = config.links.map((link: string) => new URL(link, ROOT).pathname);
    const file = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(file, JSON.stringify(config));
      const doors = Object.values(config.exports).map((door) => new URL(`${door}`, ROOT).href);
      const { code, stderr } = await run("check", "--no-lock", "--config", file, ...doors);
      assertEquals(code, 0, stderr);
    } finally {
      await Deno.remove(file);
    }
  },
);

test(
  "what a server loads is written in ASCII: V8 keeps a file with anything else at twice its size, and compiles it slower",
  { permissions: ["read"] },
  () => {
    const doors = ["mod.ts", "h11.ts", "listener.ts", "http_context.ts"];
    const others = [...sourceFiles(new URL(ROOT))].map((url) => relative(url)).filter((file) =>
      (doors.includes(file) || /^(h11|listener|http)\//.test(file)) &&
      // deno-lint-ignore no-control-regex
      /[^\x00-\x7f]/.test(Deno.readTextFileSync(new URL(file, ROOT)))
    );
    assertEquals(others, []);
  },
);
