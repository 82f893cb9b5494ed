// Rules for messages beyond the grammar and the states: between the fields of one message, or between two
// messages.

import { LocalProtocolError } from "./errors.ts";
import { framingOfRequest, type InformationalResponse, type Request } from "./events.ts";
import { listMembers } from "./grammar.ts";
import type { Headers } from "./headers.ts";
import { quote } from "./text.ts";

/**
 * Refuses requests that a client must not send, although a server accepts them.
 *
 * @throws {LocalProtocolError} `request` is such a request.
 */
export function checkSentRequest(request: Request): void {
  const { method, target, headers } = request;
  const { chunked, contentLength, expectContinue } = framingOfRequest(request);
  const hasContent = chunked || contentLength > 0;
  if (method === "TRACE" && hasContent) {
    throw new LocalProtocolError(
      "Cannot send TRACE with content: omit Content-Length and Transfer-Encoding (RFC 9110 9.3.8)",
    );
  }
  if (expectContinue && !hasContent) {
    throw new LocalProtocolError(
      "Cannot expect 100-continue without content: omit Expect (RFC 9110 10.1.1)",
    );
  }
  const authority = /^[^/]+:\/\/([^/?]*)/.exec(target)?.[1];
  const host = headers.get("host")!;
  if (authority !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    throw new LocalProtocolError(
      `Cannot send target ${quote(target)} with Host ${quote(host)}: expected Host ` +
        `${quote(authority)} (RFC 9112 3.2)`,
    );
  }
}

/**
 * Checks that a 101 names a protocol that the client offered (RFC 9110 7.8).
 *
 * @returns The protocols it names, possibly none.
 * @throws {LocalProtocolError} It names only protocols that were not offered.
 */
export function checkSwitch(
  { headers }: InformationalResponse,
  offered: readonly string[],
): readonly string[] {
  const named = protocolsIn(headers);
  if (named.length > 0 && !named.some((protocol) => offered.includes(protocol))) {
    throw new LocalProtocolError(
      `Cannot switch to ${quote(named.join(", "))}: the client offered ` +
        `${quote(offered.join(", "))} (RFC 9110 7.8)`,
    );
  }
  return named;
}

/**
 * Like `checkSwitch`, for a 101 that we send. Also refuses one that names no protocol or precedes the 100
 * that the client waits for, both of which a client accepts.
 */
export function checkSentSwitch(
  response: InformationalResponse,
  offered: readonly string[],
  clientWaits: boolean,
): void {
  if (checkSwitch(response, offered).length === 0) {
    throw new LocalProtocolError(
      "Cannot send 101 without Upgrade: name a protocol that the client offered (RFC 9110 7.8)",
    );
  }
  if (clientWaits) {
    throw new LocalProtocolError(
      "Cannot send 101 to a client that is waiting for 100: send 100 first (RFC 9110 7.8)",
    );
  }
}

/** The protocols that the Upgrade fields name, in lower case (RFC 9110 7.8). */
export function protocolsIn(headers: Headers): string[] {
  return headers.getAll("upgrade").flatMap(listMembers);
}

/** Whether the Upgrade fields contain "websocket", as proxies look for it: anywhere in them, in any case. */
export function namesWebSocket(headers: Headers): boolean {
  return /websocket/i.test(headers.get("upgrade")!);
}
