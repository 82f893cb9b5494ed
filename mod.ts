/**
 * tiny-listener: an event framework, a web framework built on it, and the HTTP/1.1 engine underneath.
 *
 * {@linkcode Listener} turns whatever it listens to into events, and events run the handlers whose patterns
 * match. {@linkcode HTTPListener} listens to HTTP over raw TCP. {@linkcode h11} is the protocol without I/O.
 *
 * @module
 */

export * from "./listener.ts";
// Everything except what is for programs that supervise others, such as the command.
export {
  type AccessLogChoice,
  type AccessLogEntry,
  type AccessLogFormat,
  type AccessLogFormatter,
  type ConnectionInfo,
  type Counters,
  type ErrorLogEntry,
  formatAddr,
  HTTPContext,
  HTTPError,
  type HTTPErrorHook,
  type HTTPErrorOptions,
  HTTPListener,
  ListenError,
  type RequestHook,
  type ResponseBody,
  type ResponseHook,
  serve,
  type ServeOptions,
  type ServerOptions,
  type ServeTcpOptions,
  type ServeUnixOptions,
  type Upgraded,
  type UpgradeOptions,
} from "./http_context.ts";
export * as h11 from "./h11.ts";
