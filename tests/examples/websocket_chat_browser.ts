// Two windows of the page of examples/websocket_chat.ts talk; prints what each of them shows.

import { launch } from "./browser.ts";

const [executablePath, url] = Deno.args;
await using browser = await launch(executablePath);
const windows = [await browser.newPage(), await browser.newPage()];
for (const page of windows) {
  await page.goto(url);
  await page.locator("#text:enabled").waitFor();
}
const MESSAGES = ["Hello!", "Hi, <b>Jürgen</b> 🦕"];
for (const [i, message] of MESSAGES.entries()) {
  await windows[i].fill("#text", message);
  await windows[i].press("#text", "Enter");
  for (const page of windows) await page.locator("li", { hasText: message }).waitFor();
}
for (const page of windows) console.log((await page.locator("li").allTextContents()).join("|"));
