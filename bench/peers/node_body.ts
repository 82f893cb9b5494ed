// How the peers on Node read a body: by events. With `for await`, and with `node:stream/consumers`, which has that
// inside, they took a tenth to a third more CPU time (measured: 1 MiB counted, 1 KiB of JSON).

import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";

/** Has `take` given each part of a body, until its end. */
function read(request: IncomingMessage, take: (part: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    request.on("data", take).on("end", resolve).on("error", reject);
  });
}

/** Counts the bytes of a body as it comes. */
export async function countEvents(request: IncomingMessage): Promise<number> {
  let size = 0;
  await read(request, ({ length }) => size += length);
  return size;
}

/** All of a body. */
export async function collect(request: IncomingMessage): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  await read(request, (part) => parts.push(part));
  return Buffer.concat(parts);
}
