// What has been received and not yet been read.
//
// As long as events use up what comes, it is the caller's own array: nothing is copied, and the data
// of a body is a view on it. Only a rest that waits for more is copied, into an area that doubles
// when it is full. An area is filled from front to back and then left to those who hold views on it,
// never moved or written twice. So all copying together is linear in the bytes received.

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
  /** Up to here there is no line end that was not seen. */
  #searched = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** No more will come. */
  isClosed = false;
  /** More is taken: neither the end has come nor what nobody can read on from. */
  isOpen = true;
  /** Whether a line end was found since the last byte that was used up. */
  hasLineEnd = false;

  /** Whether no line end has been looked for since the last one that was used. */
  get isUnseen(): boolean {
    return this.#searched === this.start;
  }

  /** The end has come. */
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

  /** Copies a rest that stands in the caller's array, so that the caller may write to it again. */
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

  /** Uses up `count` bytes. */
  skip(count: number): void {
    this.start += count;
    this.#searched = this.start;
    this.hasLineEnd = false;
  }

  /**
   * Uses up at most `count` bytes and returns them, as a view. Who gets all that there is may give their
   * buffer away.
   */
  take(count: number): Uint8Array {
    const from = this.start;
    this.skip(Math.min(count, this.length));
    const taken = this.bytes.subarray(from, this.start);
    if (this.start === this.end) this.keep();
    return taken;
  }

  /** Where the next line end that was not seen before stands, or -1. */
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

  /** Takes all that has been received as seen. */
  markSeen(): void {
    this.#searched = this.end;
  }
}
