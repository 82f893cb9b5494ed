// What a client repeats. Every request of HTTP/1.1 has all its fields, and most clients send the same ones
// again and again on a connection: HTTP/2 compresses them for that reason (RFC 7541 1). Bytes that are the same
// as before mean the same as before, and to compare them takes less time than to read them.
//
// A head is kept where its fields are as long as those before, as a copy: what an idle connection keeps must not
// hold on to the shared areas. A client whose heads are kept or compared in vain is left alone for a while.

import { type Request, withFields } from "./events.ts";
import type { ReceivedFields } from "./received_fields.ts";
import type { Slab } from "./slab.ts";

/** Bytes of a head that is kept, at most. */
const KEPT_MAX = 4 * 1024;
/** So many heads are kept or compared in vain, one after the other, before the client is left alone. */
const VAIN_MAX = 8;
/** For so many requests. */
const PAUSE = 100;

/** A head that is kept. */
interface Kept {
  /** Its request, whose fields are `fields`. */
  readonly request: Request;
  /** In an area of their own, behind the request line. */
  readonly fields: ReceivedFields;
  /** Bytes of the request line. */
  readonly lineSize: number;
}

/** The head that the client of a connection repeats, if it does. */
export class RepeatedHead {
  #kept: Kept | null = null;
  /** Whether the fields of the head that was compared last may be the kept ones. */
  #mayHaveFields = false;
  /** Bytes of the fields of the last request. */
  #lastSize = 0;
  #vain = 0;
  #pause = 0;

  /** Bytes that are kept; 0 for none. */
  get size(): number {
    return this.#kept === null ? 0 : this.#kept.lineSize + this.#kept.fields.size;
  }

  /** Reads, and takes, a request whose head in `area[start, end)` is the kept one; null where it is not. */
  request(area: Slab<Uint8Array>, start: number, end: number): Request | null {
    this.#mayHaveFields = false;
    if (this.#kept === null) return null;
    const { request, fields, lineSize } = this.#kept;
    const size = lineSize + fields.size;
    const same = fields.commonSize(-lineSize, area.view, start, Math.min(size, end - start));
    if (same < size) {
      this.#mayHaveFields = same < lineSize;
      return null;
    }
    this.#cameAgain(fields);
    area.take(size);
    return withFields(request, fields);
  }

  /**
   * The fields from `p` on where they are the kept ones, and takes the head that begins at `start`; null where they
   * are not. To be asked after `request`.
   */
  fields(area: Slab<Uint8Array>, start: number, p: number, end: number): ReceivedFields | null {
    if (this.#kept === null || !this.#mayHaveFields) return null;
    const { fields } = this.#kept, { size } = fields;
    if (end - p < size || fields.commonSize(0, area.view, p, size) < size) return null;
    this.#cameAgain(fields);
    area.take(p + size - start);
    return fields.at(area, p);
  }

  /** Takes note of a request that had to be read, with a line of `lineSize` bytes, and keeps it where that may pay. */
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
