import { assertEquals } from "@std/assert";
import { RawClient } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { CHROMIUM, inBrowser, whileServing } from "./example.ts";

const NEEDS = { permissions: ["net", "run"] } as const;
/** What the package ws asks for. */
const PERMISSIONS = ["--allow-env"];

/** A handshake as RFC 6455 4.1 has it, with other fields besides. */
const handshake = (fields = "", version = 13): string =>
  `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: ${version}\r\n${fields}\r\n`;

async function connect({ port }: Deno.NetAddr): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
  await new Promise((resolve) => socket.onopen = resolve);
  return socket;
}

const nextMessage = (socket: WebSocket): Promise<string> =>
  new Promise((resolve) => socket.onmessage = ({ data }) => resolve(data));

const nextClose = (socket: WebSocket): Promise<number> =>
  new Promise((resolve) => socket.onclose = ({ code }) => resolve(code));

test(
  "examples/websocket_chat.ts passes a message on to all, and ends at SIGINT",
  NEEDS,
  async () => {
    let closed: Promise<number[]>;
    await whileServing("websocket_chat.ts", async (addr) => {
      const clients = [await connect(addr), await connect(addr)];
      const heard = Promise.all(clients.map(nextMessage));
      clients[0].send("Hi, Jürgen 🦕");
      assertEquals(await heard, ["Hi, Jürgen 🦕", "Hi, Jürgen 🦕"]);
      closed = Promise.all(clients.map(nextClose));
    }, PERMISSIONS);
    assertEquals(await closed!, [1001, 1001]);
  },
);

test("examples/websocket_chat.ts ends, though a client does not answer", NEEDS, async () => {
  let client: RawClient;
  await whileServing("websocket_chat.ts", async (addr) => {
    client = await RawClient.connect(addr);
    await client.send(handshake());
    await client.until("\r\n\r\n");
  }, PERMISSIONS);
  // 1001 (RFC 6455 7.4.1), and no more.
  assertEquals(await client!.gone(), "\x88\x02\x03\xe9");
  client![Symbol.dispose]();
});

test("examples/websocket_chat.ts closes a connection with too long a message", NEEDS, async () => {
  await whileServing("websocket_chat.ts", async (addr) => {
    const [talkative, other] = [await connect(addr), await connect(addr)];
    const [heard, closed] = [nextMessage(other), nextClose(talkative)];
    talkative.send("x".repeat(4 * 1024));
    assertEquals((await heard).length, 4 * 1024);
    talkative.send("x".repeat(4 * 1024 + 1));
    assertEquals(await closed, 1009);
    const left = nextClose(other);
    other.close();
    await left;
  }, PERMISSIONS);
});

const REFUSED: [what: string, request: string, status: number][] = [
  ["a request for no WebSocket", "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n", 426],
  ["another version of WebSocket", handshake("", 12), 426],
  ["a page that is not its own", handshake("Origin: http://b\r\n"), 403],
];

for (const [what, request, status] of REFUSED) {
  test(`examples/websocket_chat.ts refuses ${what} with ${status}`, NEEDS, async () => {
    await whileServing("websocket_chat.ts", async (addr) => {
      using client = await RawClient.connect(addr);
      await client.send(request);
      assertEquals((await client.response()).status, status);
    }, PERMISSIONS);
  });
}

test(
  "examples/websocket_chat.ts lets two browsers chat",
  { permissions: ["run"], programs: [CHROMIUM] },
  async () => {
    await whileServing("websocket_chat.ts", async ({ port }) => {
      const line = "Hello!|Hi, <b>Jürgen</b> 🦕\n";
      assertEquals(
        await inBrowser("examples/websocket_chat_browser.ts", `http://127.0.0.1:${port}/`),
        line + line,
      );
    }, PERMISSIONS);
  },
);
