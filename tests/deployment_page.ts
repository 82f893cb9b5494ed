// The configurations in docs/deployment.md, as tests run them.

import { assertEquals } from "@std/assert";

const PAGE = new URL("../docs/deployment.md", import.meta.url);

/** A block of the page in `language`, the first if not said, with what is this machine's put in its place. */
export async function configuration(
  language: string,
  changes: [from: string, to: string][],
  at = 0,
): Promise<string> {
  const page = await Deno.readTextFile(PAGE);
  const blocks = Array.from(page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms")));
  let text = blocks[at][1];
  for (const [from, to] of changes) {
    assertEquals(text.includes(from), true, `docs/deployment.md has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
