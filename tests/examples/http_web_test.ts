import { assertEquals, assertStringIncludes } from "@std/assert";
import { RawClient, utf8 } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { Program, run } from "../program.ts";

const NEEDS = { permissions: ["net", "run"], ports: [8000] } as const;
const ADDR = { hostname: "127.0.0.1", port: 8000 };
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";

/** The example, with no more permission than README says a server needs. */
function example(): Program {
  return new Program("run", "--no-prompt", "--allow-net=127.0.0.1:8000", "examples/http_web.ts");
}

// What README's first screen promises, on the wire and in the log.
const ANSWERS: [line: string, status: string, fields: string, body: string][] = [
  ["GET /user/bob", "200 OK", `${TEXT}Date: now\r\nContent-Length: 11\r\n`, "Hello, bob!"],
  [
    "GET /user/J%C3%BCrgen%20%F0%9F%A6%95",
    "200 OK",
    `${TEXT}Date: now\r\nContent-Length: 20\r\n`,
    utf8("Hello, Jürgen 🦕!"),
  ],
  ["GET /", "200 OK", `${TEXT}Date: now\r\nContent-Length: 8\r\n`, "Welcome!"],
  ["HEAD /user/bob", "200 OK", `${TEXT}Date: now\r\nContent-Length: 11\r\n`, ""],
  [
    "GET /throw",
    "500 Internal Server Error",
    `${TEXT}Date: now\r\nContent-Length: 21\r\n`,
    "Internal Server Error",
  ],
  ["GET /nope", "404 Not Found", `${TEXT}Date: now\r\nContent-Length: 9\r\n`, "Not Found"],
  [
    "POST /user/bob",
    "405 Method Not Allowed",
    `Allow: GET, HEAD, OPTIONS\r\n${TEXT}Date: now\r\nContent-Length: 18\r\n`,
    "Method Not Allowed",
  ],
];

test("README.md shows examples/http_web.ts", { permissions: ["read"] }, async () => {
  const [readme, program] = await Promise.all(
    ["../../README.md", "../../examples/http_web.ts"].map((path) =>
      Deno.readTextFile(new URL(path, import.meta.url))
    ),
  );
  const code = program.slice(program.indexOf("import "));
  assertStringIncludes(readme, code.replace("../mod.ts", "@tiny/listener"));
});

test("examples/http_web.ts answers and logs as it should, and ends at SIGINT", NEEDS, async () => {
  await using program = example();
  assertEquals(
    await program.nextLine(),
    "INFO: Tiny-listener HTTP server running on 127.0.0.1:8000",
  );
  using client = await RawClient.connect(ADDR);
  for (const [line, status, fields, body] of ANSWERS) {
    await client.send(`${line} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n`);
    const response = await client.response(line.split(" ")[0]);
    assertEquals(response.head, `HTTP/1.1 ${status}\r\n${fields}\r\n`);
    assertEquals(response.body, body);
    assertEquals(
      await program.nextLine(),
      `INFO: ${client.address} - "${line} HTTP/1.1" ${status.slice(0, 3)}`,
    );
  }
  program.signal("SIGINT");
  const { code, stdout, stderr } = await program.end();
  assertEquals([code, stdout, stderr], [0, "", ""]);
  assertEquals(await client.rest(), "");
});

test("examples/http_web.ts says in one line that its port is in use", NEEDS, async () => {
  using _taken = Deno.listen(ADDR);
  const { code, stdout, stderr } = await run(
    "run",
    "--no-prompt",
    "--allow-net",
    "examples/http_web.ts",
  );
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    "ERROR: Cannot listen on 127.0.0.1:8000: the port is in use; " +
      "stop the program that uses it, or choose another port\n",
  );
});

test(
  "examples/http_web.ts says in one line that it has no permission",
  { permissions: ["run"] },
  async () => {
    const { code, stdout, stderr } = await run("run", "--no-prompt", "examples/http_web.ts");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "ERROR: Cannot listen on 127.0.0.1:8000: ");
    assertStringIncludes(stderr, "run the program with --allow-net=127.0.0.1:8000\n");
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  },
);
