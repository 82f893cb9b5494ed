// HTTPListener: a Listener whose events are requests.

import type * as h11 from "../h11.ts";
import { type ContextClass, Listener, type Source } from "../listener.ts";
import { PathParamsError } from "../listener.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { bindExchange, HTTPContext } from "./context.ts";
import { type Exchange, toHTTPError } from "./exchange.ts";
import { HTTPError } from "./http_error.ts";
import { bind, ListenError } from "./listen.ts";
import { formatAddr, log } from "./log.ts";
import { resolveOptions, type ServerOptions, type Settings } from "./options.ts";
import { route } from "./routing.ts";
import { ConnectionLost } from "./socket.ts";
import { pathOf } from "./target.ts";

/** Milliseconds to wait before accepting again when accepting failed, for want of descriptors say. */
const ACCEPT_PAUSE = 50;

/**
 * A web server: each request triggers the event `METHOD:path` in a context of its own.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { assertEquals } from "@std/assert";
 *
 * await using app = new HTTPListener({ port: 0, accessLog: false });
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   ctx.response(200, `Hello, ${params.username}!`);
 * });
 * await app.start();
 * const response = await fetch(`http://127.0.0.1:${app.addr.port}/user/bob`);
 * assertEquals(await response.text(), "Hello, bob!");
 * ```
 */
export class HTTPListener<C extends HTTPContext = HTTPContext> extends Listener<C> {
  readonly #settings: Settings;
  #server: Server | null = null;

  /**
   * Makes a server; it listens from `start()` or `run()` on.
   *
   * @param options See {@linkcode ServerOptions}.
   * @throws {RangeError} The value of an option is not one that it takes.
   */
  constructor(options: ServerOptions = {}) {
    const settings = resolveOptions(options);
    super({ shutdownGrace: settings.shutdownGrace });
    this.#settings = settings;
    this.setContextClass(HTTPContext as ContextClass<HTTPContext> as ContextClass<C>);
  }

  /**
   * The address the server listens on.
   *
   * @throws {TypeError} It does not listen.
   */
  get addr(): Deno.NetAddr {
    if (this.#server === null) {
      throw new TypeError("Cannot get the address: the server does not listen");
    }
    return this.#server.addr;
  }

  /** Sets options anew, for a command line: of effect when the server starts next. */
  configure(options: ServerOptions): void {
    Object.assign(this.#settings, resolveOptions(options, this.#settings));
  }

  /**
   * Binds the address and begins to accept connections.
   *
   * @throws {ListenError} The address is in use, or may not be listened on.
   */
  override listen(): Source {
    const { hostname, port } = this.#settings;
    const server = new Server(bind(hostname, port), this.#settings, (exchange) => {
      return this.#handle(exchange);
    });
    this.#server = server;
    server.log(`INFO: Tiny-listener HTTP server running on ${formatAddr(server.addr)}`);
    const finished = server.serve().finally(() => {
      if (this.#server === server) this.#server = null;
    });
    return {
      finished,
      close: () => server.close(),
      abort: (reason) => server.abort(reason),
    };
  }

  /**
   * As {@linkcode Listener.run}. Where the address cannot be listened on it prints one line that says why
   * and what to do, and ends the process with status 1.
   */
  override async run(): Promise<void> {
    try {
      await super.run();
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      console.error(`ERROR: ${error.message}`);
      Deno.exit(1);
    }
    await log.flush();
  }

  /** Params are percent-decoded one by one, after the route has matched. */
  protected override decodeParam(text: string): string {
    return text.includes("%") ? decodeURIComponent(text) : text;
  }

  /** The patterns that are registered. */
  *patterns(): Generator<string> {
    for (const { pattern } of this.routes.values()) yield pattern;
  }

  /** Runs the handler of a request; returns a promise where that takes time. */
  #handle(exchange: Exchange): void | Promise<void> {
    const ctx = this.newCtx();
    bindExchange(ctx, exchange);
    const { method } = exchange.request;
    const path = pathOf(exchange.request.target);
    try {
      const result = route(this, method, path);
      if ("allow" in result) {
        exchange.respond(204, null, { Allow: result.allow });
        ctx.drop();
        return;
      }
      const { route: { name }, params } = result.found;
      const task = ctx.trigger(result.found.route, { params, path: `${method}:${path}` });
      exchange.event = task.event;
      if (task.status === "fulfilled" && this.#isAnswered(exchange, task.event.result)) {
        ctx.drop();
        return;
      }
      return task.then(
        (result) => this.#finish(exchange, name, result),
        (error) => this.#fail(exchange, error),
      ).finally(() => ctx.drop());
    } catch (error) {
      this.#fail(exchange, error instanceof PathParamsError ? new HTTPError(400) : error);
      ctx.drop();
    }
  }

