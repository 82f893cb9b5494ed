// A server under test, in this process.

import { HTTPListener, type ServerOptions } from "../../http_context.ts";
import type { Needs } from "../needs.ts";

/** What a test over sockets needs. */
export const NET: Needs = { permissions: ["net"] };

/** Starts a server on a free port, without an access log; `await using` stops it. */
export async function serving(
  define: (app: HTTPListener) => void,
  options: ServerOptions = {},
): Promise<HTTPListener> {
  const app = new HTTPListener({ port: 0, accessLog: false, ...options });
  define(app);
  await app.start();
  return app;
}

/** What is logged as an error in the scope that uses this; it is not printed. */
export class ErrorLog implements Disposable {
  /** The arguments of each call, joined. */
  readonly entries: string[] = [];
  readonly #original = console.error;

  constructor() {
    console.error = (...args: unknown[]): void => {
      this.entries.push(args.map(String).join(" "));
    };
  }

  [Symbol.dispose](): void {
    console.error = this.#original;
  }
}
