// serve(): the interface of Deno.serve on this engine, for any function from a web Request to a Response.

import type { FoundRoute, Source } from "../listener.ts";
import { HTTPListener } from "./http_listener.ts";
import { ListenError } from "./listen.ts";
import { printError } from "./error_log.ts";
import { givenOptions, type ServerOptions } from "./options.ts";
import { exchangeOf, type HTTPContext } from "./context.ts";
import { checkResponse, isResponse } from "./web_response.ts";

/** Options of {@linkcode serve}: those of `Deno.serve`, and {@linkcode ServerOptions}. */
export interface ServeOptions<A extends Deno.Addr = Deno.Addr> extends ServerOptions {
  /** Shuts the server down when aborted, like `shutdown()`. */
  signal?: AbortSignal | undefined;
  /** Makes the response to an error of the handler. By default, the error is logged and answered with 500. */
  onError?: ((error: unknown) => Response | Promise<Response>) | undefined;
  /** Called when the server is listening. By default, a line with the address is printed. */
  onListen?: ((localAddr: A) => void) | undefined;
}

/** Options of {@linkcode serve} on a TCP port. */
export interface ServeTcpOptions extends ServeOptions<Deno.NetAddr> {
  /** The transport; may be omitted. */
  transport?: "tcp" | undefined;
  /** The address or host name to listen on; `0.0.0.0` by default, which is all addresses of this machine. */
  hostname?: string | undefined;
  /** Not available on a TCP port. */
  path?: undefined;
  /** What `Deno.serve` calls `backlog`. */
  tcpBacklog?: number | undefined;
}

/** Options of {@linkcode serve} on a Unix socket. */
export interface ServeUnixOptions extends ServeOptions<Deno.UnixAddr> {
  /** The transport; may be omitted. */
  transport?: "unix" | undefined;
  /** The path of the Unix socket to listen on. */
  path: string;
}

type AnyOptions = (ServeTcpOptions | ServeUnixOptions) & { handler?: unknown };

/**
 * Serves HTTP requests with a function from a web `Request` to a `Response`, like `Deno.serve`. Code written
 * for `Deno.serve`, such as the `fetch` of a Hono app, runs on it unchanged.
 *
 * Differences from `Deno.serve`:
 *
 * - The limits and timeouts of {@linkcode ServerOptions} apply, and a request that is not valid HTTP/1.1
 *   (RFC 9112) is rejected. So are `CONNECT` and `TRACE`, with 501, which a `Request` cannot represent.
 * - It speaks HTTP/1.1 and 1.0, not HTTP/2, and compresses nothing on its own.
 * - The response of `Deno.upgradeWebSocket()` is rejected with an error, because it works with `Deno.serve`
 *   only. For WebSockets, use an {@linkcode HTTPListener} and `upgradeWebSocket()` from
 *   `@tiny/listener/websocket`.
 * - `shutdown()` and `signal` let in-flight requests finish, but cut them off when `shutdownGrace` is over,
 *   so a shutdown always completes. A signal that is already aborted counts, too. Server-sent events are
 *   notified at once by `request.signal`; those that answer a `GET` are ended half a second later, and their
 *   body is cancelled.
 * - `request.url` is normalized, and so is the case of a method like `get`, as in `new Request()`. On a Unix
 *   socket, the URL's scheme is `http`.
 * - A client that closes its sending half looks the same as one that has left, so `request.signal` is
 *   aborted. If the handler ignores the signal, the client gets its response. A stream is cancelled once it
 *   produces nothing for 5 seconds.
 * - `statusText` is sent.
 * - A body of text or bytes with a `Content-Length` other than its own length results in a 500. A request
 *   body that is passed on as the response body is sent in chunks, unless a `Content-Length` is given.
 *
 * @example
 * ```ts
 * import { serve } from "@tiny/listener/http";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = serve({ port: 0, onListen() {} }, (request) => {
 *   return new Response(`Hello, ${new URL(request.url).pathname}!`);
 * });
 * const response = await fetch(`http://127.0.0.1:${server.addr.port}/world`);
 * assertEquals(await response.text(), "Hello, /world!");
 * ```
 *
 * @param handler Answers a request. It receives the request and where it came from.
 * @returns The server, which is already listening.
 * @throws {RangeError} The value of an option is invalid.
 * @throws {Deno.errors.AddrInUse} The address is in use; other failures throw the errors of `Deno.listen`.
 */
