/**
 * Compression of responses for an `HTTPListener`, with Brotli or gzip (RFC 9110 8.4).
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { compression } from "@tiny/listener/compression";
 * import { assertEquals } from "@std/assert";
 *
 * const app = new HTTPListener({ port: 8000 }).use(compression());
 * app.onEvent("GET:/numbers", () => Response.json(Array.from({ length: 1000 }, (_, i) => i)));
 *
 * const { headers } = await app.fetch("/numbers", { headers: { "Accept-Encoding": "gzip, br" } });
 * assertEquals(headers.get("content-encoding"), "br");
 * ```
 *
 * @module
 */

// The whole room is this file: it depends on the door of the web framework and node:zlib alone.

import type { Transform } from "node:stream";
import * as zlib from "node:zlib";
import type { HTTPContext, HTTPListener } from "./http_context.ts";

/** The content codings that {@linkcode compression} knows: Brotli and gzip. */
export type ContentCoding = "br" | "gzip";

/** Options of {@linkcode compression}. */
export interface CompressionOptions {
  /** The codings to use, the preferred one first. By default `["br", "gzip"]`. */
  codings?: readonly ContentCoding[] | undefined;
  /** Bodies of fewer bytes are sent as they are, if their length is known. By default 1,024. */
  minSize?: number | undefined;
  /**
   * Whether bodies of a media type, such as `text/html`, are compressed. By default, text, JSON, XML,
   * JavaScript, SVG, WebAssembly and the like are, but not `text/event-stream`: for each client that listens,
   * a compressor would take up to 300 KiB of memory.
   */
  isCompressible?: ((type: string) => boolean) | undefined;
}

/**
 * A plugin that compresses responses for clients that accept it. Use it after other plugins and hooks that
 * change bodies in `beforeResponse()`.
 *
 * Of the codings that the client prefers, the first of `codings` is chosen (RFC 9110 12.5.3). A stream stays a
 * stream: each part is sent at once. A strong `ETag` becomes a weak one (RFC 9110 8.8.1), also that of a 304,
 * so compare `If-None-Match` regardless of `W/` (RFC 9110 13.1.2). `Vary: Accept-Encoding` is added for all
 * clients. These responses are sent as they are: those that have `Content-Encoding`, `Content-Range`,
 * `Content-Digest` or `Repr-Digest`, those with `Cache-Control: no-transform`, and those whose type does not
 * compress, such as images.
 *
 * Do not compress a page that contains both a secret, such as a token against forged requests, and something
 * that the request has sent: the length of the response reveals the secret (the BREACH attack).
 *
 * @returns A plugin for `app.use()`.
 * @throws {RangeError} `minSize` is not a number of 0 or more.
 * @throws {TypeError} A coding is unknown, or `isCompressible` is not a function.
 */
export function compression(
  { codings = ["br", "gzip"], minSize = 1_024, isCompressible = isText }: CompressionOptions = {},
): (app: HTTPListener) => void {
  for (const coding of codings) {
    if (Object.hasOwn(COMPRESSORS, coding)) continue;
    throw new TypeError(`Cannot compress with coding "${coding}": must be "br" or "gzip"`);
  }
  if (typeof minSize !== "number" || !(minSize >= 0)) {
    throw new RangeError(`Cannot set minSize to ${minSize}: must be a number of bytes, 0 or more`);
  }
  if (typeof isCompressible !== "function") {
    throw new TypeError(
      `Cannot set isCompressible: must be a function, got ${typeof isCompressible}`,
    );
  }
  const compress = async (response: Response, ctx: HTTPContext): Promise<Response | void> => {
    if (!isEligible(response, isCompressible)) return;
    vary(response.headers);
    const coding = chosenCoding(ctx.headers.get("accept-encoding") ?? "", codings);
    if (coding === null) return;
    if (response.status === 304) return weaken(response.headers);
    if (response.body === null) return;
    if (Number(response.headers.get("content-length") ?? Infinity) < minSize) return;
    return await compressed(response, response.body, coding, minSize);
  };
  return (app) => app.beforeResponse(compress);
}

