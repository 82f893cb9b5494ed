import { STATUS_TEXT } from "@std/http/status";
import { Headers, type HeadersInit } from "../h11.ts";

/** The reason phrase of a status code; empty if it has none. */
export function reasonPhrase(status: number): string {
  return (STATUS_TEXT as Record<number, string>)[status] ?? "";
}

/** Options of an {@linkcode HTTPError}. */
export interface HTTPErrorOptions extends ErrorOptions {
  /** Header fields of the response. */
  headers?: HeadersInit | undefined;
}

/**
 * An error that is a response: if a handler, a hook or a dependency throws it, the request is answered with
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
  /** Header fields of the response. */
  readonly headers: HeadersInit;

  /**
   * Creates an error with the status of its response.
   *
   * @param message The body of the response; by default, the reason phrase of the status.
   * @throws {RangeError} `status` is not from 400 to 599.
   */
  constructor(status: number, message?: string, options: HTTPErrorOptions = {}) {
    super(message ?? reasonPhrase(status), options);
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(
        `Cannot create an HTTPError with status ${status}: must be from 400 to 599; ` +
          "to redirect, throw an error of another class, and call ctx.redirect() in its onError() hook",
      );
    }
    this.status = status;
    this.headers = options.headers ?? [];
  }

  /**
   * Creates the response. If a Hono app is the handler, the errors of reading the body are thrown inside of
   * it, and Hono answers with what this method of an error returns, or else with 500.
   */
  getResponse(): Response {
    const headers = new Headers(this.headers).rawItems();
    return new Response(this.message, { status: this.status, headers });
  }

  /**
   * What `JSON.stringify()` shows. h3 takes the body of its response from this method of any error that has
   * the name of this class.
   */
  toJSON(): { status: number; message: string } {
    return { status: this.status, message: this.message };
  }
}

/** The error to answer with: an HTTPError itself, or a 500 for any other error. */
export function toHTTPError(error: unknown): HTTPError {
  return error instanceof HTTPError ? error : new HTTPError(500, undefined, { cause: error });
}
