// Tests of the service, most of them without a socket.
//
//   deno test --allow-net examples/users/users_test.ts

import { assertEquals } from "@std/assert";
import { testClient } from "../../testing.ts";
import { createApp } from "./app.ts";
import { Users } from "./users.ts";

const ADA = { name: "Ada", email: "ada@example.org" };

/** A service without users. */
const newApp = () => createApp({ users: new Users(), adminToken: "secret" });

const post = (body: unknown) => ({ method: "POST", body: JSON.stringify(body) });

Deno.test("a user that was added can be got", async () => {
  const app = newApp();
  const added = await app.fetch("/users", post(ADA));
  assertEquals([added.status, added.headers.get("location")], [201, "/users/1"]);
  const got = await app.fetch("/users/1");
  assertEquals(await got.json(), { id: 1, ...ADA });
});

const REFUSED: [what: string, body: unknown, status: number, text: string][] = [
  ["no name", { email: "a@b.c" }, 422, "name must be a non-empty string"],
  ["no address", { name: "Ada" }, 422, "email must be an address such as ada@example.org"],
  ["an address that is taken", ADA, 409, "ada@example.org belongs to another user"],
];

for (const [what, body, status, text] of REFUSED) {
  Deno.test(`a user with ${what} is refused with ${status}`, async () => {
    const app = newApp();
    await app.fetch("/users", post(ADA));
    const response = await app.fetch("/users", post(body));
    assertEquals([response.status, await response.text()], [status, text]);
  });
}

Deno.test("only the admin removes a user", async () => {
  const app = newApp();
  await app.fetch("/users", post(ADA));
  const asked = await app.fetch("/users/1", { method: "DELETE" });
  assertEquals([asked.status, asked.headers.get("www-authenticate")], [401, "Bearer"]);
  const headers = { Authorization: "Bearer secret" };
  assertEquals((await app.fetch("/users/1", { method: "DELETE", headers })).status, 204);
  assertEquals((await app.fetch("/users/1")).status, 404);
});

Deno.test({
  name: "the service works over a socket",
  ignore: (await Deno.permissions.query({ name: "net" })).state !== "granted",
  fn: async () => {
    await using client = await testClient(newApp());
    const added = await client.post("/users", { json: ADA });
    assertEquals(await added.json(), { id: 1, ...ADA });
    const page = await client.get("/");
    assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
    await page.body?.cancel();
  },
});
