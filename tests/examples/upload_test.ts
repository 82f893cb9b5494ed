import { assertEquals } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { CHROMIUM, inBrowser, whileServing } from "./example.ts";

const NEEDS = { permissions: ["net", "run"] } as const;
const README = new URL("../../README.md", import.meta.url).pathname;

/** What the example says of a file. */
async function told(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return `${name}: ${bytes.length} bytes, SHA-256 ${hash}`;
}

function form(name: string, value: string | Blob): FormData {
  const form = new FormData();
  form.set(name, value);
  return form;
}

test("examples/upload.ts tells what came of a file", NEEDS, async () => {
  const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
  await whileServing("upload.ts", async ({ port }) => {
    const response = await fetch(`http://127.0.0.1:${port}/upload`, {
      method: "POST",
      body: form("file", new File([bytes], "Jürgen.bin")),
    });
    assertEquals([response.status, await response.text()], [200, await told("Jürgen.bin", bytes)]);
  });
});

const REFUSED: [what: string, body: BodyInit, status: number, text: string][] = [
  ["a form without a file", form("file", "text"), 400, 'The form has no file called "file"'],
  ["what is no form", "text", 415, "The body must be a form"],
];

for (const [what, body, status, text] of REFUSED) {
  test(`examples/upload.ts refuses ${what} with ${status}`, NEEDS, async () => {
    await whileServing("upload.ts", async ({ port }) => {
      const url = `http://127.0.0.1:${port}/upload`;
      const response = await fetch(url, { method: "POST", body });
      assertEquals([response.status, await response.text()], [status, text]);
    });
  });
}

test("examples/upload.ts refuses a file that is too large before it comes", NEEDS, async () => {
  await whileServing("upload.ts", async (addr) => {
    using client = await RawClient.connect(addr);
    await client.send(
      "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" +
        `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${
          64 * 1024 ** 2 + 1
        }\r\n\r\n`,
    );
    assertEquals((await client.response()).status, 413);
  });
});

test(
  "examples/upload.ts shows the progress of an upload in a browser",
  { permissions: ["run", "read"], programs: [CHROMIUM] },
  async () => {
    await whileServing("upload.ts", async ({ port }) => {
      assertEquals(
        await inBrowser("examples/upload_browser.ts", `http://127.0.0.1:${port}/`, README),
        `true\n${await told("README.md", await Deno.readFile(README))}\n`,
      );
    });
  },
);
