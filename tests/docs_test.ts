// What the pages say of the code and of each other. Their TypeScript is run by `deno test --doc`.

import { assert, assertEquals } from "@std/assert";
import { test } from "./needs.ts";

const READ = { permissions: ["read"] } as const;
const ROOT = new URL("../", import.meta.url);

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

/** Lines without indentation, for a page shows what is within a function without it; without empty ones. */
function linesOf(code: string): string[] {
  return code.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

/** The blocks of a page that belong to a file: those after its name that are not run as they stand. */
function quotes(page: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let file = "";
  for (
    const [, name, block] of page.matchAll(
      /`(examples\/[\w/.]+)`|^```(?:ts ignore|html)\n(.*?)^```/gms,
    )
  ) {
    if (name !== undefined) file = name;
    else found.set(file, [...found.get(file) ?? [], ...linesOf(block)]);
  }
  return found;
}

/** A file as a user writes it who imports the package, and without the comment at its head. */
async function asQuoted(path: string): Promise<string[]> {
  const code = (await read(path)).replace(/^(\/\/.*\n)+/, "");
  return linesOf(
    code.replace('"../../mod.ts"', '"@tiny/listener"')
      .replace('"../../testing.ts"', '"@tiny/listener/testing"'),
  );
}

test("docs/tutorial.md shows the whole of examples/users/", READ, async () => {
  const shown = quotes(await read("docs/tutorial.md"));
  const files = [...Deno.readDirSync(new URL("examples/users", ROOT))].map(({ name }) => name);
  assertEquals([...shown.keys()].toSorted(), files.map((name) => `examples/users/${name}`).sort());
  for (const [path, lines] of shown) assertEquals(lines, await asQuoted(path), path);
});

/** The pages of a folder and of those in it. */
function* pages(folder = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (name.startsWith(".") || name === "node_modules") continue;
    if (isDirectory) yield* pages(`${folder}${name}/`);
    else if (name.endsWith(".md")) yield folder + name;
  }
}

/** Links to files, in the text or in a line of their own that says where a name leads. */
const LINK = /(?:\]\(|^\[[^\]]+\]: )((?!\w+:)[^)\s]+)/gm;

/** The anchors that a page's headings have, as forges make them. */
function anchors(page: string): string[] {
  const headings = page.replace(/^```.*?^```/gms, "").matchAll(/^#+ (.*)$/gm);
  return Array.from(
    headings,
    ([, text]) => text.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-"),
  );
}

test("links between pages lead somewhere", READ, async () => {
  const broken: string[] = [];
  for (const path of pages()) {
    for (const [, link] of (await read(path)).matchAll(LINK)) {
      const target = new URL(link, new URL(path, ROOT));
      const anchor = target.hash.slice(1);
      target.hash = "";
      const isThere = await Deno.stat(target).then(() => true, () => false);
      if (!isThere) broken.push(`${path}: ${link}`);
      else if (anchor !== "" && !anchors(await Deno.readTextFile(target)).includes(anchor)) {
        broken.push(`${path}: ${link}`);
      }
    }
  }
  assertEquals(broken, []);
});

test("README.md leads to each guide", READ, async () => {
  const readme = await read("README.md");
  for (const path of pages("docs/")) {
    assert(readme.includes(`(${path})`), `README.md has no link to ${path}`);
  }
});

/** The classes of errors that the package's doors export. */
async function errorClasses(): Promise<string[]> {
  const { exports } = JSON.parse(await read("deno.json"));
  const found = new Set<string>();
  const collect = (module: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(module)) {
      if (name === "h11") collect(value as Record<string, unknown>);
      else if (isErrorClass(value)) found.add(name);
    }
  };
  for (const door of Object.values(exports)) collect(await import(new URL(`${door}`, ROOT).href));
  return [...found].sort();
}

function isErrorClass(value: unknown): boolean {
  const { prototype } = Object(value);
  return prototype instanceof Error || prototype instanceof DOMException;
}

// The package ws asks for the environment.
const READ_AND_ENV = { permissions: ["read", "env"] } as const;

test("docs/errors.md lists each class of errors, and no other", READ_AND_ENV, async () => {
  const page = await read("docs/errors.md");
  const listed = Array.from(page.matchAll(/^\| `([A-Z]\w+)`/gm), ([, name]) => name);
  assertEquals(listed.sort(), await errorClasses());
});

/** The code that a user's program runs, without comments. */
async function sources(): Promise<string> {
  const { publish } = JSON.parse(await read("deno.json"));
  const files: string[] = [];
  for (const path of publish.include as string[]) {
    if (!path.endsWith("/**/*.ts")) files.push(path);
    else {
      const folder = path.replace("**/*.ts", "");
      for (const { name } of Deno.readDirSync(new URL(folder, ROOT))) files.push(folder + name);
    }
  }
  const code = await Promise.all(files.filter((path) => path.endsWith(".ts")).map(read));
  return code.join("\n").replace(/^\s*(\/\/|\*|\/\*\*).*$/gm, "");
}

test("docs/errors.md quotes messages as they are", READ, async () => {
  const code = await sources();
  const page = await read("docs/errors.md");
  const unknown: string[] = [];
  for (const [, message] of page.matchAll(/^\| `((?:Cannot|WARNING|ERROR|…) ?[^`]*)`/gm)) {
    // What is between dots varies.
    for (const part of message.split(/…|"|192\.0\.2\.1:5000|Too many open files/)) {
      if (part.trim().length > 2 && !code.includes(part.trim())) unknown.push(part);
    }
  }
  assertEquals(unknown, []);
});

test("docs/internals.md names files that are there", READ, async () => {
  const page = await read("docs/internals.md");
  const named = Array.from(page.matchAll(/`([\w/]+\.(?:ts|md|json))`/g), ([, path]) => path);
  const missing = named.filter((path) => {
    try {
      return !Deno.statSync(new URL(path, ROOT)).isFile;
    } catch {
      return true;
    }
  });
  assertEquals(missing, []);
});

const PYTHON = "/usr/bin/python3";
const NAMES =
  "import h11; print(*[n for o in (h11, h11.Connection) for n in dir(o) if n[0] != '_'])";

test(
  "docs/from_h11.md has each name of Python's h11",
  { permissions: ["read", "run"], commands: [[PYTHON, "-I", "-c", NAMES]] },
  async () => {
    const { stdout } = await new Deno.Command(PYTHON, { args: ["-I", "-c", NAMES] }).output();
    const page = await read("docs/from_h11.md");
    const names = new TextDecoder().decode(stdout).trim().split(" ");
    assertEquals(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page)), []);
  },
);
