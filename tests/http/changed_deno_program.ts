// serve() and Deno.serve(), side by side, where the parts of Deno that nothing guarantees are not found. Prints
// each exchange in which the two differ.

delete (Deno as { internal?: symbol }).internal;
Object.getOwnPropertySymbols = () => [];
const { ownKeys } = Reflect;
Reflect.ownKeys = (of) => ownKeys(of).filter((key) => typeof key === "string");
const { serve } = await import("../../http_context.ts");

const LOCAL = { hostname: "127.0.0.1", port: 0, onListen(): void {} };

async function gzip(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Response(text).body!.pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

const zipped = await gzip("a".repeat(1000));
await using origin = Deno.serve(
  LOCAL,
  () => new Response(zipped, { headers: { "Content-Encoding": "gzip" } }),
);
const originURL = `http://127.0.0.1:${origin.addr.port}/`;

const HANDLERS: Record<string, (request: Request) => Response | Promise<Response>> = {
  text: () => new Response("text"),
  json: async (request) => Response.json(await request.json()),
  fields: () => new Response("made", { status: 201, headers: [["X-A", "1"], ["X-A", "2"]] }),
  null: () => new Response(null, { status: 204 }),
  bytes: async (request) => new Response(await request.bytes()),
  stream: ({ body }) => new Response(body),
  form: async (request) => Response.json([...(await request.formData()).entries()]),
  copy: async (request) => new Response(await new Request(request.url, request).text()),
  given: ({ method, url, headers }) => new Response(`${method} ${url} ${headers.get("x-b")}`),
  redirect: ({ url }) => Response.redirect(new URL("/text", url), 303),
  decoded: () => fetch(originURL),
  clone: async () => (await fetch(originURL)).clone(),
  cookies: () => new Response("", { headers: [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]] }),
};
const ASKED: [name: string, init?: RequestInit][] = [
  ["text"],
  ["text", { method: "HEAD" }],
  ["json", { method: "POST", body: JSON.stringify({ a: [1, "b"] }) }],
  ["fields"],
  ["null"],
  ["bytes", { method: "PUT", body: new Uint8Array(1024 * 1024).fill(7) }],
  ["stream", { method: "POST", body: "b".repeat(100_000) }],
  ["form", { method: "POST", body: new URLSearchParams({ a: "1", b: "é" }) }],
  ["copy", { method: "POST", body: "copied" }],
  ["given", { method: "PATCH", headers: { "X-B": "é" } }],
  ["redirect"],
  ["decoded"],
  ["clone"],
  ["cookies"],
];

function handle(request: Request): Response | Promise<Response> {
  return HANDLERS[new URL(request.url).pathname.slice(1)](request);
}

await using ours = serve(LOCAL, handle);
await using theirs = Deno.serve(LOCAL, handle);

/** What a client sees, without what differs from one server to the other by their ports and clocks. */
async function ask({ port }: Deno.NetAddr, name: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/${name}`, { ...init, redirect: "manual" });
  const headers = [...response.headers].filter(([name]) => !IGNORED.has(name));
  const seen = JSON.stringify([response.status, headers, await response.text()]);
  return seen.replaceAll(`:${port}/`, "/");
}
/** Deno.serve offers compression, and knows fewer lengths. */
const IGNORED = new Set(["content-length", "date", "transfer-encoding", "vary"]);

for (const [name, init] of ASKED) {
  const [our, their] = [await ask(ours.addr, name, init), await ask(theirs.addr, name, init)];
  if (our !== their) console.log(`${init?.method ?? "GET"} ${name}: ${our}, not ${their}`);
}
console.log("asked");