export function serve(handler: Deno.ServeHandler<Deno.NetAddr>): Deno.HttpServer<Deno.NetAddr>;
/** Serves on a Unix socket. */
export function serve(
  options: ServeUnixOptions,
  handler: Deno.ServeHandler<Deno.UnixAddr>,
): Deno.HttpServer<Deno.UnixAddr>;
/** Serves on a TCP port. */
export function serve(
  options: ServeTcpOptions,
  handler: Deno.ServeHandler<Deno.NetAddr>,
): Deno.HttpServer<Deno.NetAddr>;
/** Serves on a Unix socket, with the handler among the options. */
export function serve(
  options: ServeUnixOptions & Deno.ServeInit<Deno.UnixAddr>,
): Deno.HttpServer<Deno.UnixAddr>;
/** Serves on a TCP port, with the handler among the options. */
export function serve(
  options: ServeTcpOptions & Deno.ServeInit<Deno.NetAddr>,
): Deno.HttpServer<Deno.NetAddr>;
export function serve(
  first: Deno.ServeHandler<Deno.NetAddr> | AnyOptions,
  second?: unknown,
): Deno.HttpServer<Deno.NetAddr> | Deno.HttpServer<Deno.UnixAddr> {
  const options: AnyOptions = typeof first === "function" ? {} : first;
  const handler: unknown = typeof first === "function" ? first : second ?? first?.handler;
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot serve: the handler must be a function, got ${typeof handler}`);
  }
  const app = new FetchListener(options, handler as Deno.ServeHandler);
  const { finished } = app.listenNow();
  const started = app.start();
  const addr: Deno.NetAddr | Deno.UnixAddr = options.path === undefined
    ? app.addr
    : { transport: "unix", path: options.path };

  const shutdown = async (): Promise<void> => {
    await started;
    await app.stop();
    await finished;
  };
  const { signal } = options;
  if (signal?.aborted) void shutdown();
  else if (signal) {
    signal.addEventListener("abort", shutdown, { once: true });
    finished.then(() => signal.removeEventListener("abort", shutdown));
  }

  if (options.onListen) options.onListen(addr as Deno.NetAddr & Deno.UnixAddr);
  else printAddr(addr, options.cert !== undefined);
  return {
    addr,
    finished,
    shutdown,
    ref: () => app.ref(),
    unref: () => app.unref(),
    [Symbol.asyncDispose]: shutdown,
  } as Deno.HttpServer<Deno.NetAddr>;
}

/** What a handler is told about its request, looked up only on access: most handlers never do. */
class HandlerInfo implements Deno.ServeHandlerInfo {
  readonly #ctx: HTTPContext;

  constructor(ctx: HTTPContext) {
    this.#ctx = ctx;
  }

  /** As in `Deno.serve`: a client of a Unix socket has no path of its own, and gets the server's. */
  get remoteAddr(): Deno.Addr {
    const { remoteAddr, localAddr } = this.#ctx;
    return "path" in remoteAddr ? localAddr : remoteAddr;
  }

  get completed(): Promise<void> {
    return this.#ctx.completed;
  }
}

/** A server with a single handler and no routing. */
class FetchListener extends HTTPListener {
  readonly #found: FoundRoute;
  #source: Source | null = null;

  constructor(options: AnyOptions, handler: Deno.ServeHandler) {
    const { tcpBacklog, hostname = "0.0.0.0", backlog = tcpBacklog, accessLog = false } =
      options as ServeTcpOptions;
    super({ ...givenOptions(options), accessLog, hostname, backlog });
    const { onError } = options;
    const respondToError = async (ctx: HTTPContext, error: unknown): Promise<void> => {
      const exchange = exchangeOf(ctx);
      if (onError === undefined || exchange.isOver) throw error;
      await exchange.beginWith(checkResponse(await onError(error)));
    };
    const respondWithAwaited = async (ctx: HTTPContext, answer: unknown): Promise<void> => {
      try {
        const beginning = exchangeOf(ctx).beginWith(checkResponse(await answer));
        if (beginning !== undefined) await beginning;
      } catch (error) {
        await respondToError(ctx, error);
      }
    };
    // Not in the handler, where the closure would cost even the requests that never create it.
    const respondToFailure = (ctx: HTTPContext, beginning: Promise<void>): Promise<void> =>
      beginning.catch((error) => respondToError(ctx, error));
    const route = this.onEvent(({ ctx }) => {
      // Throws if no `Request` can represent it: that is answered without the handler.
      const { request } = ctx;
      try {
        const answer: unknown = handler(request, new HandlerInfo(ctx));
        if (!isResponse(answer)) return respondWithAwaited(ctx, answer);
        // A response that is there at once is sent at once: a promise in between costs more than all else.
        const beginning = exchangeOf(ctx).beginWith(answer);
        return beginning === undefined ? undefined : respondToFailure(ctx, beginning);
      } catch (error) {
        return respondToError(ctx, error);
      }
    });
    this.#found = { route, params: {} };
  }

  protected override routeOf(): FoundRoute {
    return this.#found;
  }

  /** Listens before it returns, because the caller needs the address. */
  listenNow(): { finished: Promise<void> } {
    try {
      const { finished } = this.listen();
      return { finished: Promise.resolve(finished).then(() => {}) };
    } catch (error) {
      // Programs that try another port tell the reasons apart by the class or the code of the error.
      if (!(error instanceof ListenError) || !(error.cause instanceof Error)) throw error;
      const { cause, message } = error;
      const Reason = cause.constructor as ErrorConstructor;
      throw Object.assign(new Reason(message, { cause }), {
        code: (cause as { code?: string }).code,
      });
    }
  }

  override listen(): Source {
    return this.#source ??= super.listen();
  }
}

/** Prints the URL that the server listens on, to standard error as Deno.serve does. */
function printAddr(addr: Deno.NetAddr | Deno.UnixAddr, isTls: boolean): void {
  if ("path" in addr) return printError(`Listening on ${addr.path}`);
  const { hostname } = addr;
  const url = (host: string): string => `${isTls ? "https" : "http"}://${host}:${addr.port}/`;
  const here = hostname === "0.0.0.0" || hostname === "::" ? ` (${url("localhost")})` : "";
  printError(`Listening on ${url(hostname.includes(":") ? `[${hostname}]` : hostname)}${here}`);
}
