// Opens a page in headless Chromium and prints what it shows, for browser_test.ts. It runs in a process of
// its own because playwright-core needs all permissions.

import { chromium } from "playwright-core";

const [executablePath, url] = Deno.args;
const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  const response = await page.goto(url);
  console.log(response?.status(), await page.textContent("body"));
} finally {
  await browser.close();
}
