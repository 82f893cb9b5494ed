// A connection that is handed over during a read. What that read brings comes first, because a read of the
// system cannot be canceled. Everything else is left to the connection itself.

import type { ConnectionLost, Socket } from "./socket.ts";

/** Bytes that `readable` reads at a time, as for Deno's own connections. */
const PART_SIZE = 64 * 1024;

/** A connection with a read under way that its previous owner has begun. */
export class UpgradedConn implements Deno.Conn {
  /** As for TCP; undefined for other connections. */
  readonly setNoDelay: Deno.TcpConn["setNoDelay"] | undefined;
  /** As for TCP; undefined for other connections. */
  readonly setKeepAlive: Deno.TcpConn["setKeepAlive"] | undefined;
  /** As for TLS; undefined for other connections. */
  readonly handshake: Deno.TlsConn["handshake"] | undefined;
  readonly #socket: Socket;
  readonly #conn: Deno.Conn;
  /**
   * What the read brings, or the rest of it, empty at the end of the stream; null once all of it was given
   * out.
   */
  #begun: Promise<Uint8Array> | null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;

  /** @param begun The read of `socket` that is under way. */
  constructor(socket: Socket, begun: Promise<Uint8Array>) {
    const conn = socket.conn as Deno.Conn & Partial<Deno.TcpConn & Deno.TlsConn>;
    this.#socket = socket;
    this.#conn = conn;
    this.#begun = begun.catch((error: ConnectionLost) => Promise.reject(error.cause));
    // Nobody may ever read it.
    this.#begun.catch(() => {});
    this.setNoDelay = conn.setNoDelay?.bind(conn);
    this.setKeepAlive = conn.setKeepAlive?.bind(conn);
    this.handshake = conn.handshake?.bind(conn);
  }

  get localAddr(): Deno.Addr {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.#conn.remoteAddr;
  }

  async read(area: Uint8Array): Promise<number | null> {
    for (let begun = this.#begun; begun !== null; begun = this.#begun) {
      const bytes = await begun;
      // Another call may have taken some or all of it.
      if (this.#begun !== begun) continue;
      const count = Math.min(bytes.length, area.length);
      area.set(bytes.subarray(0, count));
      this.#begun = count < bytes.length ? Promise.resolve(bytes.subarray(count)) : null;
      return bytes.length === 0 ? null : count;
    }
    return await this.#conn.read(area);
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: PART_SIZE,
      pull: async (controller): Promise<void> => {
        const request = controller.byobRequest!;
        let count: number | null = null;
        try {
          count = await this.read(request.view as Uint8Array);
        } finally {
          // As in Deno, the end of the stream closes the connection.
          if (count === null) this[Symbol.dispose]();
        }
        if (count === null) controller.close();
        request.respond(count ?? 0);
      },
      cancel: () => this[Symbol.dispose](),
    });
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#conn.writable;
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#begun = null;
    this.#conn.close();
  }

  [Symbol.dispose](): void {
    this.#begun = null;
    this.#conn[Symbol.dispose]();
  }

  ref(): void {
    this.#socket.setRef(true);
  }

  unref(): void {
    this.#socket.setRef(false);
  }
}
