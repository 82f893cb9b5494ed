// node:http, or node:https, on Node. It has no router: a map from the method and the path's first segment.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { chunks, confirm, greet, LARGE, type Order, page, PAGE_FIELDS } from "./content.ts";
import { collect, countEvents } from "./node_body.ts";
import { certificate, listening, options } from "./program.ts";

type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  param: string,
) => void | Promise<void>;

const TEXT = "text/plain; charset=utf-8";
const BYTES = "application/octet-stream";

const routes = new Map<string, Handler>();
routes.set("GET:/user", (_, response, name) => send(response, TEXT, greet(name)));
routes.set("POST:/json", async (request, response) => {
  const order = JSON.parse(`${await collect(request)}`) as Order;
  send(response, "application/json", JSON.stringify(confirm(order)));
});
routes.set("GET:/page", (_, response) => {
  const body = page();
  response.writeHead(200, { ...PAGE_FIELDS, "Content-Length": Buffer.byteLength(body) }).end(body);
});
routes.set("GET:/large", (_, response) => send(response, BYTES, LARGE));
routes.set("GET:/stream", (_, response) => {
  response.writeHead(200, { "Content-Type": BYTES });
  Readable.from(chunks()).pipe(response);
});
routes.set("POST:/upload", async (request, response) => {
  send(response, TEXT, `${await countEvents(request)}`);
});
for (let i = 0; i < (options.routes ?? 0); i++) {
  routes.set(`GET:/user${i}`, (_, response, name) => send(response, TEXT, greet(name)));
}

function send(response: ServerResponse, type: string, body: string | Uint8Array): void {
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  response.writeHead(200, { "Content-Type": type, "Content-Length": length });
  response.end(body);
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url!;
  const end = url.indexOf("/", 1);
  const handler = routes.get(`${request.method}:${end < 0 ? url : url.slice(0, end)}`);
  if (handler !== undefined) handler(request, response, url.slice(end + 1));
  else response.writeHead(404).end("Not Found");
}

const server = options.tls === undefined
  ? createServer(answer)
  : createTlsServer(certificate(), answer);
server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port));
