// The contexts of a listener by id. Most ids are made up and never looked at, so they are kept as the number
// they are made of, and the text is made when somebody asks.

import type { Context } from "./context.ts";

/** In front of the ids made up in this process, so that those of two processes differ. */
const PREFIX = `${crypto.randomUUID().slice(0, 8)}-`;

let lastSerial = 0;

/** The next number for an id that is made up. */
export function nextSerial(): number {
  return ++lastSerial;
}

/** The id made up of a number. */
export function cidOf(serial: number): string {
  return PREFIX + serial.toString(36);
}

/** The number an id was made up of, or NaN. */
function serialOf(cid: string): number {
  if (!cid.startsWith(PREFIX)) return NaN;
  const serial = parseInt(cid.slice(PREFIX.length), 36);
  return cidOf(serial) === cid ? serial : NaN;
}

/** The contexts that are alive, by id, oldest first within those with ids given and made up. */
export class Contexts<C extends Context> implements ReadonlyMap<string, C> {
  readonly #given = new Map<string, C>();
  readonly #madeUp = new Map<number, C>();

  add(ctx: C, id: string | number): void {
    if (typeof id === "string") this.#given.set(id, ctx);
    else this.#madeUp.set(id, ctx);
  }

  delete(id: string | number): void {
    if (typeof id === "string") this.#given.delete(id);
    else this.#madeUp.delete(id);
  }

  get size(): number {
    return this.#given.size + this.#madeUp.size;
  }

  get(cid: string): C | undefined {
    return this.#given.get(cid) ?? this.#madeUp.get(serialOf(cid));
  }

  has(cid: string): boolean {
    return this.get(cid) !== undefined;
  }

  *values(): MapIterator<C> {
    yield* this.#given.values();
    yield* this.#madeUp.values();
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
