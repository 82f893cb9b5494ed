// Opens the page of examples/sse_clock.ts and prints the first two times it shows.

import { launch } from "./browser.ts";

const [executablePath, url] = Deno.args;
await using browser = await launch(executablePath);
const page = await browser.newPage();
await page.goto(url);
const now = page.locator("#now");
await now.filter({ hasText: "T" }).waitFor();
const first = await now.textContent();
await now.filter({ hasNotText: first! }).waitFor();
console.log(first);
console.log(await now.textContent());
