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

/** The URI that was asked for (RFC 9110 7.1). */
export function urlOf(target: string, host: string | null, conn: Deno.Conn): string {
  if (pathStart(target) > 0) return target;
  const { localAddr } = conn;
  const local = "hostname" in localAddr ? formatAddr(localAddr) : "localhost";
  return `${schemeOf(conn)}://${host ?? local}${target.startsWith("/") ? target : "/"}`;
}
