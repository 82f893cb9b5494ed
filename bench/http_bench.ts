// The web framework: whole exchanges over a connection in memory, as what the network costs would cover the
// rest; and answers on their way out of the engine and into the socket. Each answer is checked before it is
// timed.
//
//     deno bench --allow-env --allow-read bench/http_bench.ts

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../h11.ts";
import { Clock } from "../http/clock.ts";
import { MemoryConn } from "../http/memory_conn.ts";
import { Socket } from "../http/socket.ts";
import { HTTPListener, serve } from "../http_context.ts";
import { type Case, CASES, requestOf } from "./cases.ts";
import { checkAnswerOver } from "./check.ts";
import { confirm, greet, type Order } from "./peers/content.ts";

/** Requests of an iteration: one alone is over before the clock can tell. */
const REQUESTS = 160;
const HOST = "127.0.0.1:8000";
const encoder = new TextEncoder();

/** Connects a client. */
type Connect = () => MemoryConn;

/** Starts a server whose connections are in memory. */
async function inMemory(start: () => unknown): Promise<Connect> {
  const runtime = Deno as { listen: unknown };
  const { listen } = runtime;
  let accepted = (_: MemoryConn): void => {};
  runtime.listen = () => ({
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 8000 },
    accept: () => new Promise((resolve) => accepted = resolve),
  });
  try {
    await start();
  } finally {
    runtime.listen = listen;
  }
  return () => {
    const [server, client] = MemoryConn.pair();
    accepted(server);
    return client;
  };
}

/** What reading and writing cost without a server: a loop that looks at nothing. */
function connectAlone(): MemoryConn {
  const [server, client] = MemoryConn.pair();
  const body = greet("bob");
  const answer = encoder.encode(
    `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  void (async () => {
    const area = new Uint8Array(1024);
    while (await server.read(area) !== null) await server.write(answer);
  })();
  return client;
}

const app = new HTTPListener({ accessLog: false });
app.onEvent("GET:/user/<name>", ({ ctx, params }) => ctx.response(200, greet(params.name)));
app.onEvent("POST:/json", async ({ ctx }) => {
  const answer = JSON.stringify(confirm(await ctx.json() as Order));
  return ctx.response(200, answer, { "Content-Type": "application/json" });
});
const connectApp = await inMemory(() => app.start());
const connectServe = await inMemory(() =>
  serve(
    { onListen(): void {} },
    ({ url }) => new Response(greet(url.slice(url.lastIndexOf("/") + 1))),
  )
);

const caseOf = (name: string): Case => CASES.find((it) => it.name === name)!;
const EXCHANGES: [name: string, it: Case, connect: Connect][] = [
  ["HTTPListener: GET", caseOf("get"), connectApp],
  ["HTTPListener: GET with 12 browser headers", caseOf("browser"), connectApp],
  ["HTTPListener: GET, 16 pipelined", caseOf("pipelined"), connectApp],
  ["HTTPListener: POST 1 KiB of JSON", caseOf("json"), connectApp],
  ["serve(): GET", caseOf("get"), connectServe],
  ["the connection alone", caseOf("get"), connectAlone],
];

for (const [name, it, connect] of EXCHANGES) {
  using checked = connect();
  await checkAnswerOver(checked, it, HOST);
  const conn = connect();
  const request = encoder.encode(requestOf(it, HOST));
  const area = new Uint8Array(64 * 1024);
  // What is sent at once is answered in one write.
  const exchange = async (): Promise<number> => {
    await conn.write(request);
    return (await conn.read(area))!;
  };
  const size = await exchange();
  const baseline = it === EXCHANGES[0][1] && connect === connectApp;
  Deno.bench(name, { group: `${REQUESTS} exchanges`, baseline }, async () => {
    for (let i = 0; i < REQUESTS; i += it.pipelined ?? 1) {
      assert(await exchange() === size, "The answers differ");
    }
  });
}

// The same request is read before each answer, as there is none without.
{
  const request = encoder.encode(requestOf(caseOf("get"), HOST));
  const body = encoder.encode(greet("bob"));
  const newResponse = (): h11.Response =>
    new h11.Response({
      statusCode: 200,
      reason: "OK",
      headers: {
        "Content-Type": "text/plain;charset=UTF-8",
        "Content-Length": `${body.length}`,
        Date: "Wed, 25 Nov 2026 10:00:00 GMT",
      },
    });
  const kept = newResponse();
  const protocol = new h11.Connection(h11.SERVER);
  let written = 0;
  const sink = {
    write(bytes: Uint8Array): Promise<number> {
      written += bytes.length;
      return Promise.resolve(bytes.length);
    },
  };
  const socket = new Socket(sink as Deno.Conn, new Clock(), { writeTimeout: 0, accessLog: false });

  /** Reads a request and answers it. @returns The bytes of the answer. */
  const answer = (send: () => Uint8Array[]): number => {
    protocol.receiveData(request);
    protocol.nextEvent();
    protocol.nextEvent();
    const size = send().reduce((size, { length }) => size + length, 0);
    protocol.startNextCycle();
    return size;
  };
  const ANSWERS: [name: string, send: () => Uint8Array[]][] = [
    ["sendWhole(), one response again and again", () => protocol.sendWhole(kept, body)],
    ["sendWhole(), a new response each time", () => protocol.sendWhole(newResponse(), body)],
    ["send() of its three events", () => [
      protocol.send(newResponse())!,
      protocol.send(new h11.Data({ data: body }))!,
      protocol.send(new h11.EndOfMessage())!,
    ]],
    ["sendWhole(), and written by a socket", () => {
      const parts = protocol.sendWhole(kept, body);
      for (const part of parts) socket.write(part);
      return parts;
    }],
  ];

  const size = answer(ANSWERS[0][1]);
  for (const [name, send] of ANSWERS) {
    assertEquals(answer(send), size, name);
    const baseline = send === ANSWERS[0][1];
    Deno.bench(name, { group: `${REQUESTS} answers of the engine`, baseline }, async () => {
      for (let i = 0; i < REQUESTS; i++) answer(send);
      await socket.drained();
    });
  }
  await socket.drained();
  assertEquals(written, size, "What the socket has written");
}