  /** Whether nothing is left to do for a handler that returned `result`. */
  #isAnswered(exchange: Exchange, result: unknown): boolean {
    return exchange.isResponded && exchange.sending === null && !(result instanceof Response);
  }

  /** Does what is left to do after a handler has returned `result`. */
  async #finish(exchange: Exchange, name: string, result: unknown): Promise<void> {
    try {
      if (result instanceof Response && !exchange.isResponded) {
        const { status, statusText, headers, body } = result;
        exchange.respond(status, body, headers, statusText);
      }
      await exchange.sending;
    } catch (error) {
      return this.#fail(exchange, error);
    }
    if (exchange.isResponded) return;
    console.error(
      `Cannot answer "${exchange.request.method} ${exchange.request.target}": the handler of route ` +
        `"${name}" ended without a response`,
    );
    exchange.respond(500, "Internal Server Error", []);
  }

  /** Answers for a handler that threw, where nothing was sent yet, and logs what is a fault of ours. */
  #fail(exchange: Exchange, error: unknown): void {
    const { request: { method, target } } = exchange;
    if (!(error instanceof HTTPError) && !(error instanceof ConnectionLost)) {
      console.error(`Cannot answer "${method} ${target}":`, error);
    }
    if (exchange.isResponded || exchange.isOver) return;
    const { status, message, headers } = toHTTPError(error);
    try {
      exchange.respond(status, message, headers);
    } catch (error) {
      console.error(`Cannot answer "${method} ${target}" with ${status}:`, error);
      exchange.socket.close();
    }
  }
}

/** The socket that is listened on, and its connections. */
class Server implements ConnectionHost {
  readonly addr: Deno.NetAddr;
  readonly limits: h11.ConnectionOptions;
  readonly maxBodySize: number;
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  readonly #listener: Deno.Listener;
  readonly #hasLog: boolean;
  readonly #connections = new Set<Connection>();
  isClosing = false;

  constructor(
    listener: Deno.Listener,
    settings: Settings,
    handle: (exchange: Exchange) => void | Promise<void>,
  ) {
    this.#listener = listener;
    this.addr = listener.addr as Deno.NetAddr;
    this.limits = {
      maxIncompleteEventSize: settings.maxHeadSize,
      maxTargetSize: settings.maxTargetSize,
      maxFields: settings.maxFields,
    };
    this.maxBodySize = settings.maxBodySize;
    this.#hasLog = settings.accessLog !== false;
    this.handle = handle;
  }

  log(line: string): void {
    if (this.#hasLog) log.line(line);
  }

  /** Accepts connections and serves them; resolves when the last one has ended after `close()`. */
  async serve(): Promise<void> {
    const serving = new Set<Promise<void>>();
    while (!this.isClosing) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.isClosing) break;
        console.error("Cannot accept a connection:", error);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
        continue;
      }
      if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
      const connection = new Connection(this, conn);
      this.#connections.add(connection);
      const served = connection.serve().then(() => {
        this.#connections.delete(connection);
        serving.delete(served);
      });
      serving.add(served);
    }
    await Promise.all(serving);
    await log.flush();
  }

  /** Accepts no more; connections end when they have answered what is under way. */
  close(): void {
    this.isClosing = true;
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
  }

  /** Ends all connections at once. */
  abort(reason: unknown): void {
    for (const connection of this.#connections) connection.abort(reason);
  }
}
