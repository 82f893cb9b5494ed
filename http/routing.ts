// From a request to a route: HEAD uses the routes of GET, and a request without a route is told why.

import type { FoundRoute } from "../listener.ts";
import type { Request } from "../h11.ts";
import { HTTPError } from "./http_error.ts";
import { isDot, pathOf } from "./target.ts";

/** What a listener provides for finding a route. */
export interface Routes {
  findRoute(path: string): FoundRoute | null;
  findRouteOf(head: string, path: Uint16Array, start: number, end: number): FoundRoute | null;
}

/**
 * The route of `METHOD:path`. HEAD uses the route of GET if that was registered before any of HEAD's own.
 *
 * @returns Null if there is none: `allowed` tells what to answer.
 * @throws {HTTPError} 501: CONNECT without a route of its own, which one for any method is not.
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

/** The code units of a request's target, so that most targets are matched without creating a string. */
const units = new Uint16Array(8 * 1024);
const SLASH = 0x2f, QUESTION_MARK = 0x3f;

/** The method of the last search, and what its routes begin with: a new text would have to be compared. */
let lastMethod = "";
let head = "";

function find(routes: Routes, method: string, request: Request): FoundRoute | null {
  if (method !== lastMethod) {
    lastMethod = method;
    head = `${method}:`;
  }
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

/** The methods that the patterns of `routes` begin with. */
export function methodsIn(routes: Iterable<{ pattern: string }>): Set<string> {
  const methods = new Set<string>();
  for (const { pattern } of routes) {
    const method = /^([A-Z][A-Z-]*):/.exec(pattern)?.[1];
    if (method !== undefined) methods.add(method);
  }
  return methods;
}

/**
 * The `Allow` field for an OPTIONS request without a route; other requests get an error.
 *
 * @param known The methods that `routes` are registered for.
 * @throws {HTTPError} 404: no route takes the path. 405: one does, for another method.
 */
export function allowed(
  routes: Routes,
  known: Iterable<string>,
  { method, target }: Request,
): string {
  const path = pathOf(target);
  const takes = (method: string): boolean =>
    path === "*" || routes.findRoute(`${method}:${path}`) !== null;
  const methods = new Set([...known].filter(takes));
  if (methods.size === 0) {
    if (method === "OPTIONS" && path === "*") return "OPTIONS";
    throw new HTTPError(404);
  }
  if (methods.has("GET")) methods.add("HEAD");
  methods.add("OPTIONS");
  const allow = [...methods].join(", ");
  if (method === "OPTIONS") return allow;
  throw new HTTPError(405, undefined, { headers: { Allow: allow } });
}
