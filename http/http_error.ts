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
   * Creates a response with the status, the message and the fields of this error. Hono calls this method of
   * an error that is thrown inside an app, for example while the app reads a request body. Without it, Hono
   * would respond with 500.
   */
  getResponse(): Response {
    const headers = new Headers(this.headers).rawItems();
    return new Response(this.message, { status: this.status, headers });
  }

  /**
   * Returns the JSON form of this error. h3 uses it as the body of its response, because it recognizes errors
   * of its own by the name of their class, which is the same.
   */
  toJSON(): { status: number; message: string } {
    return { status: this.status, message: this.message };
  }
}

/** The error to answer with: an HTTPError itself, or a 500 for any other error. */
export function toHTTPError(error: unknown): HTTPError {
  return error instanceof HTTPError ? error : new HTTPError(500, undefined, { cause: error });
}
