// Who looks at an inspector without a page: takes its stream of changes and puts them together.

import type { HTTPListener } from "../../http_context.ts";
import type { ContextRecord, ErrorRecord, RouteFigures } from "../../inspector/recorder.ts";

/** What a message of the stream has. */
interface Message {
  requests: number;
  failures: number;
  refused: number;
  ctxs: number;
  open: number;
  connections: { address: string; state: string; request: string | null; isOwn: boolean }[];
  routes: RouteFigures[];
  routeIds: number[];
  contexts: ContextRecord[];
  errors: ErrorRecord[];
}

/** The stream of an inspector, as far as it was read. */
export class Viewer implements AsyncDisposable {
  readonly routes: Map<string, RouteFigures> = new Map();
  readonly contexts: Map<number, ContextRecord> = new Map();
  readonly errors: Map<number, ErrorRecord> = new Map();
  /** The last message. */
  last!: Message;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #received = "";

  private constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Begins to read. */
  static async open(app: HTTPListener, path = "/_inspect"): Promise<Viewer> {
    const response = await app.fetch(`${path}/events`);
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new Viewer(response.body!);
  }

  /** Reads on until `holds`; a test that waits for ever is ended by its runner. */
  async until(holds: (viewer: Viewer) => boolean): Promise<this> {
    do this.#take(await this.#message()); while (!holds(this));
    return this;
  }

  async #message(): Promise<Message> {
    for (;;) {
      const end = this.#received.indexOf("\n\n");
      if (end >= 0) {
        const event = this.#received.slice(0, end);
        this.#received = this.#received.slice(end + 2);
        if (event.startsWith("data: ")) return JSON.parse(event.slice(6));
        continue;
      }
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("The stream has ended");
      this.#received += value;
    }
  }

  #take(message: Message): void {
    this.last = message;
    for (const [pattern, { id }] of this.routes) {
      if (!message.routeIds.includes(id)) this.routes.delete(pattern);
    }
    for (const route of message.routes) this.routes.set(route.pattern, route);
    for (const context of message.contexts) this.contexts.set(context.id, context);
    for (const error of message.errors) this.errors.set(error.id, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
