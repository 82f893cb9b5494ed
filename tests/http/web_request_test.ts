import { assertEquals } from "@std/assert";
import { HTTPListener } from "../../http_context.ts";

/** Has `look` look at the request of an exchange, and gives what it found. */
async function looked<T>(look: (request: Request) => T | Promise<T>): Promise<T> {
  const app = new HTTPListener();
  let found: T;
  app.onEvent(async ({ ctx }) => {
    found = await look(ctx.request);
    ctx.response(204);
  });
  const { status } = await app.fetch("/a?b=c", {
    method: "POST",
    body: "text",
    headers: { x: "1" },
  });
  assertEquals(status, 204);
  return found!;
}

const LOOKS: [what: string, look: (request: Request) => unknown, found: unknown][] = [
  ["instanceof", (it) => it instanceof Request, true],
  ["its URL", (it) => it.url, "http://localhost/a?b=c"],
  ["its method", (it) => it.method, "POST"],
  ["a field", (it) => it.headers.get("x"), "1"],
  ["its body as text", (it) => it.text(), "text"],
  ["its body as a stream", async (it) => (await Array.fromAsync(it.body!)).length, 1],
  ["its signal", (it) => it.signal.aborted, false],
  ["a clone", (it) => it.clone().text(), "text"],
  ["a request made of it", (it) => new Request(it).text(), "text"],
  [
    "a request made of it with another method",
    (it) => new Request(it, { method: "PUT" }).method,
    "PUT",
  ],
  ["what it prints", (it) => Deno.inspect(it).includes("http://localhost/a?b=c"), true],
  ["its class's name", (it) => Object.prototype.toString.call(it), "[object Request]"],
  ["its constructor", (it) => it.constructor === Request, true],
];

for (const [what, look, found] of LOOKS) {
  Deno.test(`HTTPContext.request is a Request by ${what}`, async () => {
    assertEquals(await looked(look), found);
  });
}

Deno.test("HTTPContext.request is the same at each look", async () => {
  const app = new HTTPListener();
  app.onEvent(({ ctx }) => ctx.response(ctx.request === ctx.request ? 200 : 500));
  assertEquals((await app.fetch("/")).status, 200);
});
