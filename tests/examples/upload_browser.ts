// Uploads a file on the page of examples/upload.ts; prints how far the progress bar got and what came back.

import { launch } from "./browser.ts";

const [executablePath, url, file] = Deno.args;
await using browser = await launch(executablePath);
const page = await browser.newPage();
await page.goto(url);
await page.setInputFiles("input", file);
await page.click("button");
const result = page.locator("#result");
await result.filter({ hasText: /./ }).waitFor();
console.log(await page.evaluate("bar.max > 1 && bar.value === bar.max"));
console.log(await result.textContent());
