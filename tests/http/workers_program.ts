// A program with workers, for workers_test.ts. Its arguments: how a worker behaves, how many there are, and
// what program they are run by.

import { isWorker, onSupervisorStop, superviseWorkers, workerCommand } from "../../http/workers.ts";

const [behaviour, count, program] = Deno.args;

if (behaviour === "compiled") {
  Object.defineProperty(Deno, "build", { value: { ...Deno.build, standalone: true } });
}

if (isWorker()) work();
else if (behaviour === "command") {
  const command = workerCommand({ address: "127.0.0.1:8000", options: ["--watch"], args: ["a b"] });
  console.log(command.slice(1).join(" "));
} else {
  const command = workerCommand({ address: "127.0.0.1:8000" });
  if (program !== undefined) command[0] = program;
  Deno.exitCode = await superviseWorkers({ command, count: Number(count), log: console.log });
  console.log("all ended");
}

function work(): void {
  const say = (text: string): void => console.log(`${Deno.pid} ${text}`);
  // A worker goes on until it is asked to end.
  const going = setInterval(() => {}, 60_000);
  const unwatch = onSupervisorStop(() => {
    say("stops");
    if (behaviour === "fails") Deno.exit(3);
    if (behaviour !== "hangs") clearInterval(going);
  });
  if (behaviour === "crashes") Deno.exit(1);
  if (behaviour === "cannot listen") Deno.exit(78);
  if (behaviour === "unwatches") {
    clearInterval(going);
    unwatch();
  }
  say("started");
}
