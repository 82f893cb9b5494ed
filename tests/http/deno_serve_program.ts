// A server of Deno's own, for deno_serve_test.ts.

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(port),
}, () => new Response("Welcome!"));
