// Opens an inspector's page in headless Chromium and prints what it shows, as JSON, for page_test.ts: in each
// colour scheme, on a desk and on a phone. Given a folder, it leaves a picture of each there, to look at:
//
//   deno run -A tests/inspector/page_program.ts /usr/bin/chromium http://127.0.0.1:8000/_inspect /tmp

import { launch } from "../examples/browser.ts";

const [executablePath, url, folder] = Deno.args;
await using browser = await launch(executablePath);

const VIEWS = [
  { name: "light", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "phone", colorScheme: "dark", viewport: { width: 390, height: 844 } },
] as const;

const shown: Record<string, unknown> = {};
for (const { name, ...options } of VIEWS) {
  const page = await browser.newPage(options);
  const problems: string[] = [];
  const requests: string[] = [];
  page.on("pageerror", ({ message }) => problems.push(message));
  page.on("console", (message) => problems.push(message.text()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await page.locator("#state.live").waitFor();
  // The last request of page_test.ts.
  const last = page.locator("#contexts details").filter({ hasText: "/last" });
  await last.waitFor();
  // The server may notice later that the page before was closed.
  const pills = page.locator("#connections .pill").filter({ hasText: "inspector" });
  await pills.first().waitFor();
  await pills.nth(1).waitFor({ state: "detached" });
  const failed = page.locator("#contexts details").filter({ hasText: "DELETE" });
  await failed.click();
  await page.locator("#errors summary").click();

  // As a script in the page sees it; this program is checked without the types of a browser.
  // deno-lint-ignore no-explicit-any
  const inPage = (script: string): Promise<any> => page.evaluate(script);
  const texts = (selector: string): Promise<string[]> =>
    page.locator(selector).evaluateAll((nodes) => nodes.map((it) => it.textContent ?? ""));
  shown[name] = {
    problems,
    requests: requests.map((it) => it.replace(/^data:.*/s, "data:")),
    routes: await texts("#routes tr td:nth-child(-n+3)"),
    labels: (await texts("#contexts summary .label")).reverse(),
    events: await texts("#contexts details[open] .events p"),
    errors: await texts("#errors summary .label"),
    stack: (await texts("#errors pre")).map((it) => it.split("\n")[0]),
    states: await texts("#connections .pill"),
    figures: await texts("#tiles .tile"),
    // Nothing that was shown became part of the document.
    injected: await inPage("[...document.querySelectorAll('img, b b, body script')].length"),
    hacked: await inPage("typeof hacked"),
    background: await inPage("getComputedStyle(document.body).backgroundColor"),
    isTooWide: await inPage("document.documentElement.scrollWidth > innerWidth"),
  };
  if (folder !== undefined) await page.screenshot({ path: `${folder}/inspector-${name}.png` });

  if (name === "light") {
    // What happens now is shown without a reload, unless the page is paused; the filter leaves the rest out.
    await page.locator("#pause").click();
    await fetch(new URL("/user/live", url)).then((response) => response.text());
    const live = page.locator("#contexts details").filter({ hasText: "/user/live" });
    // The page knows of it, and does not show it.
    while (!await inPage("[...contexts.values()].some((it) => it.label.includes('live'))")) {
      await page.waitForTimeout(20);
    }
    const whilePaused = await live.count();
    await page.locator("#pause").click();
    await live.waitFor();
    await page.locator("#filter").fill("LIVE");
    await last.waitFor({ state: "detached" });
    shown.live = { whilePaused, filtered: await texts("#contexts summary .label") };
  }
  await page.close();
}
console.log(JSON.stringify(shown));
