// A front and this server behind it never count a different number of requests, and no client gets an answer
// that belongs to another.

import { assert, assertEquals } from "@std/assert";
import { serving } from "../http/serving.ts";
import { latin1 } from "../http/raw_client.ts";
import { test } from "../needs.ts";
import { CORPUS } from "./corpus.ts";
import { FRONTS } from "./front.ts";

/** Messages sent at a time; after them clients who did nothing wrong use the same connections. */
const AT_A_TIME = 130;
const BYSTANDERS = 6;
/** Milliseconds after which a test fails whose front says nothing: never waited for. */
const DEADLINE = 60_000;
/** Statuses of what this server refuses to read. */
const REFUSED = [400, 417, 431, 501, 505];

/** Sends bytes and returns all that comes until the other side closes. */
async function exchange(port: number, message: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const deadline = setTimeout(() => conn.close(), DEADLINE);
  let received = "";
  try {
    const bytes = latin1(message);
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    const area = new Uint8Array(64 * 1024);
    for (let count = await conn.read(area); count !== null; count = await conn.read(area)) {
      received += String.fromCharCode(...area.subarray(0, count));
    }
  } catch (error) {
    // A front may cut whom it has refused.
    const isCut = error instanceof Deno.errors.ConnectionReset ||
      error instanceof Deno.errors.BrokenPipe;
    if (!isCut) throw error;
  } finally {
    clearTimeout(deadline);
  }
  return received;
}

/** The paths in a text that are those of the corpus, without what comes after. */
function marks(text: string): string[] {
  return Array.from(text.matchAll(/\/[phlb]\d+/g), ([mark]) => mark);
}

/** How often each path was counted. */
function counted(paths: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const path of paths) counts.set(path, (counts.get(path) ?? 0) + 1);
  return counts;
}

for (const { name, program, start } of FRONTS) {
  const needs = { permissions: ["net", "run", "read", "write"], programs: [program] } as const;
  test(`HTTPListener counts the requests that ${name} counts`, needs, async () => {
    /** The paths of the requests that reached a handler. */
    const handled: string[] = [];
    await using app = await serving((app) => {
      app.onEvent(async ({ ctx }) => {
        handled.push(...marks(ctx.path));
        if (!ctx.path.endsWith("/early")) await ctx.bytes();
        ctx.response(200, `[${ctx.path}]`);
      });
    });
    await using front = await start(app.addr.port);

    for (let first = 0; first < CORPUS.length; first += AT_A_TIME) {
      await Promise.all(
        CORPUS.slice(first, first + AT_A_TIME).map(async ({ what, make }, k) => {
          const i = first + k;
          const last = `GET /l${i} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
          const received = await exchange(front.port, make(`/p${i}`, `/h${i}`) + last);
          const answered = received.match(/\[\/[phlb]\d+/g) ?? [];
          const others = answered.filter((mark) => mark.slice(3) !== String(i));
          assertEquals(others, [], `answers that came to "${what}" and are not its own`);
        }),
      );
      for (let k = 0; k < BYSTANDERS; k++) {
        const path = `/b${first + k}`;
        const request = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
        const received = await exchange(front.port, request);
        assert(received.endsWith(`[${path}]`), `a client who did nothing wrong got ${received}`);
      }
    }

    const log = await front.end();
    const forwarded = log.filter(({ isForwarded }) => isForwarded);
    const sent = counted(forwarded.flatMap(({ line }) => marks(line).slice(0, 1)));
    const taken = counted(handled);
    // What is refused reaches no handler: the front has the status, and the connection is not used again.
    const refused = counted(
      forwarded.filter(({ upstream }) => REFUSED.includes(upstream)).flatMap(({ line }) =>
        marks(line).slice(0, 1)
      ),
    );
    const differences: string[] = [];
    let missing = 0;
    for (const mark of new Set([...sent.keys(), ...taken.keys()])) {
      const [front, back] = [sent.get(mark) ?? 0, taken.get(mark) ?? 0];
      missing += front - back;
      if (front >= back && front - back <= (refused.get(mark) ?? 0)) continue;
      const what = CORPUS[Number(mark.slice(2))].what;
      differences.push(`${mark}: the front counts ${front}, the server ${back}: ${what}`);
    }
    assertEquals(differences, []);
    const inAll = Object.values(app.counters.refused).reduce((sum, count) => sum + count, 0);
    assert(missing <= inAll, `${missing} requests are missing, ${inAll} were refused`);
    assert(handled.length > CORPUS.length / 2, `${handled.length} requests were handled`);
    assert(log.length > forwarded.length, "the front refused some");
  });
}
