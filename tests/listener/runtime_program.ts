// A listener that a runtime other than Deno runs, for runtimes_test.ts: what it prints has to be the same there.

import {
  depends,
  EventNotFound,
  importFromString,
  Listener,
  ListenerNotFound,
  TimeoutError,
} from "../../listener.ts";

const made = depends(async (event) => {
  await null;
  return `made for ${event.ctx.cid}`;
});

class App extends Listener {
  override listen(): { finished: Promise<void>; close(): void } {
    const { promise: finished, resolve: close } = withResolvers();
    // As a socket does, it keeps the process alive.
    const alive = setInterval(() => {}, 1_000);
    void finished.then(() => clearInterval(alive));
    return { finished, close };
  }
}

/** Node.js 20 has no Promise.withResolvers(). */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => resolve = done);
  return { promise, resolve };
}

const { process } = globalThis as { process?: { argv: string[] } };
const hangs = process!.argv.includes("hang");

const app = new App();
app.startup(() => console.log("startup"));
app.shutdown(async () => {
  console.log("shutdown");
  // A second signal has to end it.
  if (hangs) await new Promise(() => setInterval(() => {}, 1_000));
});
app.onEvent("save <name>", { name: "save" }, async (event) => {
  await null;
  return `${event.params.name} ${await event.use(made)}`;
});
app.onEvent("mail <n:int>", async (event) => {
  const [saved] = await event.waitEventDone("save");
  return `mail ${event.params.n + 1}: ${saved}`;
});
app.onEvent("sleep", ({ signal }) => {
  return new Promise((resolve) => signal.addEventListener("abort", resolve));
});
app.onEvent("lost", () => Promise.reject(new RangeError("nobody awaits this")));
app.finallyEvent(({ path, error }) => console.log("over", path, error === undefined));

app.startup(async () => {
  const ctx = app.newCtx({ cid: "a" });
  const mail = ctx.triggerEvent("mail 1");
  await ctx.triggerEvent("save bob");
  console.log(await mail);
  try {
    app.triggerEvent("sav bob");
  } catch (error) {
    console.log(error instanceof EventNotFound, (error as Error).message);
  }
  const late = app.triggerEvent("sleep", { timeout: 1 });
  await late.catch((error) => console.log(error instanceof TimeoutError, error.name));
  await importFromString("/nowhere/app.ts:app")
    .catch((error) => console.log(error instanceof ListenerNotFound, error.message));
  // It is logged, and does not end the process.
  app.triggerEvent("lost");
  await new Promise((resolve) => setTimeout(resolve, 5));
});

const running = app.run();
await app.start();
console.log("ready");
await running;
console.log("ended");
