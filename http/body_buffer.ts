// The buffer that request bodies are read into for readers that bring none of their own.

/** Size of a read of a body. */
const SIZE = 64 * 1024;
/** Reads grow to this size while each one fills its buffer: a read costs more than the bytes it brings. */
const SIZE_MAX = 256 * 1024;
/** A part that fills less than this share of its buffer is copied: keeping it would keep the whole buffer. */
const LEAST_FILLED = 1 / 4;

/** The read buffer of one connection. */
export class BodyBuffer {
  #bytes = NO_BYTES;
  #size = SIZE;

  /** Room for a read of up to `most` bytes. */
  room(most: number): Uint8Array<ArrayBuffer> {
    const size = Math.min(most, this.#size);
    if (this.#bytes.length < size) this.#bytes = new Uint8Array(size);
    return this.#bytes.subarray(0, size);
  }

  /** Adapts the size of reads after one has brought `count` bytes into `room`. */
  adapt(count: number, room: Uint8Array): void {
    if (room.buffer !== this.#bytes.buffer) return;
    if (count === room.length) this.#size = Math.min(2 * this.#size, SIZE_MAX);
    else if (count < SIZE) this.#size = SIZE;
  }

  /**
   * The bytes of `part` in a buffer of their own, for a byte stream to give away.
   *
   * @param isAll Whether nothing else of the same read is left to be taken.
   */
  own(part: Uint8Array, isAll: boolean): Uint8Array<ArrayBuffer> {
    const { buffer, length } = this.#bytes;
    const isWorthIt = isAll && part.buffer === buffer && part.length >= length * LEAST_FILLED;
    if (!isWorthIt) return new Uint8Array(part);
    this.#bytes = NO_BYTES;
    return part as Uint8Array<ArrayBuffer>;
  }

  /** Frees the memory until the next body. */
  release(): void {
    this.#bytes = NO_BYTES;
  }
}

const NO_BYTES = new Uint8Array(0);
