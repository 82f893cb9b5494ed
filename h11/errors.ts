// The errors of the engine:
//
//   ProtocolError
//   |-- LocalProtocolError    our side asked for something that HTTP/1.1 does not allow
//   `-- RemoteProtocolError   the peer sent something that HTTP/1.1 does not allow
//
// Inside the room every broken rule is a LocalProtocolError: the grammar does not know who wrote the
// bytes. `Connection.nextEvent` is the one place that turns it into the peer's fault.

/** A rule of HTTP/1.1 was broken. Thrown as one of its two subclasses. */
export class ProtocolError extends Error {
  /** The class's name. */
  override name = "ProtocolError";
  /** The status code that a server best answers with. */
  readonly errorStatusHint: number;

  /** Makes an error with a message and the status code that answers it (400 if not given). */
  constructor(message: string, errorStatusHint = 400) {
    super(message);
    this.errorStatusHint = errorStatusHint;
  }
}

/**
 * You asked for something that would break HTTP/1.1: an event that is not valid, or not at this
 * time. Nothing of it was sent.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import * as h11 from "@tiny/listener/h11";
 *
 * assertThrows(
 *   () => new h11.Response({ statusCode: 200, headers: { "x-name": "line\r\nbreak" } }),
 *   h11.LocalProtocolError,
 * );
 * ```
 */
export class LocalProtocolError extends ProtocolError {
  /** The class's name. */
  override name = "LocalProtocolError";
}

/**
 * The peer broke HTTP/1.1. A server may answer with `errorStatusHint`, and closes the connection
 * either way: no later byte of it can be trusted.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import * as h11 from "@tiny/listener/h11";
 *
 * const conn = new h11.Connection(h11.SERVER);
 * conn.receiveData(new TextEncoder().encode("GET / HTTP/2.0\r\n\r\n"));
 * const error = assertThrows(() => conn.nextEvent(), h11.RemoteProtocolError);
 * assertEquals(error.errorStatusHint, 505);
 * ```
 */
export class RemoteProtocolError extends ProtocolError {
  /** The class's name. */
  override name = "RemoteProtocolError";
}
