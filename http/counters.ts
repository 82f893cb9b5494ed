// What a server has counted since it began to listen.

/** Counts of a server, since it began to listen. */
export interface Counters {
  /** Connections accepted. */
  accepted: number;
  /** Connections open now. */
  open: number;
  /** Idle connections that were closed to make room. */
  shed: number;
  /** Connections closed because their address had too many. */
  overAddressLimit: number;
  /** Failures to accept a connection, for example for lack of descriptors. */
  acceptFailures: number;
  /** Requests answered, including those refused. */
  requests: number;
  /** Requests refused because they break HTTP/1.1 or a limit on the head, by status. */
  refused: Record<number, number>;
  /** Connections closed because no request came in time. */
  idleTimeouts: number;
  /** Heads that did not arrive in time. */
  headerTimeouts: number;
  /** Bodies that did not arrive in time. */
  bodyTimeouts: number;
  /** Connections cut because their client did not take any data in time. */
  writeTimeouts: number;
  /** Handlers that took too long. */
  handlerTimeouts: number;
  /** Bodies over `maxBodySize`. */
  bodiesTooLarge: number;
}

/** Counts that start at zero. */
export function newCounters(): Counters {
  return {
    accepted: 0,
    open: 0,
    shed: 0,
    overAddressLimit: 0,
    acceptFailures: 0,
    requests: 0,
    refused: {},
    idleTimeouts: 0,
    headerTimeouts: 0,
    bodyTimeouts: 0,
    writeTimeouts: 0,
    handlerTimeouts: 0,
    bodiesTooLarge: 0,
  };
}
