import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HTTPContext, HTTPListener } from "../http_context.ts";
import { Listener } from "../listener.ts";
import { testClient } from "../testing.ts";
import { test } from "./needs.ts";
import { NET } from "./http/serving.ts";

function echo(): HTTPListener {
  const app = new HTTPListener({ port: 1 });
  app.onEvent("<_:path>", async ({ ctx }) => {
    const type = ctx.headers.get("content-type");
    ctx.response(200, `${ctx.method} ${ctx.target} ${type} ${await ctx.text()}`);
  });
  return app;
}

for (const method of ["get", "head", "post", "put", "patch", "delete"] as const) {
  test(`TestClient.${method}() sends the method of its name`, NET, async () => {
    await using client = await testClient(echo());
    const response = await client[method]("/a?b=1");
    const expected = method === "head" ? "" : `${method.toUpperCase()} /a?b=1 null `;
    assertEquals([response.status, await response.text()], [200, expected]);
  });
}

test("TestClient sends JSON, with its type where none is given", NET, async () => {
  await using client = await testClient(echo());
  const response = await client.post("/", { json: { a: [1] } });
  assertEquals(await response.text(), 'POST / application/json {"a":[1]}');
  const headers = { "Content-Type": "application/merge-patch+json" };
  const other = await client.patch("/", { json: null, headers });
  assertEquals(await other.text(), "PATCH / application/merge-patch+json null");
});

test("TestClient.fetch() takes what fetch() takes", NET, async () => {
  await using client = await testClient(echo());
  const response = await client.fetch("/", { method: "PURGE", body: new URLSearchParams("a=1") });
  const type = "application/x-www-form-urlencoded;charset=UTF-8";
  assertEquals(await response.text(), `PURGE / ${type} a=1`);
});

test(
  "TestClient takes a path that begins with two slashes as one of its application",
  NET,
  async () => {
    await using client = await testClient(echo());
    assertEquals(await (await client.get("//x/y?a=1")).text(), "GET //x/y?a=1 null ");
  },
);

test("TestClient closes once, by itself or at the end of its scope", NET, async () => {
  let stops = 0;
  const app = echo();
  app.shutdown(() => void stops++);
  await using client = await testClient(app);
  await client.close();
  await client.close();
  assertEquals(stops, 1);
});

Deno.test("testClient() refuses what is no HTTPListener", async () => {
  for (const app of [new Listener(), undefined]) {
    await assertRejects(
      () => testClient(app as HTTPListener),
      TypeError,
      "Cannot create a client: the application must be an HTTPListener",
    );
  }
});

test("testClient() starts the application on a free port, and its end stops it", NET, async () => {
  const log: string[] = [];
  const app = echo();
  app.startup(() => log.push("startup"));
  app.shutdown(() => log.push("shutdown"));
  let url: string;
  {
    await using client = await testClient(app);
    url = client.url;
    assertMatch(url, /^http:\/\/127\.0\.0\.1:\d+$/);
    // A body that nobody reads keeps nothing open.
    await client.get("/");
  }
  assertEquals(log, ["startup", "shutdown"]);
  await assertRejects(() => fetch(url), TypeError);
});

test("testClient() takes options and applications of whatever context", NET, async () => {
  class AppContext extends HTTPContext {}
  const app = new HTTPListener<AppContext>().setContextClass(AppContext);
  app.onEvent("POST:/", async ({ ctx }) => ctx.response(200, await ctx.text()));
  await using client = await testClient(app, { maxBodySize: 3 });
  assertEquals((await client.post("/", { body: "1234" })).status, 413);
});

test("TestClient.close() does not wait for an answer that nobody reads", NET, async () => {
  const app = new HTTPListener();
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, new Uint8Array(16 * 1024 * 1024)));
  const client = await testClient(app, { shutdownGrace: 2 ** 31 - 1 });
  const { body } = await client.get("/");
  await client.close();
  await assertRejects(() => new Response(body).bytes(), DOMException, "The client was closed");
});

test("TestClient.close() has requests under way answered", NET, async () => {
  const asked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const app = new HTTPListener();
  app.onEvent("GET:/", async ({ ctx }) => {
    asked.resolve();
    await goOn.promise;
    ctx.response(204);
  });
  const client = await testClient(app);
  const answering = client.get("/");
  await asked.promise;
  const closing = client.close();
  goOn.resolve();
  assertEquals((await answering).status, 204);
  await closing;
});
