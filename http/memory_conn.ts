// A connection in memory, for requests to an application in the same process, and for tests that must not
// wait for the system.
//
// Its two ends behave like those of TCP: bytes wait in a buffer of limited size, an end can close only its
// sending half, and an end that closes with unread bytes resets the other.

/** Bytes in transit, which the other end has not read, at most. */
const CAPACITY = 64 * 1024;

/** One direction. */
class Pipe {
  #parts: Uint8Array[] = [];
  #size = 0;
  #readFailure: Error | null = null;
  /** What writes fail with, so that nothing comes after what is in transit. */
  #writeFailure: Error | null = null;
  #change: PromiseWithResolvers<void> = Promise.withResolvers();

  get size(): number {
    return this.#size;
  }

  /** Takes as many bytes as there is room for, at least one. */
  async write(bytes: Uint8Array): Promise<number> {
    while (this.#size === CAPACITY && this.#writeFailure === null) await this.#change.promise;
    if (this.#writeFailure !== null) throw this.#writeFailure;
    const part = bytes.slice(0, CAPACITY - this.#size);
    this.#parts.push(part);
    this.#size += part.length;
    this.#changed();
    return part.length;
  }

  async read(area: Uint8Array): Promise<number | null> {
    while (this.#size === 0 && this.#writeFailure === null) await this.#change.promise;
    if (this.#readFailure !== null) throw this.#readFailure;
    if (this.#size === 0) return null;
    const [first] = this.#parts;
    const count = Math.min(first.length, area.length);
    area.set(first.subarray(0, count));
    if (count === first.length) this.#parts.shift();
    else this.#parts[0] = first.subarray(count);
    this.#size -= count;
    this.#changed();
    return count;
  }

  /** The writer is done: its writes fail with `failure` from now on. */
  end(failure: Error): void {
    this.#writeFailure ??= failure;
    this.#changed();
  }

  /** What was not read is lost; reads and writes fail with the errors given. */
  break(readFailure: Error, writeFailure: Error): void {
    this.#parts = [];
    this.#size = 0;
    this.#readFailure ??= readFailure;
    this.#writeFailure ??= writeFailure;
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

/** One end of a connection in memory. */
export class MemoryConn implements Deno.Conn {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  /** The number of calls of `write()`. */
  writes = 0;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  #isClosed = false;

  private constructor(incoming: Pipe, outgoing: Pipe, localPort: number, remotePort: number) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.localAddr = { transport: "tcp", hostname: "127.0.0.1", port: localPort };
    this.remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: remotePort };
  }

  /** Creates the two ends of a connection. */
  static pair(): [server: MemoryConn, client: MemoryConn] {
    const up = new Pipe(), down = new Pipe();
    return [new MemoryConn(up, down, 80, 50_000), new MemoryConn(down, up, 50_000, 80)];
  }

  /** Bytes that have arrived but were not read. */
  get available(): number {
    return this.#incoming.size;
  }

  read(area: Uint8Array): Promise<number | null> {
    return this.#incoming.read(area);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.writes++;
    return this.#outgoing.write(bytes);
  }

  // deno-lint-ignore require-await -- the interface wants a promise
  async closeWrite(): Promise<void> {
    this.#outgoing.end(new Deno.errors.BrokenPipe("Broken pipe"));
  }

  close(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#isClosed = true;
    const canceled = new Deno.errors.Interrupted("operation canceled");
    if (this.#incoming.size > 0) this.#reset(canceled);
    this.#outgoing.end(canceled);
    this.#incoming.break(canceled, new Deno.errors.BrokenPipe("Broken pipe"));
  }

  /** Closes in such a way that the other end sees a reset. */
  reset(): void {
    this.#reset(new Deno.errors.Interrupted("operation canceled"));
    this.close();
  }

  #reset(canceled: Error): void {
    this.#outgoing.break(new Deno.errors.ConnectionReset("Connection reset by peer"), canceled);
  }

  ref(): void {}

  unref(): void {}

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller): Promise<void> => {
        const area = new Uint8Array(4096);
        const count = await this.read(area);
        if (count === null) controller.close();
        else controller.enqueue(area.subarray(0, count));
      },
    });
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return new WritableStream({
      write: async (bytes): Promise<void> => {
        for (let at = 0; at < bytes.length;) at += await this.write(bytes.subarray(at));
      },
    });
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) this.close();
  }
}
