// The parts of a request's target (RFC 9112 3.2).

import { formatAddr } from "./log.ts";

/** Where the path begins: after the authority of an absolute-form, else at the start. */
function pathStart(target: string): number {
  if (target.charCodeAt(0) === 0x2f) return 0;
  const authority = target.indexOf("://");
  if (authority < 0) return 0;
  const end = target.slice(authority + 3).search(/[/?]/);
  return end < 0 ? target.length : authority + 3 + end;
}

/** The path, without the query. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  const start = pathStart(target);
  if (query < 0 && start === 0) return target;
  return target.slice(start, query < 0 ? undefined : query) || "/";
}

/** The query, without its question mark. */
export function queryOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? "" : target.slice(query + 1);
}

/** The scheme of what comes over a connection. */
export function schemeOf(conn: Deno.Conn): "http" | "https" {
  return "handshake" in conn ? "https" : "http";
}

/** The URL that was asked for (RFC 9110 7.1), normalized; null where target and Host make none. */
export function urlOf(target: string, host: string | null, conn: Deno.Conn): string | null {
  const scheme = schemeOf(conn);
  if (host !== null && IS_NORMAL.test(target)) {
    const origin = originOf(scheme, host);
    if (origin !== null) return origin + target;
  }
  if (pathStart(target) > 0) return URL.parse(target)?.href ?? null;
  const { localAddr } = conn;
  const local = "hostname" in localAddr ? formatAddr(localAddr) : "localhost";
  const path = target.startsWith("/") ? target : "/";
  return URL.parse(`${scheme}://${host ?? local}${path}`)?.href ?? null;
}

/**
 * A path and query that the URL parser leaves as they are (URL 1.3, percent-encode sets; 4.1, dot segments):
 * to have it parse them takes longer than all else of a small request.
 */
const IS_NORMAL = /^(?:\/(?!\.|%2e)[\w\-.~!$&()*+,;=:@%]*)+(?:\?[\w\-.~!$&()*+,;=:@%/?]*)?$/i;

/** What a URL begins with, for the Host that was asked for last: mostly it is the same one. */
let last = { scheme: "", host: "", origin: null as string | null };

function originOf(scheme: string, host: string): string | null {
  if (host !== last.host || scheme !== last.scheme) {
    const url = URL.parse(`${scheme}://${host}/`);
    // A host is nothing else: no path, no name and password.
    const origin = url === null || url.href !== `${url.origin}/` ? null : url.origin;
    last = { scheme, host, origin };
  }
  return last.origin;
}
