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

/** The head that the client of a connection repeats, if it does. */
export class RepeatedHead {
  #request: Request | null = null;
  /** Its fields, in an area of their own behind the request line. */
  #fields: ReceivedFields | null = null;
  #lineSize = 0;
  /** Whether the fields of the head that was compared last may be the kept ones. */
  #mayHaveFields = false;
  /** Bytes of the fields of the last request. */
  #lastSize = 0;
  #vain = 0;
  #pause = 0;

  /** Bytes that are kept; 0 for none. */
  get size(): number {
    return this.#fields === null ? 0 : this.#lineSize + this.#fields.size;
  }

  /** Reads, and takes, a request whose head in `area[start, end)` is the kept one; null where it is not. */
  request(area: Slab<Uint8Array>, start: number, end: number): Request | null {
    const fields = this.#fields;
    this.#mayHaveFields = false;
    if (fields === null) return null;
    const lineSize = this.#lineSize, size = lineSize + fields.size;
    const same = fields.commonSize(-lineSize, area.view, start, Math.min(size, end - start));
    if (same < size) {
      this.#mayHaveFields = same < lineSize;
      return null;
    }
    this.#cameAgain(fields);
    area.take(size);
    return withFields(this.#request!, fields.at(area, start + lineSize));
  }

  /**
   * The fields from `p` on where they are the kept ones, and takes the head that begins at `start`; null where they
   * are not. To be asked after `request`.
   */
  fields(area: Slab<Uint8Array>, start: number, p: number, end: number): ReceivedFields | null {
    const fields = this.#fields;
    if (fields === null || !this.#mayHaveFields) return null;
    const { size } = fields;
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
    if (!isKept && this.#fields === null) return;
    if (++this.#vain > VAIN_MAX) {
      this.#request = this.#fields = null;
      this.#vain = 0;
      this.#pause = PAUSE;
    } else if (isKept) {
      this.#fields = fields.copyWith(lineSize);
      this.#request = withFields(request, this.#fields);
      this.#lineSize = lineSize;
    }
  }

  #cameAgain({ size }: ReceivedFields): void {
    this.#vain = 0;
    this.#lastSize = size;
  }
}
