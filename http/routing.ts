// From a request to a route: HEAD runs GET's, and what has no route is told why.

import type { FoundRoute } from "../listener.ts";
import type { Request } from "../h11.ts";
import { HTTPError } from "./http_error.ts";
import { isDot, pathOf } from "./target.ts";

/** What is asked of a listener to find a route. */
export interface Routes {
  findRoute(path: string): FoundRoute | null;
  findRouteOf(head: string, path: Uint16Array, start: number, end: number): FoundRoute | null;
  /** The patterns that are registered. */
  patterns(): Iterable<string>;
}

/**
 * The route of `METHOD:path`. HEAD takes the route of GET where that was registered before any that HEAD
 * has itself.
 *
 * @returns Null where there is none: `allowed` tells what to answer.
 * @throws {HTTPError} 501: CONNECT without a route of its own, which a route for everything is not.
 */
export function route(routes: Routes, request: Request): FoundRoute | null {
  const { method } = request;
  const found = find(routes, method, request);
  if (method === "HEAD") {
    const get = find(routes, "GET", request);
    if (get !== null && (found === null || get.route.order < found.route.order)) return get;
  } else if (method === "CONNECT" && found?.route.pattern.startsWith("CONNECT:") !== true) {
    throw new HTTPError(501);
  }
  return found;
}

/** The code units of the target of the request that a route is looked for: most are not looked at as a string. */
const units = new Uint16Array(8 * 1024);
const SLASH = 0x2f, QUESTION_MARK = 0x3f;

function find(routes: Routes, method: string, request: Request): FoundRoute | null {
  const head = method === "GET" ? "GET:" : `${method}:`;
  const length = request.targetInto(units);
  if (length <= 0 || units[0] !== SLASH) return routes.findRoute(head + pathOf(request.target));
  let end = 0;
  for (; end < length && units[end] !== QUESTION_MARK; end++) {
    if (units[end] === SLASH && isDot(units, end + 1)) {
      return routes.findRoute(head + pathOf(request.target));
    }
  }
  return routes.findRouteOf(head, units, 0, end);
}

/**
 * What to answer a request without a route: the `Allow` of one with OPTIONS.
 *
 * @throws {HTTPError} 404: there is no route for the path. 405: there is one for another method.
 */
export function allowed(routes: Routes, { method, target }: Request): string {
  const path = pathOf(target);
  const allow = methodsOf(routes, path);
  if (method === "OPTIONS" && (allow !== null || path === "*")) return allow ?? "OPTIONS";
  if (allow === null) throw new HTTPError(404);
  throw new HTTPError(405, undefined, { headers: { Allow: allow } });
}

/** The methods that have a route for `path`, or for anything where it is `*`; null for none. */
function methodsOf(routes: Routes, path: string): string | null {
  // Each is looked up once: anybody may ask for paths that no route takes, however many routes there are.
  const all = new Set<string>();
  for (const pattern of routes.patterns()) {
    const method = /^([A-Z]+):/.exec(pattern)?.[1];
    if (method !== undefined) all.add(method);
  }
  const takes = (method: string): boolean =>
    path === "*" || routes.findRoute(`${method}:${path}`) !== null;
  const methods = new Set([...all].filter(takes));
  if (methods.size === 0) return null;
  if (methods.has("GET")) methods.add("HEAD");
  methods.add("OPTIONS");
  return [...methods].join(", ");
}
