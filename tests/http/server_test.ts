// The socket that is listened on: outages in which nothing can be accepted, and clients that wait for room.

import { assertEquals, assertMatch } from "@std/assert";
import { test } from "../needs.ts";
import { Accepting } from "./accepting.ts";
import { RawClient } from "./raw_client.ts";
import { ErrorLog, NET, serving } from "./serving.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** Has accepting fail in this scope, as often as is asked for; pauses are told, and take no time. */
class Outage implements Disposable {
  /** So many times it fails from now on. */
  failures = 0;
  /** Milliseconds that the clock is ahead. */
  ahead = 0;
  readonly pauses: number[] = [];
  readonly #listen = Deno.listen;
  readonly #setTimeout = globalThis.setTimeout;

  constructor() {
    const listen = this.#listen as (options: Deno.ListenOptions) => Deno.Listener;
    Deno.listen = ((options: Deno.ListenOptions) => {
      const listener = listen(options);
      const accept = listener.accept.bind(listener);
      listener.accept = async () => {
        if (this.failures === 0) return await accept();
        this.failures--;
        throw new Error("Too many open files");
      };
      return listener;
    }) as typeof Deno.listen;
    globalThis.setTimeout = ((callback: () => void, delay: number) => {
      // Others are of 0 or 1, or safety nets of tests.
      const isPause = delay >= 5 && delay <= 1_000;
      if (isPause) this.pauses.push(delay);
      return this.#setTimeout(callback, isPause ? 0 : delay);
    }) as typeof setTimeout;
    const now = performance.now.bind(performance);
    performance.now = () => now() + this.ahead;
  }

  [Symbol.dispose](): void {
    Deno.listen = this.#listen;
    globalThis.setTimeout = this.#setTimeout;
    delete (performance as Partial<Performance>).now;
  }
}

test(
  "Server pauses longer after each failure to accept, and briefly when it comes again later",
  NET,
  async () => {
    using log = new ErrorLog();
    using outage = new Outage();
    outage.failures = 10;
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
    });
    const ask = async (): Promise<void> => {
      using client = await RawClient.connect(app.addr);
      await client.send(GET);
      assertEquals((await client.response()).body, "Welcome!");
    };
    await ask();
    const first = outage.pauses.splice(0);
    assertEquals(first, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    outage.ahead = 5_000;
    outage.failures = 2;
    // The first is accepted by what waited for it, the second after the failures.
    await ask();
    await ask();
    assertEquals(outage.pauses, [5, 10]);
    assertEquals(app.counters.acceptFailures, 12);
    assertEquals(log.entries.length, 1);
    assertMatch(log.entries[0], /^Cannot accept connections for now: Too many open files$/);
  },
);

test(
  "Server that stops serves the connection that waits for room, though there is none",
  NET,
  async () => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    using _ = new Accepting((_, before) => before === 1 ? second.resolve() : undefined);
    await using app = await serving((app) => {
      app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
      app.onEvent("GET:/wait", async ({ ctx }) => {
        asked.resolve();
        await goOn.promise;
        ctx.response(200, "at last");
      });
    }, { maxConnections: 1 });
    using busy = await RawClient.connect(app.addr);
    await busy.send(GET.replace("/", "/wait"));
    await asked.promise;
    using waiting = await RawClient.connect(app.addr);
    await waiting.send(GET);
    await second.promise;
    // The server looks for what has come before it waits for room.
    for (let i = 0; i < 2; i++) await new Promise((resolve) => setTimeout(resolve, 0));
    const stopped = app.stop();
    assertEquals((await waiting.response()).body, "Welcome!");
    goOn.resolve();
    assertEquals((await busy.response()).body, "at last");
    for (const client of [busy, waiting]) client[Symbol.dispose]();
    await stopped;
  },
);
