// The errors of the engine:
//
//   ProtocolError
//   |-- LocalProtocolError    our side asked for something that HTTP/1.1 does not allow
//   `-- RemoteProtocolError   the peer sent something that HTTP/1.1 does not allow
//
// Inside `h11/`, every violation is a LocalProtocolError, since the grammar does not know which side wrote
// the bytes. Only `Connection.nextEvent` turns it into a RemoteProtocolError.

/** A violation of HTTP/1.1. Thrown as one of its two subclasses. */
export class ProtocolError extends Error {
  /** The name of the class. */
  override name = "ProtocolError";
  /** The status code that a server should respond with. */
  readonly errorStatusHint: number;

  /** Creates an error with a message and the status code to respond with (default: 400). */
  constructor(message: string, errorStatusHint = 400) {
    super(message);
    this.errorStatusHint = errorStatusHint;
  }
}

/**
 * You asked for something that would violate HTTP/1.1: an event that is invalid, or not allowed in the
 * current state. None of it was sent.
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
  /** The name of the class. */
  override name = "LocalProtocolError";
}

/**
 * The peer violated HTTP/1.1. A server may respond with `errorStatusHint`, and must close the connection in
 * any case: no later byte can be trusted.
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
  /** The name of the class. */
  override name = "RemoteProtocolError";
}
