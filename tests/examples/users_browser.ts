// Adds a user on the page of examples/users/, twice; prints the list after the first time, and why not again.

import { launch } from "./browser.ts";

const [executablePath, url] = Deno.args;
await using browser = await launch(executablePath);
const page = await browser.newPage();
await page.goto(url);
const add = async (name: string): Promise<void> => {
  await page.fill("[name=name]", name);
  await page.fill("[name=email]", "ada@example.org");
  await page.click("button");
};
await add("<b>Ada</b>");
const item = page.locator("li");
await item.waitFor();
console.log(await item.textContent());
await add("Grace");
const problem = page.locator("#problem", { hasText: /./ });
await problem.waitFor();
console.log(await problem.textContent());
