// The bytes that have been received but not yet read.
//
// While events consume everything received, the buffer is the caller's own array: nothing is copied, and the
// data of a body is a view of it. Only an incomplete rest is copied, into an area that doubles when it is
// full. An area is filled from front to back and then left to the holders of views of it; no byte in it is
// moved or overwritten. The total cost of copying is therefore linear in the bytes received.

const NOTHING = new Uint8Array(0);
const SMALLEST = 512;
const LF = 0x0a;

/** The bytes `[start, end)` of an array that may change with each call of `append`. */
export class ReceiveBuffer {
  bytes: Uint8Array = NOTHING;
  start = 0;
  end = 0;
  /** Whether `bytes` is our area, not the caller's array. */
  #isOurs = false;
  /** The search for line ends has covered the bytes up to here. */
  #searched = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** The end of the stream has been received. */
  isClosed = false;
  /** More bytes are accepted: neither the end of the stream nor a protocol error has occurred. */
  isOpen = true;
  /** Whether a line end has been found after the last consumed byte. */
  hasLineEnd = false;

  /** Whether the unread bytes have not been searched for line ends yet. */
  get isUnseen(): boolean {
    return this.#searched === this.start;
  }

  /** Records the end of the stream. */
  close(): void {
    this.isClosed = true;
    this.isOpen = false;
  }

  append(data: Uint8Array, length: number): void {
    if (this.start === this.end) {
      this.bytes = data;
      this.start = this.#searched = 0;
      this.hasLineEnd = false;
      this.end = length;
      this.#isOurs = false;
      return;
    }
    if (!this.#isOurs || this.end + length > this.bytes.length) this.#move(length);
    this.bytes.set(length === data.length ? data : data.subarray(0, length), this.end);
    this.end += length;
  }

  /** Copies unread bytes out of the caller's array, so that the caller may reuse it. */
  keep(): void {
    if (this.start === this.end) {
      this.bytes = NOTHING;
      this.start = this.end = this.#searched = 0;
    } else if (!this.#isOurs) {
      this.#move(0);
    }
  }

  #move(more: number): void {
    const length = this.length;
    const area = new Uint8Array(Math.max(2 * (length + more), SMALLEST));
    area.set(this.bytes.subarray(this.start, this.end));
    this.#searched -= this.start;
    this.bytes = area;
    this.start = 0;
    this.end = length;
    this.#isOurs = true;
  }

  /** Consumes `count` bytes. */
  skip(count: number): void {
    this.start += count;
    this.#searched = this.start;
    this.hasLineEnd = false;
  }

  /**
   * Consumes at most `count` bytes and returns a view of them. If these are all the bytes, the caller may
   * transfer their buffer.
   */
  take(count: number): Uint8Array {
    const from = this.start;
    this.skip(Math.min(count, this.length));
    const taken = this.bytes.subarray(from, this.start);
    if (this.start === this.end) this.keep();
    return taken;
  }

  /** The position of the next line end not found before, or -1. */
  nextLineEnd(): number {
    const at = this.bytes.subarray(this.#searched, this.end).indexOf(LF);
    if (at < 0) {
      this.#searched = this.end;
      return -1;
    }
    const found = this.#searched + at;
    this.#searched = found + 1;
    this.hasLineEnd = true;
    return found;
  }

  /** Marks everything received as searched. */
  markSeen(): void {
    this.#searched = this.end;
  }
}
