// Deno.serve for the comparison: it answers as ours.ts does.

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen(): void {} }, answer);
console.log(server.addr.port);

async function answer(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/204" || pathname === "/304") {
    return new Response(null, { status: Number(pathname.slice(1)) });
  }
  if (request.method === "CONNECT") return new Response(null, { status: 501 });
  if (pathname === "/stream") return new Response(ReadableStream.from(parts()));
  if (pathname === "/early") return new Response("early");
  const { byteLength } = await request.arrayBuffer();
  // Where there is no Host, Deno makes one up.
  const host = new URL(request.url).host.replace(/^localhost:\d+$/, "localhost");
  return new Response(`${request.method} ${host}${pathname}${search} ${byteLength}`);
}

async function* parts(): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode("str");
  await Promise.resolve();
  yield new TextEncoder().encode("eam");
}
