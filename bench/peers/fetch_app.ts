// The routes for servers that take a function from a web Request to a Response and have no router of
// their own: a map from the method and the path's first segment, which costs as little as routing can.

import {
  CHUNK,
  CHUNKS,
  confirm,
  countInPlace,
  countParts,
  greet,
  LARGE,
  type Order,
  page,
  PAGE_FIELDS,
} from "./content.ts";
import { options } from "./program.ts";

type Handler = (request: Request, param: string) => Response | Promise<Response>;

const routes = new Map<string, Handler>();
routes.set("GET:/user", (_, name) => new Response(greet(name)));
routes.set("POST:/json", async (request) => Response.json(confirm(await request.json() as Order)));
routes.set("GET:/page", () => new Response(page(), { headers: PAGE_FIELDS }));
routes.set("GET:/large", () => new Response(LARGE));
routes.set("GET:/stream", () => new Response(stream()));
routes.set("POST:/upload", async ({ body }) => new Response(`${await countInPlace(body!)}`));
routes.set("POST:/for-await", async ({ body }) => new Response(`${await countParts(body!)}`));
for (let i = 0; i < (options.routes ?? 0); i++) {
  routes.set(`GET:/user${i}`, (_, name) => new Response(greet(name)));
}

/** Answers a request. */
export function answer(request: Request): Response | Promise<Response> {
  const { method, url } = request;
  const start = url.indexOf("/", "https://".length);
  const end = url.indexOf("/", start + 1);
  const segment = end < 0 ? url.slice(start) : url.slice(start, end);
  const handler = routes.get(`${method}:${segment}`);
  if (handler === undefined) return new Response("Not Found", { status: 404 });
  return handler(request, url.slice(end + 1));
}

/** The body of `GET /stream`. */
export function stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = CHUNKS;
  return new ReadableStream({
    pull(controller): void {
      controller.enqueue(CHUNK);
      if (--left === 0) controller.close();
    },
  });
}
