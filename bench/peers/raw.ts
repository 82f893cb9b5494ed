// The ceiling: what a server in TypeScript over Deno.listen can reach at most. It looks for the blank line
// that ends each head, skips as many bytes of body as it was told, and writes fixed bytes.

import { CHUNK, CHUNKS, confirm, greet, LARGE, LARGE_SIZE, ORDER, page } from "./content.ts";
import { certificate, listening, options } from "./program.ts";

const encoder = new TextEncoder();
const { path, bodySize } = options.raw ?? { path: "/user/bob", bodySize: 0 };

/** The writes of one answer. */
const writes: Uint8Array[] = ({
  "/user/bob": () => [whole(encoder.encode(greet("bob")))],
  "/json": () => [whole(encoder.encode(JSON.stringify(confirm(ORDER))))],
  "/page": () => [whole(encoder.encode(page()))],
  "/large": () => [whole(LARGE)],
  "/stream": streamed,
  "/upload": counted,
  "/for-await": counted,
} as Record<string, () => Uint8Array[]>)[path]();

function whole(body: Uint8Array): Uint8Array {
  return concat([
    encoder.encode(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ]);
}

function counted(): Uint8Array[] {
  return [whole(encoder.encode(`${LARGE_SIZE}`))];
}

/** Each chunk is one write; the first has the head, the last the end. */
function streamed(): Uint8Array[] {
  const chunk = concat([
    encoder.encode(`${CHUNK.length.toString(16)}\r\n`),
    CHUNK,
    encoder.encode("\r\n"),
  ]);
  const writes = Array.from({ length: CHUNKS }, () => chunk);
  const head = encoder.encode("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  writes[0] = concat([head, chunk]);
  writes[CHUNKS - 1] = concat([chunk, encoder.encode("0\r\n\r\n")]);
  return writes;
}

function concat(parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Answers to heads that came together, in one write: by how many they are. */
const together: Uint8Array[] = [];

async function answer(conn: Deno.Conn, count: number): Promise<void> {
  if (writes.length === 1) {
    return await writeAll(conn, together[count] ??= concat(Array(count).fill(writes[0])));
  }
  for (let i = 0; i < count; i++) {
    for (const bytes of writes) await writeAll(conn, bytes);
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let at = await conn.write(bytes);
  while (at < bytes.length) at += await conn.write(bytes.subarray(at));
}

/** Bytes of a read: more where bodies come. */
const READ_SIZE = bodySize > 64 * 1024 ? 256 * 1024 : 16 * 1024;

async function serve(conn: Deno.Conn): Promise<void> {
  const bytes = new Uint8Array(READ_SIZE);
  /** Bytes of the body that have not come. */
  let left = 0;
  /** How much of the blank line has come: CR LF CR LF. */
  let matched = 0;
  for (;;) {
    const end = await conn.read(bytes);
    if (end === null) return conn.close();
    let heads = 0;
    for (let at = 0; at < end;) {
      if (left > 0) {
        const count = Math.min(left, end - at);
        left -= count;
        at += count;
      } else {
        const byte = bytes[at++];
        if (byte === (matched % 2 === 0 ? 13 : 10)) matched++;
        else matched = byte === 13 ? 1 : 0;
        if (matched < 4) continue;
        matched = 0;
        left = bodySize;
      }
      if (left === 0) heads++;
    }
    if (heads > 0) await answer(conn, heads);
  }
}

const address = { hostname: "127.0.0.1", port: 0 };
const listener = options.tls === undefined
  ? Deno.listen(address)
  : Deno.listenTls({ ...address, ...certificate() as Deno.TlsCertifiedKeyPem });
listening((listener.addr as Deno.NetAddr).port);
for await (const conn of listener) serve(conn).catch(() => conn.close());
