// Shared areas that small results are cut from, as an array of their own costs more than filling it.

/** One area after the other. It is only ever filled, never written twice: what was cut stays as it is. */
export class Slab<A extends Uint8Array | Int32Array> {
  /** The area that is being filled. */
  array: A;
  /** What it is a view on: to ask an array for it takes longer. */
  buffer: ArrayBuffer;
  /** The same bytes. */
  view: DataView;
  /** How many of its elements are taken. */
  used = 0;
  readonly #make: (length: number) => A;
  readonly #size: number;
  /** The length of `array`; to ask arrays of two kinds for theirs takes longer. */
  #length: number;

  /** Makes areas of `size` elements, or of as many as are asked for at once. */
  constructor(make: (length: number) => A, size: number) {
    this.#make = make;
    this.#size = this.#length = size;
    this.array = make(size);
    this.buffer = this.array.buffer as ArrayBuffer;
    this.view = new DataView(this.buffer);
  }

  /** Where `length` free elements of `array` begin; `array` may be a new one. */
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

  /** Takes the first `length` of the free elements. */
  take(length: number): void {
    this.used += length;
  }
}
