// What a server reports about a connection.

import type * as h11 from "../h11.ts";

/** The current state of a connection. Times are in milliseconds, accurate to a quarter of a second. */
export interface ConnectionInfo {
  /** The address of the peer, or the one from its PROXY header. */
  readonly remoteAddr: Deno.Addr;
  /**
   * `"idle"` between two requests, `"receiving"` a head, `"handling"` while a handler works on an answer,
   * `"sending"` a stream, `"upgraded"` to another protocol, `"closing"` after the last answer.
   */
  readonly state: "idle" | "receiving" | "handling" | "sending" | "upgraded" | "closing";
  /** The protocol's states for the server and the client: see {@linkcode h11.Connection.states}. */
  readonly protocol: readonly [server: h11.State, client: h11.State];
  /** The number of requests so far, including the current one. */
  readonly requests: number;
  /** The time since it was accepted. */
  readonly age: number;
  /** The time since it became idle; 0 if it is not. */
  readonly idle: number;
  /** The method of the current request; null for none. */
  readonly method: string | null;
  /** The target of the current request; null for none. */
  readonly target: string | null;
}
