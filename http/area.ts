// The memory that holds outgoing bytes until they are written: areas, and pools that reuse them.

/**
 * Where pieces are put together to be written. Small ones of all connections stand in one area, one after the
 * other: an array of its own for each answer costs more than writing the answer into it does. When nobody
 * uses what is in it any more, it is filled from its beginning again.
 */
export class Area {
  readonly bytes: Uint8Array;
  /** What it goes back to. */
  readonly pool: AreaPool;
  used = 0;
  /** Pieces in it that are being collected or written; and one for whoever fills it, where it is shared. */
  pieces = 0;

  // Views that were made before, and where they begin: one that is made anew takes as long as a tenth of a
  // small exchange, and many answers are as long as one before.
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
/** One view is kept for so many bytes (as a power of two) of an area in which they begin. */
const VIEW_SHIFT = 6;

/** Areas of one size. New ones would have to be cleared and collected. */
export class AreaPool {
  readonly size: number;
  /** Each of them is for all connections, and not for one at a time. */
  readonly isShared: boolean;
  readonly #unused: Area[] = [];
  /** How many are used now. */
  #used = 0;

  constructor(size: number, isShared = false) {
    this.size = size;
    this.isShared = isShared;
  }

  /** Whether as many are used as are kept. */
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
/** Areas of a pool that nobody uses now and that are kept, at most. */
const KEPT_AREAS = 64;
