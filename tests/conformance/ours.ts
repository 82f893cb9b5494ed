// The server of the table on this package: it tells what it took a request for.

import type { HTTPListener } from "../../http_context.ts";

/** Adds the routes that messages of the table ask for. */
export function routes(app: HTTPListener): void {
  for (const path of ["/204", "/304"]) {
    app.onEvent(`GET:${path}`, ({ ctx }) => ctx.response(Number(path.slice(1))));
  }
  app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, parts()));
  app.onEvent("POST:/early", ({ ctx }) => ctx.response(200, "early"));
  app.onEvent("GET:/upgrade", async ({ ctx }) => {
    if (ctx.httpVersion === "1.0") return ctx.response(200, "GET a/upgrade 0");
    const { conn } = await ctx.upgrade();
    conn.close();
  });
  app.onEvent(async ({ ctx }) => {
    const { length } = await ctx.bytes();
    const { authority, path } = split(ctx.target);
    // A client of HTTP/1.0 may leave Host out.
    const host = authority ?? ctx.headers.get("host") ?? "-";
    ctx.response(200, `${ctx.method} ${host}${path} ${length}`);
  });
}

/** The parts of a target: in absolute-form its authority takes the place of Host (RFC 9112 3.2.2). */
function split(target: string): { authority?: string; path: string } {
  const parts = /^[^/*]+:\/\/([^/?]+)([^]*)$/.exec(target);
  if (parts === null) return { path: target };
  const [, authority, rest] = parts;
  return { authority, path: rest.startsWith("/") ? rest : `/${rest}` };
}

async function* parts(): AsyncGenerator<string> {
  yield "str";
  await Promise.resolve();
  yield "eam";
}
