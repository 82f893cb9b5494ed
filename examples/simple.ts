// Two steps; the second waits for the first:
//
//     deno run examples/simple.ts

import { Listener } from "../listener.ts";

class App extends Listener {
  override listen(): void {
    const ctx = this.newCtx();
    ctx.triggerEvent("step 2: send email to alice@tl.com");
    ctx.triggerEvent("step 1: save Alice's data to database", { data: { age: 35 } });
  }
}

/** Checks the data of step 1: `event.data` is what this returns. */
function toUser(data: unknown): { age: number } {
  const { age } = Object(data);
  if (typeof age !== "number") throw new TypeError("age must be a number");
  return { age };
}

export const app = new App();

app.onEvent(
  "step 1: save <username>'s data to database",
  { name: "save", data: toUser },
  ({ params, data }) => {
    console.log(`Save data done!, username: ${params.username}, age: ${data.age}`);
  },
);

app.onEvent("step 2: send email to <email>", async (event) => {
  await event.waitEventDone("save");
  console.log(`Send email done!, email: ${event.params.email}`);
});

if (import.meta.main) await app.run();
