// serve(): Deno.serve's shape on this engine, for whatever turns a web Request into a Response.

import type { FoundRoute, Source } from "../listener.ts";
import { HTTPListener } from "./http_listener.ts";
import { ListenError } from "./listen.ts";
import { logError } from "./log.ts";
import { givenOptions, type ServerOptions } from "./options.ts";
import { exchangeOf, type HTTPContext } from "./context.ts";
import { checkResponse, isResponse } from "./web_response.ts";

/** Options of {@linkcode serve}: `Deno.serve`'s, and those of {@linkcode ServerOptions}. */
export interface ServeOptions<A extends Deno.Addr = Deno.Addr> extends ServerOptions {
  /** Shuts the server down when it is aborted, as `shutdown()` does. */
  signal?: AbortSignal | undefined;
  /** Makes the response for what the handler failed with; if not given it is logged, and the answer is 500. */
  onError?: ((error: unknown) => Response | Promise<Response>) | undefined;
  /** Called when the server listens; if not given a line is printed that says where. */
  onListen?: ((localAddr: A) => void) | undefined;
}

/** Options of {@linkcode serve} on a TCP port. */
export interface ServeTcpOptions extends ServeOptions<Deno.NetAddr> {
  /** The transport; it is known without. */
  transport?: "tcp" | undefined;
  /** The address or host name to listen on; `0.0.0.0`, which is all of this machine's, if not given. */
  hostname?: string | undefined;
  /** Not on a TCP port. */
  path?: undefined;
  /** The name of `backlog` in `Deno.serve`. */
  tcpBacklog?: number | undefined;
}

/** Options of {@linkcode serve} on a Unix socket. */
export interface ServeUnixOptions extends ServeOptions<Deno.UnixAddr> {
  /** The transport; it is known without. */
  transport?: "unix" | undefined;
  /** The path of the Unix socket to listen on. */
  path: string;
}

type AnyOptions = (ServeTcpOptions | ServeUnixOptions) & { handler?: unknown };

/**
 * Serves HTTP requests with a function from a web `Request` to a `Response`, as `Deno.serve` does: what is
 * written for that, as a Hono app's `fetch`, runs on it unchanged.
 *
 * What is different from `Deno.serve`:
 *
 * - The limits and timeouts of {@linkcode ServerOptions} hold, and a request that is not HTTP/1.1 as RFC
 *   9112 has it is refused. So are `CONNECT` and `TRACE`, which a `Request` cannot be, with 501.
 * - It speaks HTTP/1.1 and 1.0, not HTTP/2, and compresses nothing by itself.
 * - The response of `Deno.upgradeWebSocket()` is refused with an error: it belongs to `Deno.serve`. WebSockets
 *   are served by an {@linkcode HTTPListener}, with `upgradeWebSocket()` of `@tiny/listener/websocket`.
 * - `shutdown()` and `signal` let what is under way finish, and cut it when `shutdownGrace` is over, so that
 *   they come to an end. A signal that is aborted already counts too. Server-sent events are told at once, by
 *   `request.signal`, and those of a `GET` end half a second later, their body cancelled.
 * - `request.url` is normalized, and so is the case of a method like `get`, as by `new Request()`. On a Unix
 *   socket the URL's scheme is `http`.
 * - A client that closes its sending half gets its answer, of a handler that does not follow `request.signal`,
 *   which is aborted: it looks the same as one that has left. A stream is cancelled when it gives nothing for 5 seconds.
 *   `statusText` is sent.
 * - A text or bytes with another `Content-Length` than their own are a 500. A request's body that is passed
 *   on as the response's is sent in chunks where no `Content-Length` is given.
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
 * @param handler Answers a request. It is given the request and where it came from.
 * @returns The server, which listens already.
 * @throws {RangeError} The value of an option is not one that it takes.
 * @throws {Deno.errors.AddrInUse} The address is in use; other reasons have the errors of `Deno.listen`.
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

/** What a handler is told of its request. Most never look, and then there is nothing to keep track of. */
class HandlerInfo implements Deno.ServeHandlerInfo {
  readonly #ctx: HTTPContext;

  constructor(ctx: HTTPContext) {
    this.#ctx = ctx;
  }

  /** As of `Deno.serve`: a client of a Unix socket has no path of its own, and gets that of the socket. */
  get remoteAddr(): Deno.Addr {
    const { remoteAddr, localAddr } = this.#ctx;
    return "path" in remoteAddr ? localAddr : remoteAddr;
  }

  get completed(): Promise<void> {
    return this.#ctx.completed;
  }
}

/** A server with one handler, and nothing to route. */
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
    const route = this.onEvent(({ ctx }) => {
      // What can be no `Request` is answered without the handler.
      const { request } = ctx;
      try {
        const answer: unknown = handler(request, new HandlerInfo(ctx));
        if (!isResponse(answer)) return respondWithAwaited(ctx, answer);
        // What is there at once is sent at once: a promise in between costs more than the answer.
        return exchangeOf(ctx).beginWith(answer)?.catch((error) => respondToError(ctx, error));
      } catch (error) {
        return respondToError(ctx, error);
      }
    });
    this.#found = { route, params: {} };
  }

  protected override routeOf(): FoundRoute {
    return this.#found;
  }

  /** Listens before it returns, as the caller wants the address. */
  listenNow(): { finished: Promise<void> } {
    try {
      const { finished } = this.listen();
      return { finished: Promise.resolve(finished).then(() => {}) };
    } catch (error) {
      // Programs that try another port tell the reasons apart by their class, or their code.
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

/** Prints where the server listens, in a form that can be opened: on standard error, as Deno.serve does. */
function printAddr(addr: Deno.NetAddr | Deno.UnixAddr, isTls: boolean): void {
  if ("path" in addr) return logError(`Listening on ${addr.path}`);
  const { hostname } = addr;
  const url = (host: string): string => `${isTls ? "https" : "http"}://${host}:${addr.port}/`;
  const here = hostname === "0.0.0.0" || hostname === "::" ? ` (${url("localhost")})` : "";
  logError(`Listening on ${url(hostname.includes(":") ? `[${hostname}]` : hostname)}${here}`);
}
