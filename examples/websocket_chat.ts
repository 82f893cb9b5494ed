// A chat over WebSockets:
//
//   deno run --allow-net --allow-env examples/websocket_chat.ts
//
// Then open http://127.0.0.1:8000 in two windows. Ctrl-C stops it.

import { HTTPListener } from "../mod.ts";
import { type ServerWebSocket, upgradeWebSocket } from "../websocket.ts";

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
const clients = new Set<ServerWebSocket>();

app.onEvent("GET:/", ({ ctx }) => {
  return ctx.response(200, PAGE, { "Content-Type": "text/html; charset=utf-8" });
});

app.onEvent("GET:/chat", async ({ ctx }) => {
  // Only our own page may connect. A client that is too slow for the messages of the others is disconnected.
  const client = await upgradeWebSocket(ctx, {
    maxMessageSize: 4 * 1024,
    maxBuffered: 1024 * 1024,
  });
  clients.add(client);
  client.on("close", () => clients.delete(client));
  client.on("message", (message) => {
    for (const other of clients) other.send(`${message}`);
  });
});

if (import.meta.main) await app.run();
