// Binding an address, and what is told where that cannot be.

/** The server cannot listen on its address. */
export class ListenError extends Error {
  /** The class's name. */
  override name = "ListenError";
}

/**
 * Listens on a TCP address.
 *
 * @throws {ListenError} Its message says why it cannot, and what to do.
 */
export function bind(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    const address = `${hostname}:${port}`;
    throw new ListenError(`Cannot listen on ${address}: ${advice(cause, address)}`, { cause });
  }
}

function advice(error: unknown, address: string): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `the program has no permission; run it with --allow-net=${address}`;
  }
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is in use; stop the program that has it, or choose another port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; use one of its own, or 0.0.0.0 for all of them";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not allow it; choose a port of 1024 or higher";
  }
  return error instanceof Error ? error.message : String(error);
}
