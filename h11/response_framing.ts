// How a response is framed (RFC 9112 6), and whether the connection persists after it (RFC 9112 9.3).

import type { BodyFraming } from "./body.ts";
import { LocalProtocolError } from "./errors.ts";
import type { Response } from "./events.ts";
import { listMembers } from "./grammar.ts";
import { framingOf, type Headers } from "./headers.ts";

/** What determines the framing of a response, besides its own head. */
export interface Answered {
  /** The method of the request; null if the response answers no valid request. */
  readonly method: string | null;
  /** Whether the client uses HTTP/1.0, or its version is unknown. */
  readonly isHttp10: boolean;
  /** Whether the connection may persist. */
  readonly mayGoOn: boolean;
  /** The complete body, if known. */
  readonly whole: Uint8Array | null;
}

/** How a response is sent. */
export interface SentFraming {
  /** The framing of the body; "none" if the response cannot have one. */
  readonly body: BodyFraming | "none";
  /** The length of the body if Content-Length frames it; otherwise 0. */
  readonly length: number;
  /** The names, in lower case, of the fields to leave out. */
  readonly without: readonly string[];
  /** The field lines to add, each preceded by CRLF. */
  readonly added: string;
  /** Whether the connection ends after the response. */
  readonly closes: boolean;
}

const NO_NAMES: readonly string[] = [];
/** The names of the fields that frame a body. */
export const FRAMING_FIELDS: readonly string[] = ["content-length", "transfer-encoding"];
const CONTENT_LENGTH = "\r\nContent-Length: ";

/**
 * Corrects the fields of a response; no other code does. It sets the framing, which the caller chooses with
 * Content-Length or leaves to us, and Connection.
 *
 * @throws {LocalProtocolError} Its Content-Length differs from the length of the whole body.
 */
export function frameResponse(response: Response, answered: Answered): SentFraming {
  const { statusCode, headers } = response;
  const { method, isHttp10, mayGoOn, whole } = answered;
  const asked = framingOf(headers);
  const is304 = statusCode === 304;
  const isBodiless = sendsNoBody(response, method);

  let body: BodyFraming | "none" = isBodiless ? "none" : "content-length";
  let without = NO_NAMES;
  let added = "";
  if (statusCode === 204 || (isBodiless && method === "CONNECT")) {
    if (asked.chunked || asked.contentLength >= 0) without = FRAMING_FIELDS;
  } else if (statusCode === 205) {
    if (asked.chunked || asked.contentLength !== 0) {
      without = FRAMING_FIELDS;
      added = `${CONTENT_LENGTH}0`;
    }
  } else if (whole !== null && !is304) {
    if (asked.contentLength < 0) added = `${CONTENT_LENGTH}${whole.length}`;
    else if (asked.contentLength !== whole.length && method !== "HEAD") {
      throw wrongLength(asked.contentLength, whole.length);
    }
  } else if (asked.chunked || (asked.contentLength < 0 && !is304)) {
    // A body of unknown length. A response to HEAD gets the same fields as one to GET; a 304 may have them.
    if (isHttp10) {
      without = FRAMING_FIELDS;
      if (!isBodiless) body = "close-delimited";
    } else {
      if (asked.contentLength >= 0) without = ["content-length"];
      if (!asked.chunked) added = "\r\nTransfer-Encoding: chunked";
      if (!isBodiless) body = "chunked";
    }
  }

  const closes = !mayGoOn || asked.close || body === "close-delimited";
  if (closes) {
    if (!asked.close || asked.keepAlive) {
      without = [...without, "connection"];
      added += connectionLine(headers, "close");
    }
  } else if (isHttp10 && !asked.keepAlive) {
    without = [...without, "connection"];
    added += connectionLine(headers, "keep-alive");
  }
  const length = body === "content-length" ? Math.max(asked.contentLength, 0) : 0;
  return { body, length, without, added, closes };
}

/**
 * Whether a response to `method` ends with its head, regardless of its fields (RFC 9112 6.3, rules 1 and 2).
 */
export function hasNoBody(response: Response, method: string | null): boolean {
  const { statusCode } = response;
  return statusCode === 204 || statusCode === 304 || method === "HEAD" ||
    (method === "CONNECT" && isSuccessful(response));
}

/** Like `hasNoBody`, for a response that we send: a 205 must not have content either (RFC 9110 15.3.6). */
export function sendsNoBody(response: Response, method: string | null): boolean {
  return response.statusCode === 205 || hasNoBody(response, method);
}

/** Whether the status is 2xx. */
export function isSuccessful({ statusCode }: Response): boolean {
  return statusCode >= 200 && statusCode < 300;
}

/** A `Connection` line with the options in `headers`, in which `option` replaces "close" and "keep-alive". */
function connectionLine(headers: Headers, option: "close" | "keep-alive"): string {
  const options = headers.getAll("connection").flatMap(listMembers);
  const others = options.filter((other) => other !== "close" && other !== "keep-alive");
  return `\r\nConnection: ${[...others, option].join(", ")}`;
}

function wrongLength(told: number, length: number): LocalProtocolError {
  return new LocalProtocolError(
    `Cannot send a body of ${length} bytes with Content-Length "${told}": they must be equal ` +
      "(RFC 9110 8.6)",
  );
}
