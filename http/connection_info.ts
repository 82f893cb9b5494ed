// What a server tells of a connection.

import type * as h11 from "../h11.ts";

/** A connection as it is now. Times are in milliseconds, to a quarter of a second. */
export interface ConnectionInfo {
  /** The address of the one who connected, or the one a PROXY header told. */
  readonly remoteAddr: Deno.Addr;
  /**
   * `"idle"` between two requests, `"receiving"` a head, `"handling"` while a handler works on an answer,
   * `"sending"` a stream, `"upgraded"` to another protocol, `"closing"` after the last answer.
   */
  readonly state: "idle" | "receiving" | "handling" | "sending" | "upgraded" | "closing";
  /** The protocol's own states, of the server and of the client: see {@linkcode h11.Connection.states}. */
  readonly protocol: readonly [server: h11.State, client: h11.State];
  /** Requests so far, with the one under way. */
  readonly requests: number;
  /** Since it was accepted. */
  readonly age: number;
  /** Since it became idle; 0 where it is not. */
  readonly idle: number;
  /** The method of the request under way; null for none. */
  readonly method: string | null;
  /** The target of the request under way; null for none. */
  readonly target: string | null;
}
