// Recognizes heads that a client repeats. Every HTTP/1.1 request carries all its fields, and most clients
// repeat them on a connection, which is why HTTP/2 compresses them (RFC 7541 1). Equal bytes have the same
// meaning, and comparing them takes less time than parsing them.
//
// If the fields of a head are as long as those of the head before, a copy of the head is kept. It is a copy
// so that an idle connection does not retain the shared areas. If keeping and comparing heads is in vain for
// a client, it is suspended for a while.

import { type Request, withFields } from "./events.ts";
import type { ReceivedFields } from "./received_fields.ts";
import type { Slab } from "./slab.ts";

/** The maximum size in bytes of a head that is kept. */
const KEPT_MAX = 4 * 1024;
/** How many heads in a row are kept or compared in vain before this is suspended. */
const VAIN_MAX = 8;
/** For how many requests it is suspended. */
const PAUSE = 100;

/** A head that is kept. */
interface Kept {
  /** The request, whose fields are `fields`. */
  readonly request: Request;
  /** The fields, in an area of their own, after the request line. */
  readonly fields: ReceivedFields;
  /** The size of the request line in bytes. */
  readonly lineSize: number;
}

/** The head that the client of a connection repeats, if any. */
export class RepeatedHead {
  #kept: Kept | null = null;
  /** Whether the head compared last may have the same fields as the kept one. */
  #mayHaveFields = false;
  /** The size in bytes of the fields of the last request. */
  #lastSize = 0;
  #vain = 0;
  #pause = 0;

  /** The size of the kept head in bytes; 0 if there is none. */
  get size(): number {
    return this.#kept === null ? 0 : this.#kept.lineSize + this.#kept.fields.size;
  }

  /**
   * Takes the head placed at `start` and returns its request if it equals the kept head; otherwise null. The
   * zero byte after the placed bytes differs from anything in the kept head, so the comparison stops there.
   */
  request(area: Slab<Uint8Array>, start: number): Request | null {
    this.#mayHaveFields = false;
    if (this.#kept === null) return null;
    const { request, fields, lineSize } = this.#kept;
    const size = lineSize + fields.size;
    const same = fields.commonSize(-lineSize, area.view, start, size);
    if (same < size) {
      this.#mayHaveFields = same < lineSize;
      return null;
    }
    this.#cameAgain(fields);
    area.take(size);
    return withFields(request, fields);
  }

  /**
   * If the fields at `p` equal the kept ones, takes the head that begins at `start` and returns the fields;
   * otherwise null. Call this after `request`.
   */
  fields(area: Slab<Uint8Array>, start: number, p: number): ReceivedFields | null {
    if (this.#kept === null || !this.#mayHaveFields) return null;
    const { fields } = this.#kept, { size } = fields;
    if (fields.commonSize(0, area.view, p, size) < size) return null;
    this.#cameAgain(fields);
    area.take(p + size - start);
    return fields.at(area, p);
  }

  /**
   * Records a request that had to be parsed, whose line has `lineSize` bytes, and keeps it if that may pay
   * off.
   */
  note(request: Request, fields: ReceivedFields, lineSize: number): void {
    const { size } = fields;
    const isAgain = size === this.#lastSize;
    this.#lastSize = size;
    if (this.#pause > 0) {
      this.#pause--;
      return;
    }
    const isKept = isAgain && lineSize + size <= KEPT_MAX;
    if (!isKept && this.#kept === null) return;
    if (++this.#vain > VAIN_MAX) {
      this.#kept = null;
      this.#vain = 0;
      this.#pause = PAUSE;
    } else if (isKept) {
      const copy = fields.copyWith(lineSize);
      this.#kept = { request: withFields(request, copy), fields: copy, lineSize };
    }
  }

  #cameAgain({ size }: ReceivedFields): void {
    this.#vain = 0;
    this.#lastSize = size;
  }
}
