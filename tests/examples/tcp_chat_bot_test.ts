import { assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";

const NEEDS = { permissions: ["net", "run"] } as const;
const COMMAND = ["run", "--no-prompt", "--allow-net", "examples/tcp_chat_bot.ts"] as const;

/** Somebody who talks to the bot. */
class Client implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #decoder = new TextDecoder();
  #received = "";

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async say(text: string): Promise<void> {
    const writer = this.#conn.writable.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  /** Says no more, and still listens. */
  async fallSilent(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** The next line of the bot; null when it has left. */
  async hear(): Promise<string | null> {
    const chunk = new Uint8Array(1024);
    while (!this.#received.includes("\n")) {
      const n = await this.#conn.read(chunk);
      if (n === null) return null;
      this.#received += this.#decoder.decode(chunk.subarray(0, n), { stream: true });
    }
    const [line, ...rest] = this.#received.split("\n");
    this.#received = rest.join("\n");
    return line;
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/** A bot on a free port, and how to reach it. */
async function startBot(): Promise<{ bot: Program; connect: () => Promise<Client> }> {
  const bot = new Program(...COMMAND, "0");
  const port = Number((await bot.nextLine()).replace("Listening on 127.0.0.1:", ""));
  const connect = async (): Promise<Client> => new Client(await Deno.connect({ port }));
  return { bot, connect };
}

const TALK: [line: string, answer: string][] = [
  ["Hi there", "Huh, go on."],
  ["I like Deno.", "I see."],
  ["Do you?", "What do you think?"],
  ["What is my name?", "You have not told me."],
  ["My name is Zoë 🦕.", "Hello, Zoë 🦕."],
  ["What is my name?", "Zoë 🦕"],
  ["", "Huh, go on."],
];

test("examples/tcp_chat_bot.ts answers each line, and ends at SIGINT", NEEDS, async () => {
  const { bot, connect } = await startBot();
  await using _ended = bot;
  using client = await connect();
  for (const [line, answer] of TALK) {
    await client.say(`${line}\n`);
    assertEquals(await client.hear(), answer);
  }
  await client.say("Two lines.\r\nAt once?\n");
  assertEquals([await client.hear(), await client.hear()], ["I see.", "What do you think?"]);
  bot.signal("SIGINT");
  assertEquals(await client.hear(), null);
  assertEquals(await bot.end(), { code: 0, stdout: "", stderr: "" });
});

test("examples/tcp_chat_bot.ts knows its clients apart", NEEDS, async () => {
  const { bot, connect } = await startBot();
  await using _ended = bot;
  using alice = await connect();
  using bob = await connect();
  await alice.say("My name is Alice.\nWhat is ");
  await bob.say("My name is Bob.\nWhat is my name?\n");
  assertEquals([await bob.hear(), await bob.hear()], ["Hello, Bob.", "Bob"]);
  await alice.say("my name?\n");
  assertEquals([await alice.hear(), await alice.hear()], ["Hello, Alice.", "Alice"]);
});

test("examples/tcp_chat_bot.ts takes no line that has no end", NEEDS, async () => {
  const { bot, connect } = await startBot();
  await using _ended = bot;
  using stays = await connect();
  await stays.say("I am still ");
  using halfSaid = await connect();
  await halfSaid.say("Good bye.\nSee y");
  await halfSaid.fallSilent();
  assertEquals([await halfSaid.hear(), await halfSaid.hear()], ["I see.", null]);
  {
    using vanishes = await connect();
    await vanishes.say("My name is ");
  }
  {
    // The answer that is never read makes its end a reset.
    using breaksOff = await connect();
    await breaksOff.say("What?\n".repeat(100) + "Wha");
  }
  using endless = await connect();
  await endless.say("x".repeat(2000));
  assertEquals(await endless.hear(), null);
  await stays.say("here.\n");
  assertEquals(await stays.hear(), "I see.");
  bot.signal("SIGINT");
  assertEquals(await bot.end(), { code: 0, stdout: "", stderr: "" });
});

test("examples/tcp_chat_bot.ts says in one line that its port is in use", NEEDS, async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  assertEquals(await run(...COMMAND, `${port}`), {
    code: 1,
    stdout: "",
    stderr: `ERROR: Cannot listen on port ${port}: Address already in use (os error 98)\n`,
  });
});
