// What the routes of all peers answer with, and what they are sent.

const KIB = 1024;

/** Bytes of the large bodies. */
export const LARGE_SIZE = 1024 * KIB;
/** Bytes of a chunk of the streamed response. */
export const CHUNK_SIZE = 64 * KIB;
/** Chunks of the streamed response. */
export const CHUNKS = LARGE_SIZE / CHUNK_SIZE;

/** The body of `GET /large`. */
export const LARGE: Uint8Array<ArrayBuffer> = new Uint8Array(LARGE_SIZE).fill(120);
/** What `GET /stream` sends 16 times. */
export const CHUNK: Uint8Array<ArrayBuffer> = LARGE.slice(0, CHUNK_SIZE);

/** The body of `POST /json`. */
export interface Order {
  customer: string;
  items: { name: string; price: number; count: number }[];
}

/** The body that is sent: 1 KiB of JSON. */
export const ORDER: Order = {
  customer: "bob",
  items: Array.from({ length: 21 }, (_, i) => ({ name: `article ${i}`, price: 5 + i, count: 2 })),
};

/** The answer to an order. */
export function confirm({ customer, items }: Order): { customer: string; total: number } {
  return { customer, total: items.reduce((sum, { price, count }) => sum + price * count, 0) };
}

export function greet(name: string): string {
  return `Hello, ${name}!`;
}

const ROWS = Array.from({ length: 100 }, (_, i) => `<tr><td>${i}</td><td>article ${i}</td></tr>\n`);

/** What a page of 4 KiB has beside its body. */
export const PAGE_FIELDS = {
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-store",
} as const;

/** The body of `GET /page`, put together for each answer as templates do. */
export function page(): string {
  return `<!doctype html>\n<table>\n${ROWS.join("")}</table>\n`;
}

/** The body of `GET /stream` in its pieces. */
export function* chunks(): Generator<Uint8Array> {
  for (let i = 0; i < CHUNKS; i++) yield CHUNK;
}

/** Counts the bytes of a body with an array for each part, as most programs read one. */
export async function countParts(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const part of body) size += part.length;
  return size;
}

/**
 * Counts with one buffer for all parts, as web streams of bytes offer it. Measured against `for await`, which
 * gets a new array for each part, it takes half of the CPU time of `Deno.serve`, and is faster for each peer
 * that has such a stream; larger buffers make `Deno.serve` slower.
 */
export async function countInPlace(body: ReadableStream<Uint8Array>): Promise<number> {
  const reader = body.getReader({ mode: "byob" });
  let buffer = takeBuffer(64 * KIB);
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read(buffer);
    if (done) {
      buffers.push(new Uint8Array(value!.buffer));
      return size;
    }
    size += value.length;
    buffer = new Uint8Array(value.buffer);
  }
}

/** Counts what `read` reads into the buffer that it is given, null at the end, as `Deno.Conn.read()` does. */
export async function countReads(
  read: (buffer: Uint8Array) => Promise<number | null>,
): Promise<number> {
  const buffer = takeBuffer(256 * KIB);
  let size = 0;
  for (let count; (count = await read(buffer)) !== null;) size += count;
  buffers.push(buffer);
  return size;
}

/**
 * The buffers of bodies that were read: a new one for each would have to be cleared, and collected. A program
 * reads in one of the ways above, so that all are of one size.
 */
const buffers: Uint8Array<ArrayBuffer>[] = [];

function takeBuffer(size: number): Uint8Array<ArrayBuffer> {
  return buffers.pop() ?? new Uint8Array(size);
}
