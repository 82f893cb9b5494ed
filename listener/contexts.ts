// The contexts of a listener by id. Most ids are generated and never read, so a context is stored under the
// number that its id is generated from; the text is made on demand.

import type { Context } from "./context.ts";

/**
 * The prefix of the ids generated in this process, which tells them from those of other processes. It is made
 * on demand: Deno takes 0.4 ms to load `crypto`.
 */
let prefix: string | null = null;

let lastSerial = 0;

/** Future numbers whose ids the application has already given to contexts; null if there are none. */
let givenSerials: Set<number> | null = null;

/** Returns the number for the next generated id. */
export function nextSerial(): number {
  do lastSerial++; while (givenSerials !== null && givenSerials.delete(lastSerial));
  return lastSerial;
}

/** The id generated from a number. */
export function cidOf(serial: number): string {
  prefix ??= `${crypto.randomUUID().slice(0, 8)}-`;
  return prefix + serial.toString(36);
}

/** The number that an id was generated from, or NaN. */
function serialOf(cid: string): number {
  if (prefix === null || !cid.startsWith(prefix)) return NaN;
  const serial = parseInt(cid.slice(prefix.length), 36);
  return cidOf(serial) === cid ? serial : NaN;
}

/** The number of slots for short-lived contexts; a power of two. */
const PLACES = 1024;

/**
 * The contexts that are alive, by id: first those with given ids, then those with generated ids, each group
 * oldest first.
 */
export class Contexts<C extends Context> implements ReadonlyMap<string, C> {
  readonly #given = new Map<string, C>();
  // Most contexts live as long as one event, and a Map with constant insertions and deletions keeps
  // rebuilding its table. So a context is stored in a slot selected by its number. If a longer-lived context
  // occupies the slot, it goes into a map instead.
  readonly #places: (C | null)[] = Array(PLACES).fill(null);
  readonly #numbers = new Float64Array(PLACES);
  readonly #placeless = new Map<number, C>();
  #placed = 0;

  add(ctx: C, id: string | number): void {
    if (typeof id === "string") {
      this.#given.set(id, ctx);
      const serial = serialOf(id);
      if (serial > lastSerial) (givenSerials ??= new Set()).add(serial);
      return;
    }
    const place = id & (PLACES - 1);
    if (this.#places[place] !== null) {
      this.#placeless.set(id, ctx);
      return;
    }
    this.#places[place] = ctx;
    this.#numbers[place] = id;
    this.#placed++;
  }

  delete(ctx: C, id: string | number): void {
    if (typeof id === "string") {
      // A context that was not created by newCtx() may have the same id as one that was.
      if (this.#given.get(id) !== ctx) return;
      this.#given.delete(id);
      givenSerials?.delete(serialOf(id));
    } else if (this.#isPlaced(id)) {
      this.#places[id & (PLACES - 1)] = null;
      this.#placed--;
    } else {
      this.#placeless.delete(id);
    }
  }

  #isPlaced(serial: number): boolean {
    const place = serial & (PLACES - 1);
    return this.#places[place] !== null && this.#numbers[place] === serial;
  }

  get size(): number {
    return this.#given.size + this.#placed + this.#placeless.size;
  }

  get(cid: string): C | undefined {
    const given = this.#given.get(cid);
    if (given !== undefined) return given;
    const serial = serialOf(cid);
    return this.#isPlaced(serial)
      ? this.#places[serial & (PLACES - 1)]!
      : this.#placeless.get(serial);
  }

  has(cid: string): boolean {
    return this.get(cid) !== undefined;
  }

  *values(): MapIterator<C> {
    yield* this.#given.values();
    const madeUp = [...this.#placeless];
    for (const [place, ctx] of this.#places.entries()) {
      if (ctx !== null) madeUp.push([this.#numbers[place], ctx]);
    }
    for (const [, ctx] of madeUp.sort(([a], [b]) => a - b)) if (ctx.isAlive) yield ctx;
  }

  *entries(): MapIterator<[string, C]> {
    for (const ctx of this.values()) yield [ctx.cid, ctx];
  }

  *keys(): MapIterator<string> {
    for (const ctx of this.values()) yield ctx.cid;
  }

  [Symbol.iterator](): MapIterator<[string, C]> {
    return this.entries();
  }

  forEach(callback: (ctx: C, cid: string, map: ReadonlyMap<string, C>) => void): void {
    for (const [cid, ctx] of this) callback(ctx, cid, this);
  }
}
