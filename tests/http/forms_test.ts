import { assert, assertEquals, assertRejects } from "@std/assert";
import type { HTTPListener } from "../../http_context.ts";
import { test } from "../needs.ts";
import { RawClient, utf8 } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

/** A route that tells what is in a form: of a file its name, type and bytes. */
function tell(app: HTTPListener): void {
  app.onEvent("POST:/", async ({ ctx }) => {
    const told: unknown[] = [];
    for (const [name, value] of await ctx.formData()) {
      told.push(
        typeof value === "string"
          ? [name, value]
          : [name, value.name, value.type, [...await value.bytes()]],
      );
    }
    ctx.response(200, JSON.stringify(told));
  });
}

function post(type: string | null, body: string): string {
  const field = type === null ? "" : `Content-Type: ${type}\r\n`;
  return `POST / HTTP/1.1\r\nHost: a\r\n${field}Content-Length: ${body.length}\r\n\r\n${body}`;
}

const URLENCODED = "application/x-www-form-urlencoded";
const MULTIPART = "multipart/form-data; boundary=xyz";

/** Parts with their fields, as a browser sends them. */
function multipart(...parts: string[]): string {
  return parts.map((part) => `--xyz\r\nContent-Disposition: form-data; ${part}\r\n`).join("") +
    "--xyz--\r\n";
}

// Forms as they come, and what is in them.
const FORMS: [what: string, type: string, body: string, entries: unknown[]][] = [
  ["a urlencoded form", URLENCODED, "a=1&b=2", [["a", "1"], ["b", "2"]]],
  [
    "escapes, plus signs and a name that comes twice",
    `${URLENCODED}; charset=UTF-8`,
    "a=J%C3%BCrgen+%26&a=&b",
    [["a", "Jürgen &"], ["a", ""], ["b", ""]],
  ],
  ["a type in upper case", "Application/X-WWW-Form-URLEncoded", "a=1", [["a", "1"]]],
  ["an empty urlencoded form", URLENCODED, "", []],
  [
    "a multipart form with a file",
    MULTIPART,
    multipart(
      'name="user"\r\n\r\nbob',
      'name="photo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x00\xff\r\n\x0d',
    ),
    [["user", "bob"], ["photo", "a.png", "image/png", [0, 255, 13, 10, 13]]],
  ],
  [
    "a multipart form in UTF-8",
    MULTIPART,
    utf8(
      multipart(
        'name="ü"\r\n\r\n🦕',
        'name="f"; filename="ü.txt"\r\nContent-Type: text/plain\r\n\r\n',
      ),
    ),
    [["ü", "🦕"], ["f", "ü.txt", "text/plain", []]],
  ],
  [
    "a multipart form whose boundary is quoted",
    'multipart/form-data; boundary="xyz"',
    multipart('name="a"\r\n\r\n1'),
    [["a", "1"]],
  ],
];

for (const [what, type, body, entries] of FORMS) {
  test(`HTTPContext.formData() reads ${what}`, NET, async () => {
    await using app = await serving(tell);
    using client = await RawClient.connect(app.addr);
    await client.send(post(type, body));
    const response = await client.response();
    assertEquals([response.status, response.body], [200, utf8(JSON.stringify(entries))]);
  });
}

// What is no form, and the answer.
const NO_FORMS: [what: string, type: string | null, body: string, status: number, text: string][] =
  [
    ["a body without a type", null, "a=1", 415, "The body must be a form"],
    ["JSON", "application/json", "{}", 415, "The body must be a form"],
    ["another multipart type", "multipart/mixed; boundary=xyz", "", 415, "The body must be a form"],
    [
      "a type that only begins like a form's",
      `${URLENCODED}d`,
      "a=1",
      415,
      "The body must be a form",
    ],
    [
      "a multipart form without a boundary",
      "multipart/form-data",
      multipart('name="a"\r\n\r\n1'),
      400,
      "The body is not a valid form",
    ],
    [
      "a multipart form with another boundary",
      "multipart/form-data; boundary=zyx",
      multipart('name="a"\r\n\r\n1'),
      400,
      "The body is not a valid form",
    ],
    [
      "a multipart form without its end",
      MULTIPART,
      multipart('name="a"\r\n\r\n1').slice(0, -9),
      400,
      "The body is not a valid form",
    ],
    ["a form over maxBodySize", URLENCODED, `a=${"1".repeat(1023)}`, 413, "Content Too Large"],
  ];

