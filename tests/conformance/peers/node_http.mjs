// node:http for the comparison: it answers as ours.ts does.

import { createServer } from "node:http";

const server = createServer(async (request, response) => {
  const { method, url, headers } = request;
  if (url === "/204" || url === "/304") {
    response.statusCode = Number(url.slice(1));
    return response.end();
  }
  if (url === "/stream") {
    response.write("str");
    return response.end("eam");
  }
  if (url === "/early") return response.end("early");
  let length = 0;
  try {
    for await (const part of request) length += part.length;
  } catch {
    return;
  }
  const absolute = /^[^/*]+:\/\/([^/?]+)([^]*)$/.exec(url);
  const host = absolute?.[1] ?? headers.host ?? "-";
  const path = absolute === null
    ? url
    : absolute[2].startsWith("/")
    ? absolute[2]
    : `/${absolute[2]}`;
  const text = `${method} ${host}${path} ${length}`;
  response.setHeader("Content-Length", Buffer.byteLength(text, "latin1"));
  response.end(Buffer.from(text, "latin1"));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
