/**
 * A client for tests of an application over a real socket, set up in one line.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HTTPListener } from "@tiny/listener/http";
 * import { testClient } from "@tiny/listener/testing";
 *
 * const app = new HTTPListener();
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   return ctx.response(200, `Hello, ${params.username}!`);
 * });
 *
 * await using client = await testClient(app);
 * const response = await client.get("/user/bob");
 * assertEquals(await response.text(), "Hello, bob!");
 * ```
 *
 * If a test needs no socket, use `app.fetch("/user/bob")`.
 *
 * @module
 */

// The whole room is this file: it depends on the door of the web framework alone.

import type { HTTPListener, ServerOptions } from "./http_context.ts";

/** What a {@linkcode TestClient} sends besides the path: the options of `fetch()`, and JSON. */
export interface TestRequestInit extends RequestInit {
  /** A value to send as JSON instead of `body`. Its `Content-Type` is added if none is given. */
  json?: unknown;
}

/** Sends requests to an application in this process: see {@linkcode testClient}. */
export class TestClient implements AsyncDisposable {
  /** The URL that the application listens on, without a trailing slash: `http://127.0.0.1:52579`. */
  readonly url: string;
  readonly #stop: () => Promise<void>;
  // An HTTP client of its own: its connections end with it, and are not shared with other tests.
  readonly #http: Deno.HttpClient = Deno.createHttpClient({});
  readonly #closing = new AbortController();
  /** Requests that have not been answered yet. */
  readonly #pending = new Set<Promise<Response>>();
  #closed: Promise<void> | null = null;

  /** @ignore Created by `testClient()`. */
  constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
  }

  /**
   * Sends a request, like `fetch()`.
   *
   * @param path The path of the request, relative to {@linkcode TestClient.url}.
   * @param init The method, headers, body and so on.
   */
  fetch(path: string, init: TestRequestInit = {}): Promise<Response> {
    const { json, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (json !== undefined) {
      rest.body = JSON.stringify(json);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
    }
    // Otherwise "//a/b" would be the path "/b" on the host "a".
    const url = path.startsWith("/") ? this.url + path : new URL(path, this.url);
    const signals = rest.signal ? [rest.signal, this.#closing.signal] : [this.#closing.signal];
    const signal = AbortSignal.any(signals);
    const response = fetch(url, { ...rest, headers, client: this.#http, signal });
    const settled = (): unknown => this.#pending.delete(response);
    this.#pending.add(response);
    response.then(settled, settled);
    return response;
  }

  /** Sends a GET request. */
  get(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "GET" });
  }

  /** Sends a HEAD request. */
  head(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "HEAD" });
  }

  /** Sends a POST request. */
  post(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "POST" });
  }

  /** Sends a PUT request. */
  put(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "PUT" });
  }

  /** Sends a PATCH request. */
  patch(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "PATCH" });
  }

  /** Sends a DELETE request. */
  delete(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "DELETE" });
  }

  /**
   * Stops the application, including its shutdown callbacks, and closes the client's connections; only the
   * first call has an effect. In-flight requests are answered if that takes no longer than the grace period.
   * What has not been read of their responses is lost.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    const stopping = this.#stop();
    try {
      await Promise.race([stopping, Promise.allSettled(this.#pending)]);
    } finally {
      // Otherwise the application would wait until the rest of an unread response is taken.
      this.#closing.abort(new DOMException("The client was closed", "AbortError"));
      this.#http.close();
    }
    await stopping;
  }

  /** Closes the client at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts an application on a free port of this machine, with its startup callbacks, and returns a client for
 * it. The client uses plain HTTP over TCP, and needs `--allow-net`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HTTPListener } from "@tiny/listener/http";
 * import { testClient } from "@tiny/listener/testing";
 *
 * const app = new HTTPListener();
 * app.onEvent("POST:/double", async ({ ctx }) => Response.json(2 * Number(await ctx.json())));
 *
 * await using client = await testClient(app);
 * const response = await client.post("/double", { json: 21 });
 * assertEquals(await response.json(), 42);
 * ```
 *
 * In tests, create an application that uses TLS without `cert` and `key`, or call its `fetch()` instead.
 *
 * @param options Options to start with instead of the application's own. By default, `port` is 0, `hostname`
 * is `127.0.0.1`, and `accessLog` and `proxyProtocol` are false.
 * @throws {TypeError} The application is not an `HTTPListener`, or listens on a Unix socket.
 */
export async function testClient(
  app: HTTPListener,
  options: ServerOptions = {},
): Promise<TestClient> {
  // Checked by shape, not by class: a test may import another copy of this package.
  if (typeof app?.configure !== "function") {
    throw new TypeError("Cannot create a client: the application must be an HTTPListener");
  }
  app.configure({
    port: 0,
    hostname: "127.0.0.1",
    accessLog: false,
    proxyProtocol: false,
    ...options,
  });
  await app.start();
  const addr = app.listenAddr;
  if (!("hostname" in addr)) {
    await app.stop();
    throw new TypeError(
      "Cannot create a client: the application listens on a Unix socket, not on TCP",
    );
  }
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  return new TestClient(`http://${host}:${addr.port}`, () => app.stop());
}
