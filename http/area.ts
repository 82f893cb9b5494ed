// The memory that holds outgoing bytes until they are written: areas, and pools that reuse them.

/**
 * Memory in which pieces are put together to be written. Small pieces of all connections share one area, one
 * after another: allocating an array for each response costs more than copying the response into the area.
 * When all its pieces are released, the area is filled from its beginning again.
 */
export class Area {
  readonly bytes: Uint8Array;
  /** The pool it is returned to. */
  readonly pool: AreaPool;
  used = 0;
  /** Number of pieces that are being collected or written, plus one for whoever fills a shared area. */
  pieces = 0;

  // Views made earlier, and their offsets: making a view takes up to a tenth of the time of a small exchange,
  // and many responses are as long as an earlier one.
  readonly #views: (Uint8Array | undefined)[];
  readonly #starts: Float64Array;

  constructor(pool: AreaPool) {
    this.bytes = new Uint8Array(pool.size);
    this.pool = pool;
    const places = pool.isShared ? pool.size >> VIEW_SHIFT : 0;
    this.#views = new Array(places).fill(undefined);
    this.#starts = new Float64Array(places);
  }

  /** The bytes from `start` to `end`. */
  view(start: number, end: number): Uint8Array {
    const place = start >> VIEW_SHIFT;
    if (place >= this.#starts.length) return this.bytes.subarray(start, end);
    const kept = this.#views[place];
    if (kept !== undefined && kept.length === end - start && this.#starts[place] === start) {
      return kept;
    }
    this.#starts[place] = start;
    return this.#views[place] = this.bytes.subarray(start, end);
  }

  append(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.used);
    this.used += bytes.length;
  }

  release(): void {
    if (--this.pieces <= 1) this.used = 0;
    if (this.pieces === 0) this.pool.give(this);
  }
}
/** One view is kept per 2 ** VIEW_SHIFT bytes of an area, by the offset at which it begins. */
const VIEW_SHIFT = 6;

/** Areas of one size for reuse: new ones would have to be zeroed, and collected as garbage. */
export class AreaPool {
  readonly size: number;
  /** Whether each area serves all connections, not one at a time. */
  readonly isShared: boolean;
  readonly #unused: Area[] = [];
  /** Number of areas in use. */
  #used = 0;

  constructor(size: number, isShared = false) {
    this.size = size;
    this.isShared = isShared;
  }

  /** Whether as many areas are in use as the pool keeps. */
  get isExhausted(): boolean {
    return this.#used >= KEPT_AREAS;
  }

  take(): Area {
    const area = this.#unused.pop() ?? new Area(this);
    area.pieces++;
    this.#used++;
    return area;
  }

  give(area: Area): void {
    this.#used--;
    if (this.#unused.length < KEPT_AREAS) this.#unused.push(area);
  }
}
/** Maximum number of unused areas a pool keeps. */
const KEPT_AREAS = 64;
