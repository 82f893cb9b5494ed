// A consumer whose handler fails at the first try of each order: run by rabbitmq_consumer_test.ts.

import { RabbitMQListener } from "../../examples/rabbitmq_consumer.ts";

const app = new RabbitMQListener(Deno.args[0]);
const tried = new Set<number>();

app.onEvent("order.<id:int>.paid", ({ params: { id } }) => {
  console.log(`order ${id}: ${tried.has(id) ? "second" : "first"} try`);
  if (tried.has(id)) return;
  tried.add(id);
  throw new Error("no parcel at hand");
});

await app.run();
