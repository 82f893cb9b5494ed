import { assert, assertEquals, assertThrows } from "@std/assert";
import { type HTTPContext, HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { Unhandled } from "../unhandled.ts";
import { settled } from "./by_hand.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

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

function namesOf(request: Request): string[] {
  const names: string[] = [];
  for (const name in request) names.push(name);
  return names.sort();
}

/** The type of a copy without one, when its body was read and the real request was made. */
async function typeAfterReading(): Promise<string | null> {
  const app = new HTTPListener();
  let type: string | null = "";
  app.onEvent(async ({ ctx }) => {
    const { request } = ctx;
    await request.text();
    assertEquals(request.signal.aborted, false);
    type = request.headers.get("content-type");
    ctx.response(204);
  });
  await app.fetch("/", { method: "POST", body: Uint8Array.of(97) });
  return type;
}

const LOOKS: [what: string, look: (request: Request) => unknown, found: unknown][] = [
  ["instanceof", (it) => it instanceof Request, true],
  ["its URL", (it) => it.url, "http://localhost/a?b=c"],
  ["its method", (it) => it.method, "POST"],
  ["a field", (it) => it.headers.get("x"), "1"],
  ["its body as text", (it) => it.text(), "text"],
  ["its body as a stream", async (it) => (await Array.fromAsync(it.body!)).length, 1],
  ["its body as bytes", async (it) => new TextDecoder().decode(await it.bytes()), "text"],
  ["its body as an ArrayBuffer", async (it) => (await it.arrayBuffer()).byteLength, 4],
  [
    "the error of a body that is no JSON",
    (it) => it.json().catch((error) => error.name),
    "SyntaxError",
  ],
  ["its body not being used", (it) => it.bodyUsed, false],
  ["its body being used when it was read", (it) => it.text().then(() => it.bodyUsed), true],
  [
    "its body being read once",
    (it) => it.text().then(() => it.json()).catch((e) => e.name),
    "TypeError",
  ],
  [
    "no clone when it was read",
    (it) => it.text().then(() => it.clone()).catch((e) => e.name),
    "TypeError",
  ],
  ["its fields when its body was read", (it) => it.text().then(() => it.headers.get("x")), "1"],
  [
    "the same fields before and after the real one is made",
    (it) => {
      const { headers } = it;
      return it.signal.aborted === false && it.headers === headers;
    },
    true,
  ],
  [
    "fields that were changed when the real one was made",
    (it) => {
      const { headers } = it;
      assertEquals(it.signal.aborted, false);
      headers.delete("content-length");
      headers.set("x", "2");
      headers.append("x", "3");
      return [it.clone(), new Request(it)].map((copy) =>
        `${copy.headers.get("x")} ${copy.headers.get("content-length")}`
      );
    },
    ["2, 3 null", "2, 3 null"],
  ],
  [
    "fields that were changed after the real one was made",
    (it) => {
      assertEquals(it.signal.aborted, false);
      it.headers.set("x", "2");
      return [it.clone(), new Request(it)].map((copy) => copy.headers.get("x"));
    },
    ["2", "2"],
  ],
  [
    "its fields in order, by each iterator",
    ({ headers }) => {
      headers.append("a", "0");
      const names = [...headers].map(([name]) => name).join();
      assertEquals(names, [...new Headers(headers)].map(([name]) => name).join());
      assertEquals(names, [...headers.keys()].join());
      assertEquals(
        [...headers.entries()].map(([, value]) => value).join(),
        [...headers.values()].join(),
      );
      return names;
    },
    "a,content-length,content-type,host,x",
  ],
  [
    "a clone when its fields were read",
    (it) => `${it.headers.get("x")} ${it.clone().headers.get("x")}`,
    "1 1",
  ],
  [
    "its body when that of a clone was read",
    async (it) => `${await it.clone().text()} ${await it.text()}`,
    "text text",
  ],
  [
    "no text when its stream was read",
    async (it) => {
      await Array.fromAsync(it.body!);
      return await it.text().catch((error) => error.name);
    },
    "TypeError",
  ],
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
  ["a Proxy of it", (it) => new Proxy(it, {}).text(), "text"],
  ["what inherits from it", (it) => (Object.create(it) as Request).url, "http://localhost/a?b=c"],
  [
    "what inherits from it having read its body",
    (it) => (Object.create(it) as Request).text().then(() => it.bodyUsed),
    true,
  ],
  ["what it inherits from", (it) => Object.getPrototypeOf(it).constructor === Request, true],
  ["what can be counted of it", (it) => namesOf(it), namesOf(new Request("http://localhost"))],
  [
    "attributes that cannot be set",
    (it) => {
      assertThrows(() => Object.assign(it, { signal: 1 }), TypeError);
      assertThrows(() => Object.assign(it, { url: "" }), TypeError);
    },
    undefined,
  ],
  ["no type that was not sent", typeAfterReading, null],
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

// What a body is read by, one after the other; the last one is refused.
const TWICE: [what: string, read: (ctx: HTTPContext) => Promise<unknown>][] = [
  ["Request.text() twice", async ({ request }) => {
    await request.text();
    return request.text();
  }],
  ["HTTPContext.text() after Request.text()", async (ctx) => {
    await (ctx.request.signal && ctx.request.text());
    return ctx.text();
  }],
  ["Request.text() after a part of HTTPContext.body", async (ctx) => {
    const reader = ctx.body.getReader();
    await reader.read();
    reader.releaseLock();
    return ctx.request.text();
  }],
  ["Request.text() while HTTPContext.body is read", (ctx) => {
    ctx.body.getReader();
    return ctx.request.text();
  }],
];

for (const [what, read] of TWICE) {
  Deno.test(`${what} is refused`, async () => {
    const app = new HTTPListener();
    app.onEvent("POST:/", async ({ ctx }) => {
      ctx.response(200, await read(ctx).then(String, (error) => error.name));
    });
    const body = ReadableStream.from([new Uint8Array(2), new Uint8Array(2)]);
    const response = await app.fetch("/", { method: "POST", body });
    assertEquals(await response.text(), "TypeError");
  });
}

Deno.test("Request.text() that a lock has kept from the body reads it later", async () => {
  const found = await looked(async (request) => {
    const reader = request.body!.getReader();
    const refused = await request.text().catch((error) => error.name);
    reader.releaseLock();
    return [refused, request.bodyUsed, await request.text()];
  });
  assertEquals(found, ["TypeError", false, "text"]);
});

// Ways to read all fields, which must not depend on Deno's iterators: see `linearHeaders()`.
const ALL_FIELDS: [what: string, read: (it: Request) => unknown][] = [
  ["iterating", ({ headers }) => [...headers]],
  ["copying its fields", ({ headers }) => new Headers(headers)],
  ["a clone", (it) => it.clone()],
  ["a request made of it", (it) => new Request("http://b/", it)],
];

for (const [what, read] of ALL_FIELDS) {
  Deno.test(`HTTPContext.request takes little longer for ${what} than for one look at each field`, async () => {
    const app = new HTTPListener({ maxFields: 0 });
    const once: number[] = [], taken: number[] = [];
    app.onEvent("GET:/", ({ ctx }) => {
      const { request } = ctx;
      const { headers } = request;
      once.push(duration(() => headers.forEach(() => {})));
      taken.push(duration(() => read(request)));
      ctx.response(204);
    });
    const headers = Array.from({ length: FIELDS }, (_, i): [string, string] => [`x-${i}`, "1"]);
    for (let i = 0; i < 5; i++) await app.fetch("/", { headers });
    const ratio = Math.min(...taken) / Math.min(...once);
    // It is over FIELDS / 2 if they are sorted for each one of them.
    assert(ratio < FIELDS / 4, `${Math.round(ratio)} times as long`);
  });
}
const FIELDS = 400;

function duration(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

// Ways to read a body whole.
const WHOLE: [what: string, read: (it: Request) => Promise<unknown>][] = [
  ["text()", (it) => it.text()],
  ["json()", (it) => it.json()],
  ["bytes()", (it) => it.bytes()],
  ["arrayBuffer()", (it) => it.arrayBuffer()],
  ["blob()", (it) => it.blob()],
  ["formData()", (it) => it.formData()],
  ["text() when its signal was asked for", (it) => it.signal && it.text()],
  ["text() when it was copied", (it) => it.clone() && it.text()],
];

for (const [what, read] of WHOLE) {
  Deno.test(`Request.${what} holds to maxBodySize`, async () => {
    const app = new HTTPListener({ maxBodySize: 3 });
    app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, String(await read(ctx.request))));
    const bodies = ["abcd", ReadableStream.from([new Uint8Array(2), new Uint8Array(2)])];
    for (const body of bodies) {
      const response = await app.fetch("/", { method: "POST", body });
      assertEquals([response.status, await response.text()], [413, "Content Too Large"]);
    }
  });

  test(`Request.${what} holds to maxBodySize if the body comes with the head`, NET, async () => {
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, String(await read(ctx.request))));
    }, { maxBodySize: 3 });
    using client = await RawClient.connect(app.addr);
    await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    assertEquals((await client.response()).status, 413);
  });

  test(`Request.${what} that fails while nobody looks ends no process`, NET, async () => {
    using _errors = new ErrorLog();
    using unhandled = new Unhandled();
    await using app = await serving((app) => {
      app.onEvent("POST:/", async ({ ctx }) => {
        const body = read(ctx.request);
        await settled();
        await body;
      });
    });
    using client = await RawClient.connect(app.addr);
    await client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    );
    assertEquals((await client.response()).status, 400);
    assertEquals(unhandled.reasons, []);
  });
}
