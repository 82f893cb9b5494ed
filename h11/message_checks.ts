// What messages must keep to beside the grammar and the states: rules between the fields of one, or between two.

import { LocalProtocolError } from "./errors.ts";
import { framingOfRequest, type InformationalResponse, type Request } from "./events.ts";
import { listMembers } from "./grammar.ts";
import type { Headers } from "./headers.ts";
import { quote } from "./text.ts";

/** What a client must not send: a server reads it all the same. @throws {LocalProtocolError} `request` is that. */
export function checkSentRequest(request: Request): void {
  const { method, target, headers } = request;
  const { chunked, contentLength, expectContinue } = framingOfRequest(request);
  const hasContent = chunked || contentLength > 0;
  if (method === "TRACE" && hasContent) {
    throw new LocalProtocolError(
      "Cannot send TRACE with content: leave out its Content-Length or Transfer-Encoding (RFC 9110 9.3.8)",
    );
  }
  if (expectContinue && !hasContent) {
    throw new LocalProtocolError(
      "Cannot expect 100-continue without content: leave out Expect (RFC 9110 10.1.1)",
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
 * Whether a 101 names what the client offered (RFC 9110 7.8).
 *
 * @returns What it names, which may be nothing.
 * @throws {LocalProtocolError} It names another protocol.
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
 * As `checkSwitch`, for a 101 that is sent: a client takes one that names nothing, or comes before the 100 that it
 * waits for.
 */
export function checkSentSwitch(
  response: InformationalResponse,
  offered: readonly string[],
  clientWaits: boolean,
): void {
  if (checkSwitch(response, offered).length === 0) {
    throw new LocalProtocolError(
      "Cannot send 101 without Upgrade: name the protocol that the client offered (RFC 9110 7.8)",
    );
  }
  if (clientWaits) {
    throw new LocalProtocolError(
      "Cannot send 101 to a client that waits for 100: send 100 first (RFC 9110 7.8)",
    );
  }
}

/** The protocols that Upgrade names, in lower case (RFC 9110 7.8). */
export function protocolsIn(headers: Headers): string[] {
  return headers.getAll("upgrade").flatMap(listMembers);
}
