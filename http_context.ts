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
 *   return ctx.response(200, `Hello, ${params.username}!`);
 * });
 * await app.run();
 * ```
 *
 * @module
 */

export type {
  AccessLogChoice,
  AccessLogEntry,
  AccessLogFormat,
  AccessLogFormatter,
} from "./http/access_log.ts";
export type { ConnectionInfo } from "./http/connection_info.ts";
export type { ErrorLogEntry } from "./http/error_log.ts";
export { HTTPContext, type UpgradeOptions } from "./http/context.ts";
export type { Counters } from "./http/counters.ts";
export type { Upgraded } from "./http/exchange.ts";
export type { ResponseBody } from "./http/response_body.ts";
export { HTTPError, type HTTPErrorOptions } from "./http/http_error.ts";
export { HTTPListener, type RequestHook } from "./http/http_listener.ts";
export { ListenError } from "./http/listen.ts";
export { formatAddr } from "./http/log.ts";
export type { ResponseHook } from "./http/response_hooks.ts";
export type { ServerOptions } from "./http/options.ts";
export type { HTTPErrorHook } from "./http/outcomes.ts";
export {
  serve,
  type ServeOptions,
  type ServeTcpOptions,
  type ServeUnixOptions,
} from "./http/serve.ts";
// For programs that supervise others, such as the command; an application uses the option `workers`.
export {
  isWorker,
  onSupervisorStop,
  superviseWorkers,
  type SupervisorOptions,
  workerCommand,
  type WorkerCommandOptions,
} from "./http/workers.ts";
