/**
 * tiny-listener: an event framework, the web framework built on it, and the HTTP/1.1 engine below.
 *
 * {@linkcode Listener} turns whatever it listens to into events, and events run the handlers whose
 * patterns match. {@linkcode HTTPListener} listens to HTTP over raw TCP. {@linkcode h11} is the
 * protocol without I/O.
 *
 * @module
 */

export * from "./listener.ts";
export * from "./http_context.ts";
export * as h11 from "./h11.ts";