interface Compressor {
  /** Compresses a body that is there as a whole. */
  whole(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  /** A compressor that passes on what it has after each part. */
  stream(): Transform;
}

// In zlib's terms, the quality of 4 takes about as long as gzip. A smaller window than the usual 4 MiB saves
// memory where there are many streams.
const { constants } = zlib;
const BROTLI = {
  [constants.BROTLI_PARAM_QUALITY]: 4,
  [constants.BROTLI_PARAM_LGWIN]: 19,
};

const COMPRESSORS: Record<ContentCoding, Compressor> = {
  br: {
    whole: (bytes) => new Uint8Array(zlib.brotliCompressSync(bytes, { params: BROTLI })),
    stream: () =>
      zlib.createBrotliCompress({ params: BROTLI, flush: constants.BROTLI_OPERATION_FLUSH }),
  },
  gzip: {
    whole: (bytes) => new Uint8Array(zlib.gzipSync(bytes)),
    stream: () => zlib.createGzip({ flush: constants.Z_SYNC_FLUSH }),
  },
};

/**
 * Bytes that are compressed in one step, which takes a millisecond or two. The streams of node:zlib work in
 * the event loop's own thread too: between steps, the server does other work.
 */
const STEP = 64 * 1024;

/** Milliseconds for which a large body is compressed before the event loop gets a turn. */
const WORK_MAX = 10;

/** Types that compress, besides text and those whose name ends in `+json`, `+xml` or `+text`. */
const COMPRESSIBLE = new Set([
  "application/javascript",
  "application/json",
  "application/json-seq",
  "application/jsonl",
  "application/sql",
  "application/toml",
  "application/wasm",
  "application/x-ndjson",
  "application/xml",
  "application/yaml",
  "font/otf",
  "font/ttf",
]);

/**
 * Fields that tell that a body has its final form, or is a range of it. The digests are those of the body with
 * its coding (RFC 9530 2 and 3).
 */
const OF_FINAL_FORM = ["content-encoding", "content-range", "content-digest", "repr-digest"];

function isText(type: string): boolean {
  return (type.startsWith("text/") && type !== "text/event-stream") || COMPRESSIBLE.has(type) ||
    type.endsWith("+json") || type.endsWith("+xml") || type.endsWith("+text");
}

/** Whether a response may be compressed, if its client accepts that. */
function isEligible(
  { status, headers }: Response,
  isCompressible: (type: string) => boolean,
): boolean {
  if (status === 206 || OF_FINAL_FORM.some((name) => headers.has(name))) return false;
  // RFC 9111 5.2.2.6
  if (members(headers.get("cache-control")).includes("no-transform")) return false;
  const [type] = (headers.get("content-type") ?? "").split(";");
  // A 304 usually has no type. It tells the ETag and the Vary that the 200 has (RFC 9110 15.4.5).
  if (type === "") return status === 304;
  return isCompressible(type.trim().toLowerCase());
}

/** Tells caches that the response depends on what codings a client accepts (RFC 9110 12.5.5). */
function vary(headers: Headers): void {
  const names = members(headers.get("vary"));
  if (!names.includes("*") && !names.includes("accept-encoding")) {
    headers.append("Vary", "Accept-Encoding");
  }
}

/**
 * Makes a strong entity tag a weak one: bodies with different codings are not equal byte by byte (RFC 9110
 * 8.8.1).
 */
function weaken(headers: Headers): void {
  const tag = headers.get("etag");
  if (tag?.startsWith('"')) headers.set("ETag", `W/${tag}`);
}

/** The members of a list, in lower case (RFC 9110 5.6.1). */
function members(list: string | null): string[] {
  return (list ?? "").toLowerCase().split(",").map((member) => member.trim()).filter(Boolean);
}

/**
 * The coding to use for a client with this `Accept-Encoding`; null for none (RFC 9110 12.5.3). A client that
 * sends no such field would accept any, but may not be able to decode it.
 */
function chosenCoding(
  accepted: string,
  codings: readonly ContentCoding[],
): ContentCoding | null {
  const weights = new Map<string, number>();
  for (const member of members(accepted)) {
    const [name, weight] = member.split(";").map((part) => part.trim());
    const quality = weight === undefined
      ? 1
      : Number(/^q=([01](?:\.\d{0,3})?)$/.exec(weight)?.[1] ?? 0);
    // RFC 9110 8.4.1.3
    weights.set(name === "x-gzip" ? "gzip" : name, quality);
  }
  const weightOf = (coding: string): number => weights.get(coding) ?? weights.get("*") ?? 0;
  let chosen: ContentCoding | null = null;
  // A client that prefers a body without a coding says so.
  let best = weights.get("identity") ?? 0;
  for (const coding of codings) {
    const weight = weightOf(coding);
    if (weight === 0 || (chosen === null ? weight < best : weight <= best)) continue;
    chosen = coding;
    best = weight;
  }
  return chosen;
}

async function compressed(
  { status, statusText, headers }: Response,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  coding: ContentCoding,
  minSize: number,
): Promise<Response> {
  const init = { status, statusText, headers };
  const compressor = COMPRESSORS[coding];
  const available = await peek(body, minSize);
  let content: BodyInit;
  if (available instanceof Uint8Array) {
    if (available.length < minSize) return new Response(available, init);
    content = compressor.whole(available);
  } else {
    content = available.pipeThrough(new TransformStream(new Through(compressor.stream())));
  }
  headers.set("Content-Encoding", coding);
  headers.delete("Content-Length");
  headers.delete("Accept-Ranges");
  weaken(headers);
  return new Response(content, init);
}

/** A stream of Node.js as the transformer of a web stream. Deno's `Duplex.toWeb()` fails if a client leaves. */
class Through implements Transformer<Uint8Array, Uint8Array<ArrayBuffer>> {
  readonly #stream: Transform;
  #pausedAt = performance.now();

