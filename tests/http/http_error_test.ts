import { assertEquals, assertThrows } from "@std/assert";
import { HTTPError } from "../../http_context.ts";

Deno.test("HTTPError has the reason phrase for a message, or the one it is given", () => {
  assertEquals(new HTTPError(404).message, "Not Found");
  assertEquals(new HTTPError(404, "No such user").message, "No such user");
});

Deno.test("HTTPError keeps status, headers and cause", () => {
  const cause = new Error("why");
  const error = new HTTPError(401, "", { headers: { "WWW-Authenticate": "Basic" }, cause });
  assertEquals([error.name, error.status, error.message], ["HTTPError", 401, ""]);
  assertEquals(error.headers, { "WWW-Authenticate": "Basic" });
  assertEquals(error.cause, cause);
});

Deno.test("HTTPError makes the response that it stands for", async () => {
  const headers = { "WWW-Authenticate": "Basic" };
  const response = new HTTPError(401, "Who are you?", { headers }).getResponse();
  assertEquals([response.status, await response.text()], [401, "Who are you?"]);
  assertEquals(response.headers.get("WWW-Authenticate"), "Basic");
});

Deno.test("HTTPError shows its status and message as JSON", () => {
  assertEquals(JSON.stringify(new HTTPError(413)), '{"status":413,"message":"Content Too Large"}');
});

for (const status of [0, 200, 399, 600, 404.5, NaN]) {
  Deno.test(`HTTPError refuses the status ${status}`, () => {
    assertThrows(
      () => new HTTPError(status),
      RangeError,
      `Cannot create an HTTPError with status ${status}: must be from 400 to 599`,
    );
  });
}

Deno.test("HTTPError tells who wants to redirect by throwing how to", () => {
  assertThrows(() => new HTTPError(303), RangeError, "call ctx.redirect() in its onError() hook");
});
