// A program whose Response is not Deno's own, as where something has put a class of its own in its place: from
// before the first response on, and for nothing else that runs here.

import { assertEquals } from "@std/assert";
import { HTTPListener } from "../../http_context.ts";

const DenoResponse = Response;
class OtherResponse extends DenoResponse {}
globalThis.Response = OtherResponse;

const RESPONSES: [what: string, make: () => Response | Promise<Response>][] = [
  ["a Response of that class", () => new Response("a")],
  ["a Response of Deno's class", () => new DenoResponse("a")],
  ["Response.json()", () => Response.json("a")],
  ["a copy, which is of Deno's class", () => new Response("a").clone()],
  ["what fetch() gives", () => fetch("data:text/plain,a")],
];

for (const [what, make] of RESPONSES) {
  Deno.test(`${what} is sent where Response is another class`, async () => {
    const app = new HTTPListener();
    app.onEvent(() => make());
    const response = await app.fetch("/");
    assertEquals([response.status, (await response.text()).replaceAll('"', "")], [200, "a"]);
  });
}
