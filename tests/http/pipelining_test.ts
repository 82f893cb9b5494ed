// A client that sends many requests without a pause takes its turn among others.

import { assert } from "@std/assert";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const REQUESTS = 200;

/** Work that takes `milliseconds` of the processor. */
function work(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

/** How a handler comes to its answer without waiting for anything outside. */
type Handle = () => Response | Promise<Response>;
const answer: Handle = () => new Response("one of many");

// With how long a handler takes, and before how many requests of the eager client another one has its answer.
const HANDLERS: [kind: string, handle: Handle, milliseconds: number, most: number][] = [
  ["synchronous", answer, 3, 100],
  ["asynchronous", async () => await answer(), 3, 100],
  ["slow", answer, 8, 12],
];

for (const [kind, handle, milliseconds, most] of HANDLERS) {
  test(`a client that pipelines to ${kind} handlers leaves room for others`, NET, async () => {
    using other = {
      client: null as RawClient | null,
      [Symbol.dispose]: () => other.client?.[Symbol.dispose](),
    };
    let answered = 0;
    let before = 0;
    await using app = await serving((app) => {
      app.onEvent("GET:/", () => {
        if (++answered === 2) void other.client!.send(GET.replace("/", "/other"));
        work(milliseconds);
        return handle();
      });
      app.onEvent("GET:/other", () => {
        before = answered;
        return new Response("another");
      });
    });
    other.client = await RawClient.connect(app.addr);
    // It is accepted, and known to be idle.
    await other.client.send(GET);
    await other.client.response();
    using eager = await RawClient.connect(app.addr);
    await eager.send(GET.repeat(REQUESTS));
    await other.client.response();
    for (let i = 0; i < REQUESTS; i++) await eager.response();
    assert(before < most, `the other one was answered after ${before} requests`);
  });
}
