import { assert, assertEquals } from "@std/assert";
import { type ConnectionInfo, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient } from "./raw_client.ts";
import { NET, serving } from "./serving.ts";

const HEAD = " HTTP/1.1\r\nHost: a\r\n\r\n";

async function* endless(): AsyncGenerator<string> {
  yield "first";
  await new Promise(() => {});
}

function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "ok"));
  app.onEvent("GET:/wait", async ({ ctx, signal }) => {
    ctx.informational(103, {});
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, endless()));
  app.onEvent("GET:/upgrade", async ({ ctx }) => {
    const { conn } = await ctx.upgrade();
    await conn.read(new Uint8Array(1));
    conn.close();
  });
}

/** What a client sends and then waits for, and what the server says of its connection then. */
const STATES: [sent: string, received: string, expected: Partial<ConnectionInfo>][] = [
  ["", "", { state: "idle", requests: 0, method: null, target: null, protocol: ["IDLE", "IDLE"] }],
  [`GET /${HEAD}`, "ok", { state: "idle", requests: 1, method: null, target: null }],
  [`GET /${HEAD}GET / HT`, "ok", { state: "receiving", requests: 1 }],
  [`GET /${HEAD}GET /wait?a=1${HEAD}`, " 103 ", {
    state: "handling",
    requests: 2,
    method: "GET",
    target: "/wait?a=1",
    idle: 0,
    protocol: ["SEND_RESPONSE", "DONE"],
  }],
  [`GET /stream${HEAD}`, "first", { state: "sending", protocol: ["SEND_BODY", "DONE"] }],
  [
    `GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`,
    " 101 ",
    { state: "upgraded", protocol: ["SWITCHED_PROTOCOL", "SWITCHED_PROTOCOL"] },
  ],
  ["GET / HTTP/1.0\r\n\r\n", "ok", { state: "closing" }],
];

for (const [sent, received, expected] of STATES) {
  const after = sent.replace(/ HTTP[^]*?\r\n\r\n/g, ", ") || "nothing";
  test(`connections() tells ${expected.state} after ${after}`, NET, async () => {
    await using app = await serving(routes, { shutdownGrace: 1 });
    using client = await RawClient.connect(app.addr);
    await client.send(sent);
    await client.until(received);
    const info = await matching(app, expected);
    const [hostname, port] = client.address.split(":");
    assertEquals({ ...info.remoteAddr }, { transport: "tcp", hostname, port: Number(port) });
    assert(info.age >= 0 && info.idle >= 0);
  });
}

/** The only connection, when it is as expected: a client may be ahead of the server. */
async function matching(
  app: HTTPListener,
  expected: Partial<ConnectionInfo>,
): Promise<ConnectionInfo> {
  for (const deadline = performance.now() + 60_000;;) {
    const [info] = app.connections();
    const found = info && Object.fromEntries(
      Object.keys(expected).map((key) => [key, info[key as keyof ConnectionInfo]]),
    );
    if (performance.now() > deadline) assertEquals(found, expected);
    if (JSON.stringify(found) === JSON.stringify(expected)) return info;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("connections() is empty where the server does not listen", {}, () => {
  assertEquals([...new HTTPListener().connections()], []);
});
