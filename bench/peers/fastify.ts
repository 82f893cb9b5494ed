// Fastify on Node, without its logger.

import { fastify } from "fastify";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { chunks, confirm, greet, LARGE, type Order, page, PAGE_FIELDS } from "./content.ts";
import { countEvents } from "./node_body.ts";
import { certificate, listening, options } from "./program.ts";

interface Greeted {
  Params: { name: string };
}

const app = fastify(options.tls === undefined ? {} : { https: certificate() } as object);
app.get<Greeted>("/user/:name", (request, reply) => reply.send(greet(request.params.name)));
app.post<{ Body: Order }>("/json", (request, reply) => reply.send(confirm(request.body)));
app.get("/page", (_, reply) => reply.headers(PAGE_FIELDS).send(page()));
app.get("/large", (_, reply) => reply.send(LARGE));
app.get("/stream", (_, reply) => reply.send(Readable.from(chunks())));
// A body of a type that it has no parser for is read by the handler.
app.addContentTypeParser("application/octet-stream", (_request, _body, done) => done(null));
app.post("/upload", async (request, reply) => reply.send(`${await countEvents(request.raw)}`));
for (let i = 0; i < (options.routes ?? 0); i++) {
  app.get<Greeted>(`/user${i}/:name`, (request, reply) => reply.send(greet(request.params.name)));
}

await app.listen({ host: "127.0.0.1", port: 0 });
listening((app.server.address() as AddressInfo).port);
