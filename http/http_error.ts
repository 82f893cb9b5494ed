import { STATUS_TEXT } from "@std/http/status";
import type { HeadersInit } from "../h11.ts";

/** The reason phrase of a status code; empty for one that has none. */
export function reasonPhrase(status: number): string {
  return (STATUS_TEXT as Record<number, string>)[status] ?? "";
}

/** Options of an {@linkcode HTTPError}. */
export interface HTTPErrorOptions extends ErrorOptions {
  /** Fields of the response. */
  headers?: HeadersInit | undefined;
}

/**
 * An error that is a response: thrown by a handler, a hook or a dependency, it becomes the answer with
 * its status, its message as the body, and its headers.
 *
 * @example
 * ```ts
 * import { HTTPError, HTTPListener } from "@tiny/listener/http";
 *
 * const app = new HTTPListener();
 * app.onEvent("GET:/admin", () => {
 *   throw new HTTPError(401, "Who are you?", { headers: { "WWW-Authenticate": "Basic" } });
 * });
 * ```
 */
export class HTTPError extends Error {
  /** The class's name. */
  override name = "HTTPError";
  /** The status code, from 400 to 599. */
  readonly status: number;
  /** Fields of the response. */
  readonly headers: HeadersInit;

  /**
   * Makes an error with the status of its response.
   *
   * @param message The body; the status's reason phrase if not given.
   * @throws {RangeError} `status` is not from 400 to 599.
   */
  constructor(status: number, message?: string, options: HTTPErrorOptions = {}) {
    super(message ?? reasonPhrase(status), options);
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(`Cannot make an HTTPError of status ${status}: must be from 400 to 599`);
    }
    this.status = status;
    this.headers = options.headers ?? [];
  }
}

/** What the client is told of an error: an HTTPError carries its own answer, the rest is a 500. */
export function toHTTPError(error: unknown): HTTPError {
  return error instanceof HTTPError ? error : new HTTPError(500, undefined, { cause: error });
}
