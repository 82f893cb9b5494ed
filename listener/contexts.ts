// The contexts of a listener by id. Most ids are made up and never looked at, so they are kept as the number
// they are made of, and the text is made when somebody asks.

import type { Context } from "./context.ts";

/**
 * In front of the ids made up in this process, so that those of two processes differ. Made for the first that is
 * asked for: Deno takes 0.4 ms to load `crypto`.
 */
let prefix: string | null = null;

let lastSerial = 0;

/** Numbers to come whose ids were given to contexts already; null until there is one. */
let givenSerials: Set<number> | null = null;

/** The next number for an id that is made up. */
export function nextSerial(): number {
  do lastSerial++; while (givenSerials !== null && givenSerials.delete(lastSerial));
  return lastSerial;
}

/** The id made up of a number. */
export function cidOf(serial: number): string {
  prefix ??= `${crypto.randomUUID().slice(0, 8)}-`;
  return prefix + serial.toString(36);
}

/** The number an id was made up of, or NaN. */
function serialOf(cid: string): number {
  if (prefix === null || !cid.startsWith(prefix)) return NaN;
  const serial = parseInt(cid.slice(prefix.length), 36);
  return cidOf(serial) === cid ? serial : NaN;
}

/** How many places there are for contexts that live shortly; a power of two. */
const PLACES = 1024;

/** The contexts that are alive, by id, oldest first within those with ids given and made up. */
export class Contexts<C extends Context> implements ReadonlyMap<string, C> {
  readonly #given = new Map<string, C>();
  // Most contexts live as long as one event, and a Map that is added to and deleted from all the time makes
  // itself anew again and again. So a context stands at a place that its number tells, and only one whose
  // place is taken, by one that lives longer, goes into the map.
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
      // A context that was not made by newCtx() may have the id of one that was.
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
