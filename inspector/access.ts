// Who may view the inspector: by default, requests from this machine only.
//
// A request from a loopback address may still come from elsewhere: through a proxy on this machine, which
// adds fields or a PROXY header that show it, or through a page in a browser whose host name was made to
// resolve to this machine (DNS rebinding), which shows in Host.

import type { HTTPContext } from "../http_context.ts";

/** The names of this machine for itself. */
export const LOCAL_NAMES: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** Fields that proxies add. */
const PROXY_FIELDS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/** Why the request is refused, to be told to the client; null if it is allowed. */
export async function refusal(
  ctx: HTTPContext,
  { allow, hosts }: {
    allow: ((ctx: HTTPContext) => boolean | Promise<boolean>) | null;
    hosts: readonly string[];
  },
): Promise<string | null> {
  const name = (ctx.headers.get("host") ?? "").replace(/:\d*$/, "").toLowerCase();
  if (!hosts.includes(name)) {
    return `The inspector is accessible only as ${hosts.join(", ")}, not as "${name}". ` +
      "To allow another host: inspector({ hosts: [...] }).";
  }
  if (allow !== null) return await allow(ctx) ? null : "You are not allowed to view the inspector.";
  const proxied = PROXY_FIELDS.find((field) => ctx.headers.has(field));
  // The addresses differ if the client's comes from a PROXY header: the peer is only the balancer then.
  const isLocal = isLoopback(ctx.peerAddr) && isLoopback(ctx.remoteAddr);
  if (isLocal && proxied === undefined) return null;
  const why = proxied === undefined
    ? "another machine"
    : `a proxy, as the field "${proxied}" shows`;
  return `The inspector is accessible only from the machine it runs on; this request comes from ${why}. ` +
    "To allow others: inspector({ allow: (ctx) => ... }).";
}

/** Whether an address is a loopback address (RFC 1122 3.2.1.3, RFC 4291 2.5.3). */
export function isLoopback(addr: Deno.Addr): boolean {
  return "hostname" in addr && /^(::1|(::ffff:)?127(\.\d+){3})$/i.test(addr.hostname);
}
