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

/** The pages for users. */
function pages(): string[] {
  const guides = [...Deno.readDirSync(new URL("docs", ROOT))].map(({ name }) => `docs/${name}`);
  return ["README.md", "CHANGELOG.md", "h11/README.md", "examples/README.md", ...guides]
    .filter((path) => path.endsWith(".md"));
}

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
    for (const [, link] of (await read(path)).matchAll(/\]\(((?!\w+:)[^)\s]+)\)/g)) {
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
  for (const path of pages().filter((path) => path.startsWith("docs/"))) {
    assert(readme.includes(`(${path})`), `README.md has no link to ${path}`);
  }
});
