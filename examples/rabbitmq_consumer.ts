// Ships the orders of a shop, which come from a RabbitMQ broker. Give the broker's address as the argument
// if it is not the default:
//
//   deno run --allow-net examples/rabbitmq_consumer.ts [amqp://guest:guest@127.0.0.1:5672]
//
// A broker:  apt-get install rabbitmq-server && rabbitmq-server
// A message: apt-get install amqp-tools &&
//            amqp-publish -e shop -r order.7.paid -p -C application/json -b '{"to":"Alice"}'
//
// Several running programs share the queue. A message is acknowledged when its event is over. If the event
// fails, or the program ends first, the message returns to the queue. Ctrl-C stops the program.

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
      // After so many failures, a message goes to the dead-letter queue, if there is one.
      queueOptions: {
        durable: true,
        arguments: { "x-queue-type": "quorum", "x-delivery-limit": 10 },
      },
      exchanges: [{ exchange: "shop", type: "topic", durable: true }],
      queueBindings: [{ exchange: "shop", routingKey: "order.*.paid" }],
      // The number of messages handled at the same time.
      qos: { prefetchCount: 10 },
    }, (message) => this.#handle(message));
    consumer.on("ready", () => console.log(`Listening to ${host}`));
    consumer.on("error", ({ message }) => console.error(`Cannot consume: ${message}`));
    const ended = Promise.withResolvers<void>();
    return {
      finished: ended.promise,
      // The consumer finishes its messages. The connection waits for that, or stops reconnecting.
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
      // If no handler matches now, none will match next time.
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
  await setTimeout(500, undefined, { signal }); // in place of real work
  console.log(`Shipped order ${params.id}`);
});

if (import.meta.main) {
  await app.run().catch((error) => {
    console.error(`ERROR: ${error.message}`);
    Deno.exitCode = 1;
  });
}
