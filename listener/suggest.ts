// "Did you mean": the pattern or name closest to the requested one, for an error message.
//
// The distance is Levenshtein's, with a param matching any text that it may hold at no cost. Whoever chooses
// the paths can make an application throw these errors, so the work is bounded whatever the routes and the
// path are: see MAX_STEPS.

import type { CompiledPart } from "./compile_path.ts";

/** The maximum number of changes, and the number of literal characters needed for each. */
const MAX_CHANGES = 3;
const CHARACTERS_PER_CHANGE = 3;
/** A longer text is not a typo. */
const MAX_LENGTH = 200;
/** The maximum number of table cells computed for one error: 1 ms (measured: 1,500 to 5,000 patterns). */
const MAX_STEPS = 200_000;

const SLASH = 0x2f;

/** What may have been meant: a pattern or a name. */
export interface Candidate {
  /** The text as shown in the message. */
  readonly text: string;
  /** Literal text and params, in order. */
  readonly parts: readonly CompiledPart[];
}

/**
 * Returns the text of the candidate closest to `text`, the first if there are several; null if none is close.
 */
export function closest(text: string, candidates: Iterable<Candidate>): string | null {
  if (text.length > MAX_LENGTH) return null;
  const search = new Search(text);
  let best: string | null = null;
  let limit = MAX_CHANGES;
  for (const candidate of candidates) {
    if (limit < 0 || search.steps > MAX_STEPS) break;
    const literal = candidate.parts.reduce(
      (n, it) => n + (typeof it === "string" ? it.length : 0),
      0,
    );
    const allowed = Math.min(limit, Math.floor(literal / CHARACTERS_PER_CHANGE));
    const changes = search.distance(candidate.parts, allowed);
    if (changes > allowed) continue;
    best = candidate.text;
    // The next candidate has to be closer.
    limit = changes - 1;
  }
  return best;
}

/** Distances from one text. */
class Search {
  /** The number of cells computed so far. */
  steps = 0;
  readonly #text: string;
  // Row by row: cell j is the distance between the parts read so far and the first j characters. Only the
  // cells from #low to #high can be within the limit, and only they are computed.
  #row: Uint8Array;
  #next: Uint8Array;
  #low = 0;
  #high = 0;

  constructor(text: string) {
    this.#text = text;
    this.#row = new Uint8Array(text.length + 1);
    this.#next = new Uint8Array(text.length + 1);
  }

  /** Returns the distance to `parts`, or a number above `limit` if the distance exceeds it. */
  distance(parts: readonly CompiledPart[], limit: number): number {
    const { length } = this.#text;
    const over = limit + 1;
    this.#low = 0;
    this.#high = Math.min(length, limit);
    for (let j = 0; j <= this.#high; j++) this.#row[j] = j;
    for (const part of parts) {
      if (typeof part !== "string") this.#readParam(part.converter.scanner.holds(SLASH), over);
      else {
        for (let i = 0; i < part.length && this.#low <= this.#high; i++) {
          this.#readCharacter(part.charCodeAt(i), over);
        }
      }
      if (this.#low > this.#high || this.steps > MAX_STEPS) return over;
    }
    return this.#high === length ? this.#row[length] : over;
  }

  #readCharacter(code: number, over: number): void {
    const text = this.#text, row = this.#row, next = this.#next;
    const low = this.#low, high = this.#high;
    let first = -1, last = -1;
    let left = over;
    for (let j = low; j <= text.length; j++) {
      const above = j <= high ? row[j] : over;
      const diagonal = j > low ? (j - 1 <= high ? row[j - 1] : over) : over;
      const cost = text.charCodeAt(j - 1) === code ? 0 : 1;
      left = Math.min(above + 1, left + 1, diagonal + cost, over);
      this.steps++;
      if (left < over) {
        if (first < 0) first = j;
        last = j;
      } else if (j > high) break;
      next[j] = left;
    }
    this.#take(first, last);
  }

  /**
   * A param matches one or more characters at no cost, whatever its converter, but a `/` only if it may hold
   * one.
   */
  #readParam(holdsSlash: boolean, over: number): void {
    const text = this.#text, row = this.#row, next = this.#next;
    let first = -1, last = -1;
    let taken = over, left = over;
    for (let j = this.#low; j <= text.length; j++) {
      const isHeld = j > this.#low && (holdsSlash || text.charCodeAt(j - 1) !== SLASH);
      const started = j > this.#low && j - 1 <= this.#high ? row[j - 1] : over;
      taken = isHeld ? Math.min(taken, started) : over;
      // The param may be missing, which counts as one change.
      const missing = j <= this.#high ? row[j] + 1 : over;
      left = Math.min(taken, missing, left + 1, over);
      next[j] = left;
      this.steps++;
      if (left < over) {
        if (first < 0) first = j;
        last = j;
      } else if (j > this.#high) break;
    }
    this.#take(first, last);
  }

  #take(first: number, last: number): void {
    [this.#row, this.#next] = [this.#next, this.#row];
    this.#low = first < 0 ? 1 : first;
    this.#high = first < 0 ? 0 : last;
  }
}
