// A histogram of latencies: a fixed number of counters, however much is recorded.
//
// Buckets grow by a quarter of an octave, so a quantile is off by at most 9 % (from 0.01 ms to 10 minutes).

const LOWEST = 0.01;
const HIGHEST = 600_000;
const PER_OCTAVE = 4;
const BUCKETS = bucketOf(HIGHEST) + 1;

function bucketOf(milliseconds: number): number {
  if (!(milliseconds > LOWEST)) return 0;
  return Math.ceil(Math.log2(Math.min(milliseconds, HIGHEST) / LOWEST) * PER_OCTAVE);
}

/** Counts latencies, and computes their quantiles. */
export class Histogram {
  /** The number of recorded latencies. */
  count = 0;
  readonly #counts = new Uint32Array(BUCKETS);

  /** Records one latency, in milliseconds. */
  record(milliseconds: number): void {
    this.count++;
    this.#counts[bucketOf(milliseconds)]++;
  }

  /** The latency in milliseconds that `part` of all do not exceed, 0.5 for the median; null if none. */
  quantile(part: number): number | null {
    if (this.count === 0) return null;
    const rank = Math.ceil(this.count * part);
    let bucket = 0;
    for (let seen = this.#counts[0]; seen < rank; seen += this.#counts[bucket]) bucket++;
    // The middle of the bucket on its logarithmic scale.
    return LOWEST * 2 ** ((bucket - 0.5) / PER_OCTAVE);
  }
}
