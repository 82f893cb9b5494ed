// Prints the temperatures of a home, which an MQTT broker sends. Give the broker's address as the argument
// if it is not the default:
//
//   deno run --allow-net --allow-env examples/mqtt_client.ts [mqtt://127.0.0.1:1883]
//
// A broker:  apt-get install mosquitto && mosquitto -p 1883
// A message: apt-get install mosquitto-clients &&
//            mosquitto_pub -q 1 -t /iot/home/kitchen/temperature -m 21.5
//
// A message of QoS 1 is acknowledged when its event is over. So none is lost while this program is down, or
// while the broker is, if it keeps its data ("persistence true"). A message that was being handled at that
// time is delivered again. Ctrl-C stops the program.

import { connect, type IPublishPacket } from "mqtt";
import { Listener, type Source } from "../listener.ts";

export class MQTTListener extends Listener {
  readonly #url: string;

  constructor(url = "mqtt://127.0.0.1:1883") {
    super();
    this.#url = url;
  }

  override async listen(): Promise<Source> {
    const { host } = new URL(this.#url);
    const client = connect(this.#url, {
      // The broker keeps messages for a client that reconnects with the same id.
      clientId: "tiny-listener",
      clean: false,
      connectTimeout: 5_000,
      reconnectOnConnackError: true,
    });
    let handling = Promise.resolve();
    let isClosing = false;
    // Messages arrive one at a time. `next()` acknowledges one; after `next(error)`, it is delivered again.
    client.handleMessage = (packet, next) => {
      if (isClosing) return next(new Error("the listener is stopping"));
      const { stream } = client;
      handling = this.#handle(packet as IPublishPacket).then(() =>
        next(client.stream === stream ? undefined : new Error("its connection was lost"))
      );
    };
    try {
      await new Promise<void>((resolve, reject) => {
        client.once("connect", () => resolve());
        client.once("error", reject);
        client.once("close", () => reject(new Error("the connection was closed")));
      });
      await client.subscribeAsync("/iot/home/+/temperature", { qos: 1 });
    } catch (error) {
      client.end(true);
      const { message } = error as Error;
      throw new Error(
        `Cannot connect to "${host}": ${message}; expected an MQTT broker there ` +
          "(apt-get install mosquitto && mosquitto -p 1883)",
      );
    }
    console.log(`Listening to ${host}`);
    client.on("offline", () => console.error(`Lost ${host}: reconnecting`));
    client.on("connect", () => console.log(`Listening to ${host} again`));
    const ended = Promise.withResolvers<void>();
    return {
      finished: ended.promise,
      close: () => {
        isClosing = true;
        // Without a connection, there is no broker to disconnect from gracefully: end by force.
        void handling.then(() => client.end(!client.connected, () => ended.resolve()));
      },
      abort: () => {
        client.end(true, () => ended.resolve());
        client.stream.destroy();
      },
    };
  }

  async #handle({ topic, payload }: IPublishPacket): Promise<void> {
    try {
      // Until it is handled, nothing else is read from the broker, not even keep-alives: hence the limit.
      await this.triggerEvent(topic, { data: String(payload), timeout: 30_000 });
    } catch (error) {
      // MQTT cannot return a message to the broker: one that fails is logged and dropped.
      console.error(`Cannot handle message of topic ${JSON.stringify(topic)}:`, error);
    }
  }
}

/** Reads the payload of a message: `event.data` is what this returns. */
function toCelsius(payload: unknown): number {
  const celsius = Number.parseFloat(String(payload));
  if (Number.isNaN(celsius)) throw new TypeError("must be a number of degrees Celsius");
  return celsius;
}

export const app = new MQTTListener(import.meta.main ? Deno.args[0] : undefined);

app.onEvent("/iot/home/<room>/temperature", { data: toCelsius }, ({ params, data }) => {
  console.log(`${params.room}: ${data} °C`);
});

if (import.meta.main) {
  await app.run().catch((error) => {
    console.error(`ERROR: ${error.message}`);
    Deno.exitCode = 1;
  });
}
