// A function that registers a handler for any listener: its own types come from those of the listener.

import type { Context, Handler, Listener, PathParams } from "../../listener.ts";

export function addRoute<C extends Context, T, const P extends string>(
  app: Listener<C, T>,
  pattern: P,
  handler: Handler<C, PathParams<P, T>>,
): void {
  app.onEvent(pattern, handler);
}
