// Shared areas from which small results are allocated: an array of its own costs more than filling it.

/** Allocates from one area after the other. No byte is allocated twice, so what was taken never changes. */
export class Slab<A extends Uint8Array | Int32Array> {
  /** The area that is being filled. */
  array: A;
  /** The buffer of `array`, kept because reading it from the array is slower. */
  buffer: ArrayBuffer;
  /** A view of the same bytes. */
  view: DataView;
  /** The number of elements of `array` that are taken. */
  used = 0;
  readonly #make: (length: number) => A;
  readonly #size: number;
  /** The length of `array`, kept because reading it from arrays of two kinds is slower. */
  #length: number;

  /** Creates areas of `size` elements, or larger ones if more are needed at once. */
  constructor(make: (length: number) => A, size: number) {
    this.#make = make;
    this.#size = this.#length = size;
    this.array = make(size);
    this.buffer = this.array.buffer as ArrayBuffer;
    this.view = new DataView(this.buffer);
  }

  /** The start of `length` free elements in `array`, which may be replaced by a new one. */
  find(length: number): number {
    if (this.used + length > this.#length) {
      this.#length = Math.max(length, this.#size);
      this.array = this.#make(this.#length);
      this.buffer = this.array.buffer as ArrayBuffer;
      this.view = new DataView(this.buffer);
      this.used = 0;
    }
    return this.used;
  }

  /** Takes the first `length` free elements. */
  take(length: number): void {
    this.used += length;
  }
}
