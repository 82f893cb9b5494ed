/**
 * For tests of an application over a real socket, in one line.
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
 * Where a test needs no socket, `app.fetch("/user/bob")` does the same without one.
 *
 * @module
 */

// The whole room: it needs nothing but the door of the web framework.

import type { HTTPListener, ServerOptions } from "./http_context.ts";

/** What a {@linkcode TestClient} sends beside the path: as of `fetch()`, and JSON. */
export interface TestRequestInit extends RequestInit {
  /** A value to send as JSON in place of `body`, with its `Content-Type` where none is given. */
  json?: unknown;
}

/** Sends requests to an application that runs in this process: see {@linkcode testClient}. */
export class TestClient implements AsyncDisposable {
  /** Where the application listens, with no slash at the end: `http://127.0.0.1:52579`. */
  readonly url: string;
  readonly #stop: () => Promise<void>;
  // A client of its own: its connections end with it, and no other test has them.
  readonly #http: Deno.HttpClient = Deno.createHttpClient({});
  readonly #closing = new AbortController();
  /** Requests that are not answered yet. */
  readonly #pending = new Set<Promise<Response>>();
  #closed: Promise<void> | null = null;

  /** @ignore Made by `testClient()`. */
  constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
  }

  /**
   * Sends a request, as `fetch()` does.
   *
   * @param path Where to, from {@linkcode TestClient.url}.
   * @param init The method, headers, body and so on.
   */
  fetch(path: string, init: TestRequestInit = {}): Promise<Response> {
    const { json, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (json !== undefined) {
      rest.body = JSON.stringify(json);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
    }
    // By itself "//a/b" would be the path "/b" of the host "a".
    const url = path.startsWith("/") ? this.url + path : new URL(path, this.url);
    const signals = rest.signal ? [rest.signal, this.#closing.signal] : [this.#closing.signal];
    const signal = AbortSignal.any(signals);
    const response = fetch(url, { ...rest, headers, client: this.#http, signal });
    const settled = (): unknown => this.#pending.delete(response);
    this.#pending.add(response);
    response.then(settled, settled);
    return response;
  }

  /** Sends GET. */
  get(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "GET" });
  }

  /** Sends HEAD. */
  head(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "HEAD" });
  }

  /** Sends POST. */
  post(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "POST" });
  }

  /** Sends PUT. */
  put(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "PUT" });
  }

  /** Sends PATCH. */
  patch(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "PATCH" });
  }

  /** Sends DELETE. */
  delete(path: string, init?: TestRequestInit): Promise<Response> {
    return this.fetch(path, { ...init, method: "DELETE" });
  }

  /**
   * Stops the application, its shutdown callbacks included, and closes the client's connections; once. Requests under
   * way are answered, if that does not take longer than the grace. What was not read of answers is lost.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    const stopping = this.#stop();
    try {
      await Promise.race([stopping, Promise.allSettled(this.#pending)]);
    } finally {
      // The application would wait until somebody takes what nobody has read of an answer.
      this.#closing.abort(new DOMException("The client was closed", "AbortError"));
      this.#http.close();
    }
    await stopping;
  }

  /** The same at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts an application on a free port of this machine, with its startup callbacks, and gives a client for it.
 * It speaks plain HTTP over TCP, and needs `--allow-net`.
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
 * An application that speaks TLS is to be made without `cert` and `key` in tests, or asked by its `fetch()`.
 *
 * @param options Options to start with, in place of the application's own: `port` is 0, `hostname`
 * `127.0.0.1`, and `accessLog` and `proxyProtocol` false if not given.
 * @throws {TypeError} The application is no `HTTPListener`, or listens on a Unix socket.
 */
export async function testClient(
  // deno-lint-ignore no-explicit-any -- an application with contexts of whatever class
  app: HTTPListener<any>,
  options: ServerOptions = {},
): Promise<TestClient> {
  // By its shape, not its class: a test may import another copy of this package.
  if (typeof app?.configure !== "function") {
    throw new TypeError("Cannot make a client: the application must be an HTTPListener");
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
      "Cannot make a client: the application listens on a Unix socket, not on TCP",
    );
  }
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  return new TestClient(`http://${host}:${addr.port}`, () => app.stop());
}
