import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Connection } from "rabbitmq-client";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";
import { freePort, RabbitMQ } from "./brokers.ts";

const COMMAND = ["run", "--no-prompt", "--allow-net", "examples/rabbitmq_consumer.ts"];

/** Publishes messages, and waits until the broker has them. */
class Shop implements AsyncDisposable {
  readonly #connection: Connection;

  constructor(url: string) {
    this.#connection = new Connection(url);
  }

  async publish(routingKey: string, body: unknown): Promise<void> {
    const publisher = this.#connection.createPublisher({ confirm: true });
    await publisher.send({ exchange: "shop", routingKey, durable: true }, body);
    await publisher.close();
  }

  /** Publishes the orders of these numbers. */
  async order(...ids: number[]): Promise<void> {
    await Promise.all(ids.map((id) => this.publish(`order.${id}.paid`, { to: "Alice" })));
  }

  /** Messages that wait for a consumer. */
  async waiting(): Promise<number> {
    const queue = await this.#connection.queueDeclare({ queue: "shipping", passive: true });
    return queue.messageCount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}

/** The example, ready for messages. */
async function startConsumer(broker: RabbitMQ): Promise<Program> {
  const program = new Program(...COMMAND, broker.url);
  assertEquals(await program.nextLine(), `Listening to ${broker.host}`);
  return program;
}

/** The numbers of the orders that a program says it has begun or finished to ship. */
class Report {
  readonly shipping = new Set<number>();
  readonly shipped = new Set<number>();

  take(line: string): void {
    const [, word, id] = /^(Shipping|Shipped) order (\d+)/.exec(line)!;
    (word === "Shipping" ? this.shipping : this.shipped).add(Number(id));
  }
}

test("examples/rabbitmq_consumer.ts", RabbitMQ.needs, async (t) => {
  await using broker = await RabbitMQ.start();

  await t.step("shares the queue, and loses nothing when one is killed at work", async () => {
    await using killed = await startConsumer(broker);
    await using other = await startConsumer(broker);
    await using shop = new Shop(broker.url);
    const reports = [new Report(), new Report()];
    const ids = Array.from({ length: 40 }, (_, i) => i);
    await shop.order(...ids);
    while (reports[0].shipping.size === 0) reports[0].take(await killed.nextLine());
    killed.signal("SIGKILL");
    const { stdout } = await killed.end();
    for (const line of stdout.split("\n").slice(0, -1)) reports[0].take(line);
    const lost = [...reports[0].shipping.difference(reports[0].shipped)];
    assert(lost.length > 0, "it was killed at work");
    const isShipped = (id: number): boolean => reports.some(({ shipped }) => shipped.has(id));
    while (!ids.every(isShipped)) reports[1].take(await other.nextLine());
    assert(lost.every((id) => reports[1].shipped.has(id)));
    other.signal("SIGINT");
    const { code, stderr } = await other.end();
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await shop.waiting(), 0);
  });

  await t.step("finishes at SIGINT what it has begun", async () => {
    await using program = await startConsumer(broker);
    await using shop = new Shop(broker.url);
    await shop.order(1);
    assertEquals(await program.nextLine(), "Shipping order 1 to Alice");
    program.signal("SIGINT");
    assertEquals(await program.end(), { code: 0, stdout: "Shipped order 1\n", stderr: "" });
    assertEquals(await shop.waiting(), 0);
  });

  await t.step("goes on after messages that it cannot read", async () => {
    await using program = await startConsumer(broker);
    await using shop = new Shop(broker.url);
    await shop.publish("order.1.paid", "to Alice");
    await shop.publish("order.one.paid", { to: "Alice" });
    await shop.order(2);
    assertEquals(await program.nextLine(), "Shipping order 2 to Alice");
    program.signal("SIGTERM");
    const { code, stderr } = await program.end();
    assertEquals(code, 0);
    assertStringIncludes(stderr, "must have a string `to`");
    assertStringIncludes(stderr, 'Cannot handle message "order.one.paid"');
    assertEquals(await shop.waiting(), 0);
  });

  await t.step("gets a message again when its event fails", async () => {
    await using program = new Program(
      ...["run", "--no-prompt", "--allow-net", "tests/examples/failing_consumer.ts", broker.url],
    );
    assertEquals(await program.nextLine(), `Listening to ${broker.host}`);
    await using shop = new Shop(broker.url);
    await shop.order(1);
    assertEquals(await program.nextLine(), "order 1: first try");
    assertEquals(await program.nextLine(), "order 1: second try");
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.end();
    assertEquals([code, stdout], [0, ""]);
    assertStringIncludes(stderr, 'Cannot handle message "order.1.paid": Error: no parcel at hand');
    assertEquals(await shop.waiting(), 0);
  });

  await t.step("ends at SIGINT or waits while the broker is away", async () => {
    await using ends = await startConsumer(broker);
    await using waits = await startConsumer(broker);
    await broker.control("stop_app");
    ends.signal("SIGINT");
    const { code, stderr } = await ends.end();
    assertEquals(code, 0);
    assertStringIncludes(stderr, `Lost ${broker.host}: `);
    await broker.control("start_app");
    assertEquals(await waits.nextLine(), `Listening to ${broker.host}`);
    await using shop = new Shop(broker.url);
    await shop.order(1);
    assertEquals(await waits.nextLine(), "Shipping order 1 to Alice");
  });
});

test(
  "examples/rabbitmq_consumer.ts says in one line that there is no broker",
  { permissions: ["net", "run"] },
  async () => {
    const host = `127.0.0.1:${freePort()}`;
    assertEquals(await run(...COMMAND, `amqp://guest:guest@${host}`), {
      code: 1,
      stdout: "",
      stderr: `ERROR: Cannot connect to "${host}": connect ECONNREFUSED ${host}; ` +
        "expected a RabbitMQ broker there (apt-get install rabbitmq-server && rabbitmq-server)\n",
    });
  },
);
