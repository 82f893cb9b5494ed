import { assertEquals, assertStringIncludes } from "@std/assert";
import type { MqttClient } from "mqtt";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";
import { freePort, Mosquitto } from "./brokers.ts";

const COMMAND = ["run", "--no-prompt", "--allow-net", "--allow-env", "examples/mqtt_client.ts"];

/** Sends messages of QoS 1, again and again until the broker has acknowledged them. */
class Publisher implements AsyncDisposable {
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
  }

  static async connect(broker: Mosquitto): Promise<Publisher> {
    // Imported here, as it reads the environment: without that permission the tests are ignored.
    const { connectAsync } = await import("mqtt");
    return new Publisher(await connectAsync(`mqtt://${broker.host}`, { reconnectPeriod: 100 }));
  }

  async publish(room: string, temperature: string): Promise<void> {
    const topic = `/iot/home/${room}/temperature`;
    await this.#client.publishAsync(topic, temperature, { qos: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync();
  }
}

/** Values of one who pushes them, for one who waits for them. */
class Queue<T> {
  readonly #values: T[] = [];
  #onPush: () => void = () => {};

  push(value: T): void {
    this.#values.push(value);
    this.#onPush();
  }

  /** The next value; a test that waits for one in vain fails. */
  async next(): Promise<T> {
    if (this.#values.length === 0) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#onPush = resolve;
      const timer = setTimeout(() => reject(new Error("Cannot get a value: none came")), 20_000);
      await promise.finally(() => clearTimeout(timer));
    }
    return this.#values.shift()!;
  }
}

async function startClient(broker: Mosquitto): Promise<Program> {
  const program = new Program(...COMMAND, `mqtt://${broker.host}`);
  assertEquals(await program.nextLine(), `Listening to ${broker.host}`);
  return program;
}

test(
  "examples/mqtt_client.ts handles each message though the broker restarts",
  Mosquitto.needs,
  async () => {
    await using broker = await Mosquitto.start();
    await using program = await startClient(broker);
    await using publisher = await Publisher.connect(broker);
    const publish = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) await publisher.publish(`room${i}`, `${i}`);
    };
    await publish(0, 30);
    const restarted = broker.restart();
    await publish(30, 90);
    await restarted;
    await publish(90, 100);
    const missing = new Set(Array.from({ length: 100 }, (_, i) => `room${i}: ${i} °C`));
    missing.add(`Listening to ${broker.host} again`);
    while (missing.size > 0) missing.delete(await program.nextLine());
    program.signal("SIGINT");
    const { code, stderr } = await program.end();
    assertEquals([code, stderr], [0, `Lost ${broker.host}: reconnecting\n`]);
  },
);

test("examples/mqtt_client.ts handles what came while it was away", Mosquitto.needs, async () => {
  await using broker = await Mosquitto.start();
  await using publisher = await Publisher.connect(broker);
  {
    await using program = await startClient(broker);
    program.signal("SIGINT");
    assertEquals(await program.end(), { code: 0, stdout: "", stderr: "" });
  }
  await publisher.publish("kitchen", "21.5");
  await publisher.publish("cellar", "12");
  await using program = new Program(...COMMAND, `mqtt://${broker.host}`);
  const lines = [await program.nextLine(), await program.nextLine(), await program.nextLine()];
  assertEquals(lines.sort(), [`Listening to ${broker.host}`, "cellar: 12 °C", "kitchen: 21.5 °C"]);
});

test(
  "examples/mqtt_client.ts goes on after a message it cannot read",
  Mosquitto.needs,
  async () => {
    await using broker = await Mosquitto.start();
    await using publisher = await Publisher.connect(broker);
    await using program = await startClient(broker);
    await publisher.publish("kitchen", "hot");
    await publisher.publish("", "21");
    await publisher.publish("kitchen", "21.5");
    assertEquals(await program.nextLine(), "kitchen: 21.5 °C");
    program.signal("SIGTERM");
    const { code, stderr } = await program.end();
    assertEquals(code, 0);
    assertStringIncludes(stderr, "must be a number of degrees Celsius");
    assertStringIncludes(stderr, 'Cannot handle message of topic "/iot/home//temperature"');
  },
);

test("MQTTListener acknowledges a message when its event is over", Mosquitto.needs, async () => {
  const { MQTTListener } = await import("../../examples/mqtt_client.ts");
  await using broker = await Mosquitto.start();
  await using publisher = await Publisher.connect(broker);
  await using app = new MQTTListener(`mqtt://${broker.host}`);
  const events = new Queue<{ text: unknown; finish: () => void }>();
  app.onEvent(
    "/iot/home/kitchen/temperature",
    ({ data: text }) => new Promise<void>((finish) => events.push({ text, finish })),
  );

  await app.start();
  await publisher.publish("kitchen", "1");
  await publisher.publish("kitchen", "2");
  const first = await events.next();
  assertEquals(first.text, "1");
  await broker.restart();
  const again = await events.next();
  assertEquals(again.text, "1", "a message whose event is not over comes again");
  first.finish();
  await broker.restart();
  const last = await events.next();
  assertEquals(last.text, "1", "an event whose connection is gone acknowledges nothing");
  again.finish();
  last.finish();
  const second = await events.next();
  assertEquals(second.text, "2");
  const stopped = app.stop();
  second.finish();
  await stopped;

  await app.start();
  await publisher.publish("kitchen", "3");
  const third = await events.next();
  assertEquals(third.text, "3", "what was acknowledged does not come again");
  third.finish();
});

test(
  "examples/mqtt_client.ts ends at SIGINT while the broker is away",
  Mosquitto.needs,
  async () => {
    await using broker = await Mosquitto.start();
    await using program = await startClient(broker);
    await broker.stop();
    program.signal("SIGINT");
    assertEquals((await program.end()).code, 0);
  },
);

test(
  "examples/mqtt_client.ts says in one line that there is no broker",
  { permissions: ["net", "run"] },
  async () => {
    const host = `127.0.0.1:${freePort()}`;
    assertEquals(await run(...COMMAND, `mqtt://${host}`), {
      code: 1,
      stdout: "",
      stderr: `ERROR: Cannot connect to "${host}": connect ECONNREFUSED ${host}; ` +
        "expected an MQTT broker there (apt-get install mosquitto && mosquitto -p 1883)\n",
    });
  },
);
