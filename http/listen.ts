// Binding an address, and the error message if that fails.

import type { Settings } from "./options.ts";

/** The server cannot listen on its address. */
export class ListenError extends Error {
  /** The class's name. */
  override name = "ListenError";
}

/**
 * Listens on the address in the settings: a Unix socket, TLS or plain TCP.
 *
 * @throws {ListenError} Its message says why listening failed, and what to do.
 */
export function bind(settings: Settings): Deno.Listener {
  const { hostname, port, path, cert, key, reusePort, backlog: tcpBacklog } = settings;
  try {
    if (path !== undefined) return Deno.listen({ transport: "unix", path });
    // Deno hides `reusePort` behind a flag, and says so if it is used without.
    const address = { hostname, port, tcpBacklog, ...(reusePort ? { reusePort } : {}) };
    return cert !== undefined && key !== undefined
      ? Deno.listenTls({ ...address, cert, key, alpnProtocols: ["http/1.1", "http/1.0"] })
      : Deno.listen(address);
  } catch (cause) {
    const address = path ?? hostAndPort(settings);
    throw new ListenError(`Cannot listen on ${address}: ${advice(cause, settings)}`, { cause });
  }
}

/** `host:port` as flags expect it: an IPv6 address is in brackets, which it may already have. */
export function hostAndPort({ hostname, port }: Pick<Settings, "hostname" | "port">): string {
  const isBare = hostname.includes(":") && !hostname.startsWith("[");
  return `${isBare ? `[${hostname}]` : hostname}:${port}`;
}

/**
 * Removes the Unix socket of a program that ended without removing it, for example because it was killed:
 * nobody answers there. Anything else in the way stays, and makes listening fail.
 */
export async function removeLeftBehind(path: string): Promise<void> {
  try {
    // A regular file refuses connections, too.
    if (!(await Deno.lstat(path)).isSocket) return;
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) await Deno.remove(path).catch(() => {});
  }
}

function advice(error: unknown, settings: Settings): string {
  const { path, key } = settings;
  const { errors } = Deno;
  if (error instanceof errors.NotCapable) {
    const file = path?.startsWith("/") === false ? `${Deno.cwd()}/${path}` : path;
    // The path in --allow-net must be absolute.
    const flags = file === undefined
      ? `--allow-net=${hostAndPort(settings)}`
      : `--allow-net=unix:${file} --allow-read=${file} --allow-write=${file}`;
    return `missing permission; run the program with ${flags}`;
  }
  if (error instanceof errors.AddrInUse) {
    return path === undefined
      ? "the port is in use; stop the program that uses it, or choose another port"
      : "the path already exists; stop the program that listens on it, or remove it";
  }
  if (error instanceof errors.AddrNotAvailable) {
    return "this machine has no such address; use one that it has, or 0.0.0.0 for all of them";
  }
  if (error instanceof errors.PermissionDenied) {
    return path === undefined
      ? "the operating system does not allow it; choose a port of 1024 or higher"
      : "the operating system does not allow it; choose a folder that the program may write to";
  }
  if (error instanceof errors.NotFound && path !== undefined) {
    return "the folder for the socket does not exist; create it first";
  }
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes("SUN_LEN")) {
    return "the path is too long; Linux allows 107 bytes, and macOS 103";
  }
  if (message.includes("KeyMismatch")) {
    return "the key does not match the certificate; cert must begin with the server's own certificate";
  }
  if (error instanceof errors.InvalidData) {
    return key?.includes("ENCRYPTED")
      ? "the key is encrypted; decrypt it, for example with openssl pkey"
      : `the certificate or its key is invalid: ${message}; give the text of the PEM files, not their paths`;
  }
  return message;
}
