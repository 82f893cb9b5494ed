// A chat over WebSockets, by the package ws:
//
//   deno run --allow-net --allow-env examples/websocket_chat.ts
//
// Then open http://127.0.0.1:8000 in two windows. Ctrl-C stops it.

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
// @ts-types="npm:@types/ws@8"
import { type WebSocket, WebSocketServer } from "ws";
import { HTTPError, HTTPListener } from "../mod.ts";

/** A message longer than this, in bytes, ends its connection with code 1009. */
const MAX_MESSAGE = 4 * 1024;
/** A client that has not taken so many bytes is too slow to be in the chat. */
const MAX_BUFFERED = 1024 * 1024;
/** Milliseconds between two pings; a client that has not answered the one before is gone. */
const PING_EVERY = 30_000;

const PAGE = `<!doctype html>
<title>Chat</title>
<ul id="messages"></ul>
<form id="form"><input id="text" autocomplete="off" autofocus disabled></form>
<script>
  const socket = new WebSocket("/chat");
  socket.onopen = () => text.disabled = false;
  socket.onclose = () => text.disabled = true;
  socket.onmessage = ({ data }) => {
    const item = document.createElement("li");
    item.textContent = data;
    messages.append(item);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
  };
</script>
`;

export const app = new HTTPListener({ port: 8000 });
const chat = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE });
const answered = new WeakSet<WebSocket>();

app.onEvent("GET:/", ({ ctx }) => {
  return ctx.response(200, PAGE, { "Content-Type": "text/html; charset=utf-8" });
});

app.onEvent("GET:/chat", async ({ ctx }) => {
  if (!ctx.headers.has("upgrade")) {
    throw new HTTPError(426, "This is for WebSockets", { headers: { Upgrade: "websocket" } });
  }
  // A browser lets any page open a WebSocket to us: only ours may talk here.
  const origin = ctx.headers.get("origin")?.replace(/^https?:\/\//, "");
  if (origin !== undefined && origin !== ctx.headers.get("host")) {
    throw new HTTPError(403, "The chat is open to its own page");
  }
  // ws answers the handshake itself: with 101, or with what is wrong about it.
  const { conn, head } = await ctx.upgrade({ raw: true });
  const request = { method: ctx.method, url: ctx.target, headers: Object.fromEntries(ctx.headers) };
  const socket = new ConnectionStream(conn);
  chat.handleUpgrade(request as never, socket, head as never, join);
});

function join(client: WebSocket): void {
  answered.add(client);
  client.on("pong", () => answered.add(client));
  client.on("message", (message) => say(`${message}`));
  // ws closes the connection after an error, be it a message that is too long.
  client.on("error", () => {});
}

/** Sends a message to all. */
function say(message: string): void {
  for (const client of chat.clients) {
    if (client.bufferedAmount > MAX_BUFFERED) client.terminate();
    else client.send(message);
  }
}

/** Asks each client whether it is there, and drops those that have not answered since the last time. */
export function ping(): void {
  for (const client of chat.clients) {
    if (answered.delete(client)) client.ping();
    else client.terminate();
  }
}

let pinging: ReturnType<typeof setInterval>;
app.startup(() => pinging = setInterval(ping, PING_EVERY));
app.shutdown(() => {
  clearInterval(pinging);
  for (const client of chat.clients) client.close(1001);
  // Those that do not answer would keep the process alive for as long as ws waits for them: half a minute.
  const cut = setTimeout(() => chat.clients.forEach((client) => client.terminate()), 1_000);
  Deno.unrefTimer(cut as unknown as number);
});

/** A connection as the stream of Node.js that ws works on. */
class ConnectionStream extends Duplex {
  readonly #conn: Deno.Conn;
  readonly #buffer = new Uint8Array(16 * 1024);

  constructor(conn: Deno.Conn) {
    super();
    this.#conn = conn;
  }

  override _read(): void {
    this.#conn.read(this.#buffer).then(
      // What is pushed is kept, and the buffer is used again.
      (n) => this.push(n === null ? null : this.#buffer.slice(0, n)),
      (error) => this.destroy(error),
    );
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#writeAll(bytes).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "", done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#conn.close();
    done(error);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }
}

if (import.meta.main) await app.run();
