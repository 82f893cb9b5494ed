// Brokers for tests: real ones, on ports of their own, with their data in folders that go with them.

import type { Needs } from "../needs.ts";

const MOSQUITTO = "/usr/sbin/mosquitto";
// Debian's /usr/sbin/rabbitmq-server would run this one as another user, on the machine's data.
const RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl";
const EPMD = "/usr/bin/epmd";

/** What a test with a broker needs: clients of brokers read the environment. */
const PERMISSIONS = ["net", "run", "read", "write", "env"] as const;

/** Milliseconds a program has to listen. */
const START_LIMIT = 60_000;

/** Brokers write their logs nowhere. */
const SILENT = { stdin: "null", stdout: "null", stderr: "null" } as const;

/** An MQTT broker, which keeps sessions and messages over a restart. */
export class Mosquitto implements AsyncDisposable {
  /** What a test that starts one needs. */
  static readonly needs: Needs = { permissions: PERMISSIONS, programs: [MOSQUITTO] };
  readonly #port = freePort();
  /** Where it listens: address and port. */
  readonly host = `127.0.0.1:${this.#port}`;
  readonly #folder = Deno.makeTempDirSync({ prefix: "mosquitto-" });
  #server: Server | null = null;

  /** Makes a broker that listens. */
  static async start(): Promise<Mosquitto> {
    await using stack = new AsyncDisposableStack();
    const broker = stack.use(new Mosquitto());
    await broker.#start();
    stack.move();
    return broker;
  }

  /** Ends it, and starts it on the same port and data. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#start();
  }

  async #start(): Promise<void> {
    const config = `${this.#folder}/mosquitto.conf`;
    await Deno.writeTextFile(
      config,
      [
        `listener ${this.#port} 127.0.0.1`,
        "allow_anonymous true",
        "persistence true",
        `persistence_location ${this.#folder}/`,
        // Started by root, it would become a user who may not write here.
        "user root",
      ].join("\n"),
    );
    const command = new Deno.Command(MOSQUITTO, { args: ["-c", config], ...SILENT });
    this.#server = await Server.start(command, this.#port);
  }

  /** Ends it in order, so that it saves its data. */
  async stop(): Promise<void> {
    await this.#server?.end();
    this.#server = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** An AMQP broker. */
export class RabbitMQ implements AsyncDisposable {
  /** What a test that starts one needs. */
  static readonly needs: Needs = { permissions: PERMISSIONS, programs: [RABBITMQ, EPMD] };
  readonly #port = freePort();
  /** Where it listens: address and port. */
  readonly host = `127.0.0.1:${this.#port}`;
  readonly #folder = Deno.makeTempDirSync({ prefix: "rabbitmq-" });
  readonly #epmdPort = freePort();
  /** The environment of all its programs, which is all that they have in common with each other. */
  readonly #env = {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: this.#folder,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: `${this.#epmdPort}`,
    RABBITMQ_NODENAME: "test@localhost",
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: `${this.#port}`,
    RABBITMQ_DIST_PORT: `${freePort()}`,
    RABBITMQ_MNESIA_BASE: `${this.#folder}/mnesia`,
    RABBITMQ_LOG_BASE: `${this.#folder}/log`,
    RABBITMQ_PID_FILE: `${this.#folder}/pid`,
    // Files that are not there, instead of the machine's: the broker's defaults hold.
    RABBITMQ_CONFIG_FILE: `${this.#folder}/none`,
    RABBITMQ_CONF_ENV_FILE: `${this.#folder}/none`,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${this.#folder}/none`,
    // The script becomes the broker then, and does not stand between it and its signals.
    RUNNING_UNDER_SYSTEMD: "1",
  };
  readonly #servers: Server[] = [];

  /** Makes a broker that listens, which takes some seconds. */
  static async start(): Promise<RabbitMQ> {
    await using stack = new AsyncDisposableStack();
    const broker = stack.use(new RabbitMQ());
    await broker.#start(EPMD, broker.#epmdPort);
    await broker.#start(RABBITMQ, broker.#port);
    stack.move();
    return broker;
  }

  async #start(program: string, port: number): Promise<void> {
    const command = new Deno.Command(program, { env: this.#env, clearEnv: true, ...SILENT });
    this.#servers.unshift(await Server.start(command, port));
  }

  /** Its address as clients take it. */
  get url(): string {
    return `amqp://guest:guest@${this.host}`;
  }

  /** Makes it leave its port and its clients, or come back. */
  async control(action: "stop_app" | "start_app"): Promise<void> {
    const options = { args: [action], env: this.#env, clearEnv: true };
    const { success, stderr } = await new Deno.Command(RABBITMQCTL, options).output();
    if (!success) throw new Error(`Cannot ${action}: ${new TextDecoder().decode(stderr)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.end();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A child process that listens on a port. */
class Server {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it listens; a program that does not is ended. */
  static async start(command: Deno.Command, port: number): Promise<Server> {
    const child = command.spawn();
    let status: Deno.CommandStatus | null = null;
    void child.status.then((ending) => status = ending);
    const limit = Date.now() + START_LIMIT;
    while (!await isListening(port)) {
      if (status !== null) {
        throw new Error(`Cannot start a broker: it ended with ${JSON.stringify(status)}`);
      }
      if (Date.now() > limit) {
        child.kill("SIGKILL");
        await child.status;
        throw new Error(`Cannot start a broker: it does not listen after ${START_LIMIT} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return new Server(child);
  }

  async end(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** A port that nobody listens on. */
export function freePort(): number {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  server.close();
  return (server.addr as Deno.NetAddr).port;
}
