/**
 * A small web framework over raw TCP. Each request triggers the event `METHOD:path` of an
 * {@linkcode HTTPListener}, in an {@linkcode HTTPContext} of its own.
 *
 * @example
 * ```ts ignore
 * import { HTTPListener } from "@tiny/listener/http";
 *
 * const app = new HTTPListener({ port: 8000 });
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   ctx.response(200, `Hello, ${params.username}!`);
 * });
 * await app.run();
 * ```
 *
 * @module
 */

export { HTTPContext } from "./http/context.ts";
export type { ResponseBody } from "./http/exchange.ts";
export { HTTPError, type HTTPErrorOptions } from "./http/http_error.ts";
export { HTTPListener } from "./http/http_listener.ts";
export { ListenError } from "./http/listen.ts";
export type { ServerOptions } from "./http/options.ts";
