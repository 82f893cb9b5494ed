import { assertEquals } from "@std/assert";
import { RawClient, undated } from "../http/raw_client.ts";
import { serving } from "../http/serving.ts";
import { test } from "../needs.ts";
import { curl, whileServing } from "./example.ts";

const NEEDS = { permissions: ["net", "run"] } as const;
const CURL = { permissions: ["net", "run"], programs: ["/usr/bin/curl"] } as const;

test("examples/connect_proxy.ts has curl tunnel through it", CURL, async () => {
  await using app = await serving((app) => {
    app.onEvent("POST:/echo", async ({ ctx }) => ctx.response(200, await ctx.text()));
  });
  await whileServing("connect_proxy.ts", async ({ port }) => {
    const proxy = ["--proxytunnel", "--proxy", `http://127.0.0.1:${port}`];
    for (const host of ["127.0.0.1", "localhost"]) {
      const url = `http://${host}:${app.addr.port}/echo`;
      assertEquals(await curl(...proxy, "--data", "abc", url), { code: 0, stdout: "abc" });
    }
  });
});

/** A server for one connection, which answers a line with a line and ends when the client has. */
async function answerOnce(listener: Deno.Listener): Promise<void> {
  using conn = await listener.accept();
  const buffer = new Uint8Array(1024);
  for (let n; (n = await conn.read(buffer)) !== null;) {
    const text = new TextDecoder().decode(buffer.subarray(0, n)).toUpperCase();
    await conn.write(new TextEncoder().encode(text));
  }
  await conn.write(new TextEncoder().encode("end"));
}

test(
  "examples/connect_proxy.ts passes on what comes early, and what comes after one side has ended",
  NEEDS,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const answered = answerOnce(listener);
    await whileServing("connect_proxy.ts", async (addr) => {
      using client = await RawClient.connect(addr);
      const authority = `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
      await client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\nearly\n`);
      assertEquals(
        undated(await client.until("\r\n\r\n")),
        "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
      );
      assertEquals(await client.until("\n"), "EARLY\n");
      await client.send("late\n");
      assertEquals(await client.until("\n"), "LATE\n");
      await client.closeWrite();
      assertEquals(await client.rest(), "end");
      await answered;
    });
  },
);

const REFUSED: [authority: string, status: number, text: string][] = [
  ["example.com:443", 403, "This proxy does not connect to example.com"],
  ["10.0.0.1:22", 403, "This proxy does not connect to 10.0.0.1"],
  ["127.0.0.1.example.com:80", 403, "This proxy does not connect to 127.0.0.1.example.com"],
  ["127.0.0.1:1", 502, "Cannot connect to 127.0.0.1:1"],
];

for (const [authority, status, text] of REFUSED) {
  test(`examples/connect_proxy.ts answers ${status} to CONNECT ${authority}`, NEEDS, async () => {
    await whileServing("connect_proxy.ts", async (addr) => {
      using client = await RawClient.connect(addr);
      await client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
      const response = await client.response();
      assertEquals([response.status, response.body], [status, text]);
    });
  });
}
