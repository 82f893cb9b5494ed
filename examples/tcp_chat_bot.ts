// A chat bot on TCP that answers each line with a line. The argument is the port, by default 8001:
//
//   deno run --allow-net examples/tcp_chat_bot.ts [port]
//
// Then talk to it: nc 127.0.0.1 8001. Ctrl-C stops it.

import { Listener, type Source } from "../listener.ts";

/** The maximum length of an unfinished line: a client that never ends one must not fill the memory. */
const MAX_WAITING = 1024;
const { BadResource, BrokenPipe, ConnectionReset, Interrupted } = Deno.errors;
/** The errors of a read or write if the client has disconnected, or the bot has closed the connection. */
const GONE = [BadResource, BrokenPipe, ConnectionReset, Interrupted];

export class ChatBot extends Listener {
  readonly #port: number;
  readonly #talks = new Map<Deno.Conn, Promise<void>>();
  /** The connections whose lines have all been answered. */
  readonly #idle = new Set<Deno.Conn>();
  #isClosing = false;

  constructor(port = 8001) {
    super();
    this.#port = port;
  }

  override listen(): Source {
    this.#isClosing = false;
    const server = Deno.listen({ hostname: "127.0.0.1", port: this.#port });
    const { hostname, port } = server.addr as Deno.NetAddr;
    console.log(`Listening on ${hostname}:${port}`);
    const accept = async (): Promise<void> => {
      for await (const conn of server) {
        this.#talks.set(conn, this.#talk(conn).finally(() => this.#talks.delete(conn)));
      }
      await Promise.all(this.#talks.values());
    };
    return {
      finished: accept(),
      close: () => {
        this.#isClosing = true;
        server.close();
        for (const conn of this.#idle) conn.close();
      },
      abort: () => this.#talks.forEach((_, conn) => conn.close()),
    };
  }

  /** Answers the lines of one client, in order. */
  async #talk(conn: Deno.Conn): Promise<void> {
    using _closedAtTheEnd = conn;
    const scope = {};
    try {
      for await (const line of this.#lines(conn)) {
        const answer = new TextEncoder().encode(`${await this.#answer(line, scope)}\n`);
        for (let sent = 0; sent < answer.length;) sent += await conn.write(answer.subarray(sent));
        if (this.#isClosing) break;
      }
    } catch (error) {
      if (!GONE.some((E) => error instanceof E)) {
        console.error("Cannot continue with a client:", error);
      }
    }
  }

  /** Answers a line in its own context: a context for all lines would keep all of their events. */
  async #answer(line: string, scope: Record<string, unknown>): Promise<unknown> {
    const ctx = this.newCtx({ scope });
    try {
      return await ctx.triggerEvent(line);
    } finally {
      ctx.drop();
    }
  }

  /** The complete lines: an unfinished one is dropped when the client disconnects. */
  async *#lines(conn: Deno.Conn): AsyncGenerator<string> {
    const chunk = new Uint8Array(4096);
    const decoder = new TextDecoder();
    for (let waiting = ""; waiting.length <= MAX_WAITING;) {
      this.#idle.add(conn);
      const n = await conn.read(chunk).finally(() => this.#idle.delete(conn));
      if (n === null) return;
      const text = waiting + decoder.decode(chunk.subarray(0, n), { stream: true });
      const lines = text.split(/\r?\n/);
      waiting = lines.pop()!;
      yield* lines;
    }
  }
}

export const app = new ChatBot(import.meta.main ? Number(Deno.args[0] ?? 8001) : undefined);

app.onEvent("My name is <name>.", ({ ctx, params }) => {
  ctx.scope.name = params.name;
  return `Hello, ${params.name}.`;
});

app.onEvent("What is my name?", ({ ctx }) => ctx.scope.name ?? "You have not told me.");

app.onEvent("<_>?", () => "What do you think?");

app.onEvent("<_>.", () => "I see.");

app.onEvent(() => "Huh, go on.");

if (import.meta.main) {
  await app.run().catch((error) => {
    console.error(`ERROR: Cannot listen on port ${Deno.args[0] ?? 8001}: ${error.message}`);
    Deno.exitCode = 1;
  });
}
