// Opens a page in headless Chromium and prints what it shows, for browser_test.ts.

import { launch } from "./browser.ts";

const [executablePath, url] = Deno.args;
await using browser = await launch(executablePath);
const page = await browser.newPage();
const response = await page.goto(url);
console.log(response?.status(), await page.textContent("body"));
