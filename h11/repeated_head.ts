// What a client repeats. Every request of HTTP/1.1 has all its fields, and most clients send the same ones
// again and again on a connection: HTTP/2 compresses them for that reason (RFC 7541 1). Bytes that are the same
// as before mean the same as before, and to compare them takes less time than to read them.
//
// A head is kept when a second one of its length has come, in an area of its own: what is kept for an idle
// connection must not hold on to the shared areas. So a client that never repeats anything costs nothing.

import type { Request } from "./events.ts";
import type { ReceivedFields } from "./received_fields.ts";
import type { Slab } from "./slab.ts";

/** So many heads are kept in vain, one after the other, before no more are. */
const VAIN_MAX = 4;

/** The head that the client of a connection repeats, if it does. */
export class RepeatedHead {
  /** The request of that head; null where none is kept. */
  request: Request | null = null;
  #fields: ReceivedFields | null = null;
  /** Bytes of its request line. */
  #lineSize = 0;
  /** Bytes of the fields that were read last. */
  #lastSize = 0;
  /** How many heads were kept since one came again. */
  #vain = 0;

  /**
   * Compares a head in `area[start, end)` with the one that is kept.
   *
   * @returns The bytes of the head, where it is the same to its end; 0 where its fields may be the same, and -1
   * where they are not.
   */
  compare(area: Slab<Uint8Array>, start: number, end: number): number {
    const fields = this.#fields;
    if (fields === null) return -1;
    const size = this.#lineSize + fields.size;
    const same = fields.commonSize(-this.#lineSize, area.view, start, Math.min(size, end - start));
    if (same === size) {
      this.#vain = 0;
      return size;
    }
    return same < this.#lineSize ? 0 : -1;
  }

  /** The kept fields where they are in `area[p, end)` too; null where they are not. */
  fieldsAt(area: Slab<Uint8Array>, p: number, end: number): ReceivedFields | null {
    const fields = this.#fields!;
    const { size } = fields;
    if (end - p < size || fields.commonSize(0, area.view, p, size) < size) return null;
    this.#vain = 0;
    return fields.at(area, p);
  }

  /** Whether a head with fields of `size` bytes is to be kept: one came before that was as long. */
  isWorthKeeping(size: number): boolean {
    const isAgain = size === this.#lastSize;
    this.#lastSize = size;
    if (!isAgain) return false;
    if (this.#vain < VAIN_MAX) return true;
    this.request = this.#fields = null;
    return false;
  }

  /** Keeps `request`, whose `fields` are in an area of their own after `lineSize` bytes of the request line. */
  keep(request: Request, fields: ReceivedFields, lineSize: number): void {
    this.request = request;
    this.#fields = fields;
    this.#lineSize = lineSize;
    this.#vain++;
  }
}