  constructor(stream: Transform) {
    this.#stream = stream;
  }

  start(controller: TransformStreamDefaultController<Uint8Array<ArrayBuffer>>): void {
    this.#stream.on("data", (part: Uint8Array<ArrayBuffer>) => {
      try {
        controller.enqueue(part);
      } catch {
        // The reader left after `flush()` had begun: then `cancel()` is not called (Streams 6.4.4,
        // TransformStreamDefaultSourceCancelAlgorithm).
        this.cancel();
      }
    });
    this.#stream.on("error", (error) => controller.error(error));
  }

  async transform(part: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.write(part, () => resolve()));
    if (performance.now() - this.#pausedAt < WORK_MAX) return;
    // The stream calls back before the event loop goes on.
    await new Promise((resolve) => setTimeout(resolve));
    this.#pausedAt = performance.now();
  }

  flush(): Promise<void> {
    return new Promise((resolve) => this.#stream.on("close", resolve).end());
  }

  cancel(): void {
    this.#stream.removeAllListeners("data");
    this.#stream.destroy();
  }
}

const encoder = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/**
 * All bytes of `body` if it has them at hand, like that of `new Response("text")`, and they fit in one step or
 * are too few to compress; otherwise a stream of them, in steps.
 *
 * This does not wait for a producer: while that has nothing yet, the head can go out. A body is at hand if its
 * only chunk and its end are there within two microtask turns, in which a stream starts and pulls (Streams
 * 4.5.4, SetUpReadableStreamDefaultController).
 */
async function peek(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  minSize: number,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>> {
  const reader = body.getReader();
  const reading = reader.read();
  let first: ReadableStreamReadResult<Uint8Array<ArrayBuffer>> | null = null;
  let isClosed = false;
  reading.then((result) => first = result, () => {});
  reader.closed.then(() => isClosed = true, () => {});
  await null;
  await null;
  if (isClosed && first !== null) {
    const { value = NO_BYTES } = first as ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
    const bytes = bytesOf(value);
    if (bytes.length <= STEP || bytes.length < minSize) return bytes;
  }
  let next: typeof reading | null = reading;
  let part = NO_BYTES;
  return new ReadableStream({
    async pull(controller): Promise<void> {
      if (part.length === 0) {
        const { done, value } = await (next ?? reader.read());
        next = null;
        if (done) return controller.close();
        part = bytesOf(value);
      }
      controller.enqueue(part.subarray(0, STEP));
      part = part.subarray(STEP);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

/** A part of a stream as bytes. Deno lets a Response have a stream of texts, which is sent as UTF-8. */
function bytesOf(part: Uint8Array<ArrayBuffer> | string): Uint8Array<ArrayBuffer> {
  return typeof part === "string" ? encoder.encode(part) : part;
}
