// Headless Chromium for the programs that drive it. They run in processes of their own, because
// playwright-core needs all permissions.

import { type Browser, chromium } from "playwright-core";

/** Starts the browser; `await using` ends it. */
export async function launch(executablePath: string): Promise<AsyncDisposable & Browser> {
  return await chromium.launch({
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
}