for (const [what, type, body, status, text] of NO_FORMS) {
  test(`HTTPContext.formData() answers ${status} to ${what}`, NET, async () => {
    using errors = new ErrorLog();
    await using app = await serving(tell, { maxBodySize: 1024 });
    using client = await RawClient.connect(app.addr);
    await client.send(post(type, body));
    const response = await client.response();
    assertEquals([response.status, response.body], [status, text]);
    assertEquals(errors.entries, []);
  });
}

/** As short as they may be: each within the default `maxBodySize`, many of them would take seconds to parse. */
const FIELDS: [what: string, type: string, form: (count: number) => string][] = [
  ["a urlencoded form", URLENCODED, (count) => Array(count).fill("a").join("&")],
  ["a multipart form", MULTIPART, (count) => multipart(...Array(count).fill("name=a\r\n\r\n"))],
  [
    "a multipart form without names",
    MULTIPART,
    (count) => "--xyz\r\n\r\n\r\n".repeat(count) + "--xyz--",
  ],
  [
    "a multipart form with something like another boundary before its own",
    'multipart/form-data; a="; boundary=abc"; BOUNDARY="x\\yz"',
    (count) => multipart(...Array(count).fill("name=a\r\n\r\n")),
  ],
];

for (const [what, type, form] of FIELDS) {
  test(
    `${what} of more than 10,000 fields is answered with 413, however it is read`,
    NET,
    async () => {
      await using app = await serving((app) => {
        app.onEvent("POST:/", async ({ ctx }) => {
          const fields = await (ctx.headers.has("web") ? ctx.request : ctx).formData();
          return ctx.response(200, `${[...fields].length}`);
        });
      });
      for (const headers of [{ "Content-Type": type }, { "Content-Type": type, Web: "1" }]) {
        const most = await app.fetch("/", { method: "POST", headers, body: form(10_000) });
        assertEquals(most.status, 200);
        await most.text();
        const more = await app.fetch("/", { method: "POST", headers, body: form(10_001) });
        assertEquals(
          [more.status, await more.text()],
          [413, "The form has more than 10000 fields"],
        );
      }
    },
  );
}

test(
  "a form whose boundary is not ASCII is answered with 400, however it is read",
  NET,
  async () => {
    // As Deno reads them, in UTF-8, and as they came.
    const fields = "--é\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(10_001);
    const body = new Blob([fields, Uint8Array.from("--\xe9--", (c) => c.charCodeAt(0))]);
    await using app = await serving((app) => {
      app.onEvent("POST:/", ({ ctx }) => ctx.formData());
      app.onEvent("POST:/web", async ({ ctx }) => {
        const error = await assertRejects(() => ctx.request.formData(), TypeError);
        return ctx.response(400, error.message);
      });
    });
    for (const path of ["/", "/web"]) {
      const headers = { "Content-Type": "multipart/form-data; boundary=\xe9" };
      const response = await app.fetch(path, { method: "POST", headers, body });
      await response.text();
      assertEquals(response.status, 400);
    }
  },
);

test("the number of fields is that of the boundary that the form is parsed with", NET, async () => {
  const body = multipart(...Array(10_001).fill("name=a\r\n\r\n"));
  await using app = await serving(tell);
  for (
    const type of [
      "multipart/form-data; boundary=a, multipart/form-data; boundary=xyz",
      'multipart/form-data; boundary=""; boundary=xyz',
      "multipart/form-data; boundary=; boundary=xyz",
      'multipart/form-data; boundary="xyz',
      'multipart/form-data; boundary="\\"xyz"; boundary=xyz',
    ]
  ) {
    const response = await app.fetch("/", {
      method: "POST",
      headers: { "Content-Type": type },
      body,
    });
    await response.text();
    assert(response.status === 413 || response.status === 400, `${response.status} to ${type}`);
  }
});
