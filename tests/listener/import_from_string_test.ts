import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { toFileUrl } from "@std/path";
import { importFromString, Listener, ListenerNotFound } from "../../listener.ts";
import { type Needs, test } from "../needs.ts";

const DOOR = new URL("../../listener.ts", import.meta.url).pathname;
const READ: Needs = { permissions: ["read"] };
const READ_AND_WRITE: Needs = { permissions: ["read", "write"] };

test("importFromString() imports an export of a file", READ, async () => {
  assertStrictEquals(await importFromString(`${DOOR}:Listener`), Listener);
  assertStrictEquals(await importFromString(`${toFileUrl(DOOR).href}:Listener`), Listener);
});

test("importFromString() finds what is inside an export", READ, async () => {
  assertEquals(await importFromString(`${DOOR}:Listener.name`), "Listener");
});

test("importFromString() looks for files from the current directory", READ_AND_WRITE, async () => {
  const directory = await Deno.makeTempDir();
  const before = Deno.cwd();
  try {
    await Deno.writeTextFile(`${directory}/an app #1.ts`, "export const app = 1;");
    Deno.chdir(directory);
    assertEquals(await importFromString("an app #1.ts:app"), 1);
  } finally {
    Deno.chdir(before);
    await Deno.remove(directory, { recursive: true });
  }
});

const REFUSED: [what: string, text: string, message: string][] = [
  ["text without a name", "app.ts", 'Cannot import "app.ts": must be "file:name"'],
  ["text without a file", ":app", "must be"],
  ["an empty name", `${DOOR}:`, "must be"],
  ["a name that is none", `${DOOR}:a-b`, "must be"],
  ["a name the file does not export", `${DOOR}:app`, 'has no export "app"'],
  ["a name inside an export that has none", `${DOOR}:app.x.y`, 'has no export "app.x.y"'],
  ["a file that is not there", "no_such_file.ts:app", "does not exist"],
];
for (const [what, text, message] of REFUSED) {
  test(`importFromString() refuses ${what}`, READ, async () => {
    await assertRejects(() => importFromString(text), ListenerNotFound, message);
  });
}

test("importFromString() throws what the module throws", READ_AND_WRITE, async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, 'import "./not_here.ts"; export const app = 1;');
    await assertRejects(() => importFromString(`${file}:app`), TypeError, "not_here.ts");
    await Deno.writeTextFile(`${file}x.ts`, 'throw new RangeError("own"); export const app = 1;');
    await assertRejects(() => importFromString(`${file}x.ts:app`), RangeError, "own");
  } finally {
    await Deno.remove(file);
    await Deno.remove(`${file}x.ts`).catch(() => {});
  }
});
