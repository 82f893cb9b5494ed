// What cli_test.ts has the command run.

import { HTTPListener, Listener } from "../mod.ts";

/** A web server that listens to more than its own machine. */
export const everywhere = new HTTPListener({ hostname: "0.0.0.0", port: 8000 });

/** A web server on a Unix socket. */
export const unix = new HTTPListener({ path: "/nowhere/unix.sock" });

/** A web server that tells which process answers; its log has no line for an answer. */
export const pid = new HTTPListener({ accessLog: () => {} });
pid.onEvent("GET:/", ({ ctx }) => ctx.response(200, `${Deno.pid}`));
pid.onEvent("POST:/wait", async ({ ctx }) => {
  const { promise: interrupted, resolve } = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGINT", resolve);
  console.log(`${Deno.pid} waits`);
  await interrupted;
  Deno.removeSignalListener("SIGINT", resolve);
  console.log("was interrupted");
  ctx.response(200, await ctx.text());
});

pid.onEvent("POST:/stop", async ({ ctx }) => {
  const { promise: stopping, resolve } = Promise.withResolvers<unknown>();
  ctx.listener.stopSignal.addEventListener("abort", resolve);
  console.log("waits");
  await stopping;
  console.log("stops");
  ctx.response(200, await ctx.text());
});

/** A web server whose program listens for SIGTERM itself. */
export const listening = new HTTPListener({ accessLog: () => {} });
listening.startup(() => Deno.addSignalListener("SIGTERM", () => console.log("hears")));

/** A web server that cannot start. */
export const failing = new HTTPListener();
failing.startup(() => Promise.reject(new Error("no database")));

/** A web server that is not up before it is stopped. */
export const waiting = new HTTPListener();
waiting.startup(() => {
  console.log("waits");
  return new Promise((_, reject) => waiting.stopSignal.addEventListener("abort", reject));
});

/** A program that has something left to do after its web server, which is stopped before it listens. */
class Tidying extends HTTPListener {
  override async run(): Promise<void> {
    await super.run();
    await new Promise((resolve) => setTimeout(resolve, 0));
    console.log("tidied up");
  }
}
export const tidying = new Tidying();
tidying.startup(() => {
  console.log("waits");
  return new Promise((resolve) => tidying.stopSignal.addEventListener("abort", resolve));
});

/** A web server without a log whose program exits as soon as it starts. */
export const exiting = new HTTPListener({ port: 8000, accessLog: false });
exiting.startup(() => Deno.exit(3));

class Once extends Listener {
  override listen(): void {
    this.newCtx().triggerEvent("once");
  }
}

/** A listener of another kind, which ends by itself. */
const once = new Once();
once.onEvent("once", () => console.log("once"));

/** Exports that are not listeners of their own. */
export const all = { once };
export const nothing = null;
export const number = 5;
export { Once };

// What keeps the program going must not keep the command from ending with its error.
const going = setInterval(() => {}, 60_000);
for (const app of [once, pid, tidying]) app.shutdown(() => clearInterval(going));
