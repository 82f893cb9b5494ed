// Ships the orders of a shop, which come from a RabbitMQ broker. Where that has another address than
// the usual one, give it as the argument:
//
//   deno run --allow-net examples/rabbitmq_consumer.ts [amqp://guest:guest@127.0.0.1:5672]
//
// A broker:  apt-get install rabbitmq-server && rabbitmq-server
// A message: apt-get install amqp-tools &&
//            amqp-publish -e shop -r order.7.paid -p -C application/json -b '{"to":"Alice"}'
//
// Programs that run at the same time share the queue. A message is acknowledged when its event is over;
// it goes back into the queue when that fails, or when the program ends before. Ctrl-C stops it.

import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { type AsyncMessage, Connection, ConsumerStatus } from "rabbitmq-client";
import { Listener, ListenerError, type Source } from "../listener.ts";

export class RabbitMQListener extends Listener {
  readonly #url: string;

  constructor(url = "amqp://guest:guest@127.0.0.1:5672") {
    super();
    this.#url = url;
  }

  override async listen(): Promise<Source> {
    const { host } = new URL(this.#url);
    const rabbit = new Connection({ url: this.#url, retryHigh: 5_000 });
    try {
      await once(rabbit, "connection");
    } catch (error) {
      rabbit.unsafeDestroy();
      const { message } = error as Error;
      throw new Error(
        `Cannot connect to "${host}": ${message}; expected a RabbitMQ broker there ` +
          "(apt-get install rabbitmq-server && rabbitmq-server)",
      );
    }
    rabbit.on("error", ({ message }) => console.error(`Lost ${host}: ${message}`));
    const consumer = rabbit.createConsumer({
      queue: "shipping",
      // A message that has failed so often goes to the dead letters, where the queue has such.
      queueOptions: {
        durable: true,
        arguments: { "x-queue-type": "quorum", "x-delivery-limit": 10 },
      },
      exchanges: [{ exchange: "shop", type: "topic", durable: true }],
      queueBindings: [{ exchange: "shop", routingKey: "order.*.paid" }],
      // Messages that are handled at the same time.
      qos: { prefetchCount: 10 },
    }, (message) => this.#handle(message));
    consumer.on("ready", () => console.log(`Listening to ${host}`));
    consumer.on("error", ({ message }) => console.error(`Cannot consume: ${message}`));
    const ended = Promise.withResolvers<void>();
    return {
      finished: ended.promise,
      // The consumer finishes its messages; the connection waits for that, or gives up reconnecting.
      close: () => {
        void Promise.allSettled([consumer.close(), rabbit.close()]).then(() => ended.resolve());
      },
      abort: () => {
        rabbit.unsafeDestroy();
        ended.resolve();
      },
    };
  }

  async #handle({ routingKey, body }: AsyncMessage): Promise<ConsumerStatus> {
    try {
      await this.triggerEvent(routingKey, { data: body });
      return ConsumerStatus.ACK;
    } catch (error) {
      console.error(`Cannot handle message ${JSON.stringify(routingKey)}:`, error);
      // What no handler takes now none will take the next time.
      return error instanceof ListenerError ? ConsumerStatus.DROP : ConsumerStatus.REQUEUE;
    }
  }
}

/** Reads the body of a message: `event.data` is what this returns. */
function toParcel(body: unknown): { to: string } {
  const { to } = Object(body);
  if (typeof to !== "string") throw new TypeError("must have a string `to`");
  return { to };
}

export const app = new RabbitMQListener(import.meta.main ? Deno.args[0] : undefined);

app.onEvent("order.<id:int>.paid", { data: toParcel }, async ({ params, data, signal }) => {
  console.log(`Shipping order ${params.id} to ${data.to}`);
  await setTimeout(500, undefined, { signal }); // stands for the work
  console.log(`Shipped order ${params.id}`);
});

if (import.meta.main) {
  await app.run().catch((error) => {
    console.error(`ERROR: ${error.message}`);
    Deno.exitCode = 1;
  });
}
