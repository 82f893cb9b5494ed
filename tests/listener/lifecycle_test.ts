// start(), run() and stop(). Signals are sent to programs of their own.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  DuplicateListener,
  getCurrentRunningListener,
  Listener,
  ListenerNotFound,
  type ListenerOptions,
  type Source,
  TimeoutError,
} from "../../listener.ts";
import { type Needs, test } from "../needs.ts";
import { Program, run } from "../program.ts";

/** What a test with a program of its own needs. */
const RUN: Needs = { permissions: ["run"] };

/** A listener with a source that writes down what happens to it. */
class App extends Listener {
  readonly log: string[] = [];
  readonly #finished = Promise.withResolvers<void>();

  constructor(options?: ListenerOptions) {
    super(options);
    this.startup(() => this.log.push("startup"));
    this.shutdown(() => this.log.push("shutdown"));
    this.onEvent("quick", () => this.log.push("quick"));
  }

  override listen(): Source {
    this.log.push("listen");
    return {
      finished: this.#finished.promise,
      close: () => {
        this.log.push("close");
        this.#finished.resolve();
      },
      abort: () => this.log.push("abort"),
    };
  }

  fail(error: Error): void {
    this.#finished.reject(error);
  }
}

/** Resolves at the next turn of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("start() runs the startup callbacks in order, then listen(); stop() undoes it", async () => {
  const app = new App();
  app.startup(async () => {
    await null;
    app.log.push("startup 2");
  });
  app.shutdown(async () => {
    await null;
    app.log.push("shutdown 2");
  });
  const starting = app.start();
  assertStrictEquals(app.start(), starting);
  await starting;
  assertEquals(app.log, ["startup", "startup 2", "listen"]);
  const stopping = app.stop();
  assertStrictEquals(app.stop(), stopping);
  await stopping;
  assertEquals(app.log.slice(3), ["close", "shutdown", "shutdown 2"]);
  await app.stop();
  assertEquals(app.log.length, 6);
});

Deno.test("stop() has no effect on a listener that was not started", async () => {
  const app = new App();
  await app.stop();
  assertEquals(app.log, []);
});

Deno.test("await using stops a listener", async () => {
  const app = new App();
  {
    await using running = app;
    await running.start();
  }
  assertEquals(app.log, ["startup", "listen", "close", "shutdown"]);
});

Deno.test("start() after stop() starts again", async () => {
  class Plain extends Listener {
    starts = 0;
    override listen(): void {
      this.starts++;
    }
  }
  const app = new Plain();
  for (let i = 1; i <= 2; i++) {
    await app.start();
    await app.stop();
    assertEquals(app.starts, i);
  }
});

Deno.test("start() rejects with what a startup callback throws, and does not listen", async () => {
  const app = new App();
  app.startup(() => {
    throw new RangeError("no database");
  });
  await assertRejects(() => app.start(), RangeError, "no database");
  await assertRejects(() => app.run(), RangeError, "no database");
  assertEquals(app.log, ["startup", "startup"]);
});

Deno.test("start() rejects with what listen() throws, after the shutdown callbacks", async () => {
  class Deaf extends App {
    override listen(): Source {
      throw new RangeError("port taken");
    }
  }
  const app = new Deaf();
  await assertRejects(() => app.start(), RangeError, "port taken");
  assertEquals(app.log, ["startup", "shutdown"]);
  await assertRejects(() => app.run(), RangeError, "port taken");
  assertThrows(getCurrentRunningListener, ListenerNotFound);
});

Deno.test("start() rejects with what listen() throws and what a shutdown callback throws then", async () => {
  class Deaf extends App {
    override listen(): Source {
      throw new RangeError("port taken");
    }
  }
  const app = new Deaf();
  app.shutdown(() => {
    throw new TypeError("cannot close");
  });
  for (const begin of [() => app.start(), () => app.run()]) {
    const { errors } = await assertRejects(begin, AggregateError, "Cannot stop cleanly");
    assertEquals(errors.map(String), ["RangeError: port taken", "TypeError: cannot close"]);
  }
});

Deno.test("stop() while startup callbacks run keeps the listener from listening", async () => {
  const app = new App();
  const go = Promise.withResolvers<void>();
  app.startup(() => go.promise);
  const starting = app.start();
  const stopping = app.stop();
  go.resolve();
  await Promise.all([starting, stopping]);
  assertEquals(app.log, ["startup", "shutdown"]);
});

Deno.test("stop() while listen() is at work closes the source as soon as it is there", async () => {
  const app = new App();
  const go = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  class Slow extends Listener {
    override async listen(): Promise<Source> {
      entered.resolve();
      await go.promise;
      return app.listen();
    }
  }
  const slow = new Slow();
  const starting = slow.start();
  await entered.promise;
  await slow.stop();
  go.resolve();
  await starting;
  assertEquals(app.log, ["listen", "close", "abort"]);
});

Deno.test("stop() waits for events in flight before the shutdown callbacks", async () => {
  const app = new App();
  const go = Promise.withResolvers<void>();
  app.onEvent("slow", async () => {
    await go.promise;
    app.log.push("slow");
  });
  await app.start();
  app.triggerEvent("slow");
  const stopping = app.stop();
  go.resolve();
  await stopping;
  assertEquals(app.log, ["startup", "listen", "close", "slow", "shutdown"]);
});

Deno.test("stop() lets a listen() that never returns by itself end, and ignores how", async () => {
  class Loop extends Listener {
    #end: (error: Error) => void = () => {};
    readonly log: string[] = [];
    override listen(): Promise<void> {
      this.log.push("listen");
      return new Promise((_, reject) => this.#end = reject);
    }
    close(): void {
      this.log.push("shutdown");
      this.#end(new Error("closed"));
    }
  }
  const app = new Loop({ shutdownGrace: Infinity });
  app.shutdown(() => app.close());
  app.onEvent("stop", ({ listener }) => listener.stop());
  const running = app.run();
  await Promise.resolve();
  assertEquals(app.log, ["listen"]);
  await app.triggerEvent("stop");
  await running;
  assertEquals(app.log, ["listen", "shutdown"]);
});

Deno.test("stop() goes on where close() throws, and rejects with that", async () => {
  const app = new App();
  class Broken extends Listener {
    override listen(): Source {
      const source = app.listen();
      const close = (): void => {
        source.close?.();
        throw new RangeError("cannot close");
      };
      return { finished: source.finished, close };
    }
  }
  const broken = new Broken();
  broken.shutdown(() => app.log.push("shutdown"));
  await broken.start();
  await assertRejects(() => broken.stop(), RangeError, "cannot close");
  assertEquals(app.log, ["listen", "close", "shutdown"]);
});

Deno.test("stopSignal is aborted when stop() begins, while events have their grace", async () => {
  const app = new App();
  app.onEvent("until the end", async ({ signal }) => {
    await new Promise<void>((resolve) => app.stopSignal.addEventListener("abort", () => resolve()));
    app.log.push(`told; the event ${signal.aborted ? "is aborted" : "may go on"}`);
  });
  await app.start();
  assertEquals(app.stopSignal.aborted, false);
  app.triggerEvent("until the end");
  await app.stop();
  assertEquals(app.log, ["startup", "listen", "close", "told; the event may go on", "shutdown"]);
});

Deno.test("stopSignal is another one after each stop()", async () => {
  const app = new App();
  const aborted: boolean[] = [];
  let last: AbortSignal;
  app.startup(() => {
    last = app.stopSignal;
    aborted.push(last.aborted);
  });
  app.shutdown(() => aborted.push(app.stopSignal.aborted, last.aborted));
  for (let i = 0; i < 2; i++) {
    await app.start();
    await app.stop();
  }
  assertEquals(aborted, [false, true, true, false, true, true]);
});

Deno.test("stop() while startup callbacks run waits for them before the shutdown callbacks", async () => {
  const app = new App();
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  app.startup(async () => {
    await opened;
    app.log.push("opened");
  });
  const starting = app.start();
  const stopping = app.stop();
  await new Promise((resolve) => setTimeout(resolve, 0));
  open();
  await Promise.all([starting, stopping]);
  assertEquals(app.log, ["startup", "opened", "shutdown"]);
});

Deno.test("stop() calls no shutdown callbacks if a startup callback fails meanwhile", async () => {
  const app = new App();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  app.startup(async () => {
    begin();
    await new Promise((resolve) => app.stopSignal.addEventListener("abort", resolve));
    throw new Error("no database");
  });
  const starting = assertRejects(() => app.start(), Error, "no database");
  await begun;
  await app.stop();
  await starting;
  assertEquals(app.log, ["startup"]);
});

Deno.test("stopSignal is aborted where stop() comes while startup callbacks run", async () => {
  const app = new App({ shutdownGrace: 0 });
  const { promise, resolve } = Promise.withResolvers<void>();
  app.startup(() => promise);
  const started = app.start();
  const { stopSignal } = app;
  await app.stop();
  assertEquals(stopSignal.aborted, true);
  resolve();
  await started;
});

Deno.test("stopSignal ends a startup callback that goes on until it is told", async () => {
  const app = new App();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  app.startup(() => {
    begin();
    return new Promise<void>((resolve) =>
      app.stopSignal.addEventListener("abort", () => resolve())
    );
  });
  const started = app.start();
  await begun;
  await app.stop();
  await started;
  assertEquals(app.log, ["startup", "shutdown"]);
});

Deno.test("stopSignal may have two listeners stop each other, once", async () => {
  const one = new App();
  const other = new App();
  await Promise.all([one.start(), other.start()]);
  one.stopSignal.addEventListener("abort", () => void other.stop());
  other.stopSignal.addEventListener("abort", () => void one.stop());
  await one.stop();
  await other.stop();
  assertEquals(one.log, ["startup", "listen", "close", "shutdown"]);
  assertEquals(other.log, one.log);
});

Deno.test("start() succeeds after one that failed, though who was told of that called stop()", async () => {
  const app = new App();
  let fails = true;
  app.startup(async () => {
    if (fails) throw new Error("not yet");
    await nextTurn();
  });
  app.stopSignal.addEventListener("abort", () => void app.stop());
  await assertRejects(() => app.start(), Error, "not yet");
  fails = false;
  await app.start();
  assertEquals(app.stopSignal.aborted, false);
  assertEquals(app.log, ["startup", "startup", "listen"]);
  await app.stop();
});

Deno.test("start() starts anew where it is called as stopSignal is aborted", async () => {
  const app = new App();
  await app.start();
  let started: Promise<void> | null = null;
  app.stopSignal.addEventListener("abort", () => void (started = app.start()));
  await app.stop();
  await started;
  assertEquals(app.log, ["startup", "listen", "close", "shutdown", "startup", "listen"]);
  await app.stop();
});

Deno.test("new Listener() refuses a grace that is no time", () => {
  assertThrows(() => new Listener({ shutdownGrace: -1 }), RangeError, "Cannot set shutdownGrace");
});

Deno.test("stop() waits for no event that is over, in whatever order they ended", async () => {
  const app = new Listener({ shutdownGrace: Infinity });
  const ends = new Map<string, () => void>();
  app.onEvent("work <name>", ({ params }) => {
    return new Promise<void>((resolve) => ends.set(params.name, resolve));
  });
  for (const order of ["abc", "acb", "bac", "bca", "cab", "cba"]) {
    await app.start();
    const tasks = new Map(["a", "b", "c"].map((name) => [name, app.triggerEvent(`work ${name}`)]));
    for (const name of order) {
      ends.get(name)!();
      await tasks.get(name);
    }
    await app.stop();
  }
});

Deno.test("stop() waits for an event that is over until it is done", async () => {
  const app = new App();
  app.onEvent("lasting", (event) => event.preventAutoDone());
  await app.start();
  const { event } = app.triggerEvent("lasting");
  const stopping = app.stop().then(() => app.log.push("stopped"));
  app.log.push("done");
  event.done();
  await stopping;
  assertEquals(app.log, ["startup", "listen", "close", "done", "shutdown", "stopped"]);
});

Deno.test("stop() aborts events and the source when the grace is over", async () => {
  const app = new App({ shutdownGrace: 1 });
  app.onEvent("stuck", ({ signal }) =>
    new Promise<void>((resolve) => {
      signal.onabort = () => resolve(void app.log.push(`aborted: ${signal.reason.name}`));
    }));
  await app.start();
  const task = app.triggerEvent("stuck");
  await app.stop();
  await task;
  assertEquals(app.log.slice(2), ["close", "aborted: AbortError", "abort", "shutdown"]);
});

Deno.test("what a stop() gave up is waited for no more", async () => {
  const app = new Listener({ shutdownGrace: 1 });
  const gate = Promise.withResolvers<void>();
  app.onEvent("stuck", () => gate.promise);
  await app.start();
  const task = app.triggerEvent("stuck");
  await app.stop();
  // It would not end with an event in flight.
  await app.run();
  gate.resolve();
  await task;
});

Deno.test("a start() that a shutdown callback called and that fails is logged", async () => {
  const { error } = console;
  const logged = Promise.withResolvers<unknown[]>();
  console.error = (...args) => logged.resolve(args);
  try {
    let starts = 0;
    const busy = new Error("the port is in use");
    class Restarting extends Listener {
      override listen(): void {
        if (starts++ > 0) throw busy;
      }
    }
    const app = new Restarting();
    app.shutdown(() => starts === 1 && app.start());
    await app.start();
    await app.stop();
    assertEquals(await logged.promise, ["Cannot continue listening:", busy]);
  } finally {
    console.error = error;
  }
});

Deno.test("start() that fails each time and that a shutdown callback calls lets timers run", async () => {
  const { error } = console;
  console.error = () => {};
  try {
    let starts = 0;
    class Failing extends Listener {
      override listen(): void {
        starts++;
        throw new Error("the port is in use");
      }
    }
    const app = new Failing();
    let hasRun = false;
    const timer = new Promise<void>((resolve) => {
      setTimeout(() => resolve(void (hasRun = true)), 0);
    });
    const over = Promise.withResolvers<void>();
    app.shutdown(() => hasRun || starts === 1_000 ? over.resolve() : void app.start());
    await assertRejects(() => app.start(), Error, "the port is in use");
    await Promise.all([timer, over.promise]);
    assert(starts < 1_000, `${starts} starts`);
  } finally {
    console.error = error;
  }
});

Deno.test("what the source fails with by itself rejects run(), or is logged at once and rejects stop()", async () => {
  const { error } = console;
  const logged: unknown[][] = [];
  console.error = (...args) => logged.push(args);
  try {
    const gone = new Error("the broker closed the connection");
    const run = new App();
    run.startup(() => run.fail(gone));
    await assertRejects(() => run.run(), Error, "the broker closed the connection");
    assertEquals(logged, []);
    const started = new App();
    await started.start();
    started.fail(gone);
    await nextTurn();
    assertEquals(logged, [["Cannot continue listening:", gone]]);
    await assertRejects(() => started.stop(), Error, "the broker closed the connection");
    assertEquals(started.log.slice(2), ["close", "shutdown"]);
    assertEquals(logged.length, 1);
  } finally {
    console.error = error;
  }
});

Deno.test("stop() does not reject with what the source fails with when it is closed", async () => {
  class Failing extends Listener {
    override listen(): Source {
      const { promise, reject } = Promise.withResolvers<void>();
      return { finished: promise, close: () => reject(new Error("closed")) };
    }
  }
  const app = new Failing();
  await app.start();
  await app.stop();
});

Deno.test("stop() does not reject with what the source of an earlier run fails with", async () => {
  const sources = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let runs = 0;
  class Restarted extends Listener {
    override listen(): Source {
      return { finished: sources[runs++].promise };
    }
  }
  const app = new Restarted({ shutdownGrace: 0 });
  await app.start();
  await app.stop();
  await app.start();
  sources[0].reject(new Error("late"));
  await nextTurn();
  await app.stop();
  assertEquals(runs, 2);
});

Deno.test("an event that stop() gave up is over when its timeout is", async () => {
  const app = new Listener({ shutdownGrace: 0 });
  app.onEvent("stuck", () => new Promise(() => {}));
  await app.start();
  const task = app.triggerEvent("stuck", { timeout: 20 });
  await app.stop();
  // It keeps no process alive by itself.
  const going = setInterval(() => {}, 1_000);
  await assertRejects(() => task, TimeoutError);
  clearInterval(going);
  assertEquals(app.ctxs.size, 0);
});

Deno.test("stop() takes back a start() that waits for the end of the stop() before", async () => {
  const app = new App();
  await app.start();
  const stopped = app.stop();
  const started = app.start();
  await stopped;
  await app.stop();
  await started;
  assertEquals(app.log, ["startup", "listen", "close", "shutdown"]);
});

Deno.test("stop() runs every shutdown callback and rejects with what they threw", async () => {
  const app = new App();
  app.shutdown(() => {
    throw new RangeError("one");
  });
  app.shutdown(() => app.log.push("after"));
  await app.start();
  await assertRejects(() => app.stop(), RangeError, "one");
  assertEquals(app.log.slice(2), ["close", "shutdown", "after"]);
  app.shutdown(() => {
    throw new TypeError("two");
  });
  await app.start();
  await assertRejects(() => app.stop(), AggregateError, "2 errors");
});

Deno.test("stop() that a handler called rejects with what a shutdown callback throws, though the handler is over", async () => {
  const app = new App();
  const over = Promise.withResolvers<void>();
  app.shutdown(() => {
    throw new RangeError("cannot close");
  });
  app.shutdown(() => over.promise);
  let stopping: Promise<void> | undefined;
  app.onEvent("quit", ({ listener }) => {
    stopping = listener.stop();
    return over.promise;
  });
  await app.start();
  const task = app.triggerEvent("quit");
  app.shutdown(async () => {
    await task;
    await nextTurn();
  });
  over.resolve();
  await assertRejects(() => stopping!, RangeError, "cannot close");
});

Deno.test("stop() rejects where a shutdown callback throws undefined", async () => {
  const app = new App();
  app.shutdown(() => Promise.reject(undefined));
  await app.start();
  assertEquals(await app.stop().then(() => "stopped", (error) => error), undefined);
});

Deno.test("stop() awaited inside a handler does not wait for that handler", async () => {
  const app = new App({ shutdownGrace: 1e6 });
  const go = Promise.withResolvers<void>();
  app.onEvent("other", async () => {
    await go.promise;
    app.log.push("other");
  });
  app.onEvent("stop", async ({ listener }) => {
    const stopping = listener.stop();
    go.resolve();
    await stopping;
    app.log.push("stopped");
  });
  await app.start();
  const running = app.run();
  app.triggerEvent("other");
  app.triggerEvent("stop");
  await running;
  assertEquals(app.log, ["startup", "listen", "close", "other", "shutdown", "stopped"]);
});

Deno.test("stop() awaited by an event that another one waits for waits for neither", async () => {
  const app = new App({ shutdownGrace: 1e6 });
  app.onEvent("outer", ({ ctx }) => ctx.triggerEvent("inner"));
  app.onEvent("inner", async ({ listener }) => {
    await listener.stop();
    app.log.push("stopped");
  });
  await app.start();
  await app.triggerEvent("outer");
  assertEquals(app.log.slice(2), ["close", "shutdown", "stopped"]);
});

Deno.test("stop() awaited in an error hook does not wait for the event that failed", async () => {
  const app = new App({ shutdownGrace: 1e6 });
  app.onError(RangeError, ({ listener }) => listener.stop());
  app.onEvent("fail", async () => {
    await null;
    throw new RangeError("fatal");
  });
  await app.start();
  await app.triggerEvent("fail");
  assertEquals(app.log.slice(2), ["close", "shutdown"]);
});

Deno.test("stop() waits for the source, though an error hook has run before", async () => {
  class Slow extends App {
    override listen(): Source {
      const { promise: finished, resolve } = Promise.withResolvers<void>();
      return {
        finished: finished.then(() => this.log.push("finished")),
        close: () => void setTimeout(resolve),
      };
    }
  }
  const app = new Slow();
  app.onError(RangeError, () => {});
  app.onEvent("fail", () => {
    throw new RangeError("fatal");
  });
  await app.start();
  await app.triggerEvent("fail");
  await app.stop();
  assertEquals(app.log, ["startup", "finished", "shutdown"]);
});

Deno.test("stop() in a handler aborts the others when the grace is over, before the shutdown callbacks", async () => {
  const app = new App({ shutdownGrace: 1 });
  app.onEvent("hang", ({ signal }) =>
    new Promise<void>((resolve) => {
      signal.onabort = () => resolve(void app.log.push("aborted"));
    }));
  app.onEvent("quit", ({ listener }) => void listener.stop());
  await app.start();
  const running = app.run();
  app.triggerEvent("hang");
  app.triggerEvent("quit");
  await running;
  assertEquals(app.log.slice(2), ["close", "aborted", "shutdown"]);
});

Deno.test("listen() passes on what another source has of close() and abort()", async () => {
  class Wrapper extends Listener {
    constructor(readonly inner: Source) {
      super({ shutdownGrace: 0 });
    }
    override listen(): Source {
      const { finished, close, abort } = this.inner;
      return { finished, close, abort };
    }
  }
  await new Wrapper({ finished: Promise.resolve() }).run();
  const never = new Wrapper({ finished: new Promise(() => {}) });
  await never.start();
  await never.stop();
});

/** A listener whose source ends by `abort()` alone. */
class Stubborn extends App {
  override listen(): Source {
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    return {
      finished,
      close: () => finished,
      abort: () => resolve(void this.log.push("abort")),
    };
  }
}

Deno.test("stop() waits for the source that it aborts before the shutdown callbacks", async () => {
  class Late extends App {
    override listen(): Source {
      const { promise: finished, resolve } = Promise.withResolvers<void>();
      return {
        finished: finished.then(() => this.log.push("finished")),
        abort: () => void setTimeout(resolve),
      };
    }
  }
  const app = new Late({ shutdownGrace: 0 });
  await app.start();
  await app.stop();
  assertEquals(app.log, ["startup", "finished", "shutdown"]);
});

Deno.test("stop() waits no longer than the grace for close()", async () => {
  const app = new Stubborn({ shutdownGrace: 1 });
  await app.start();
  await app.stop();
  assertEquals(app.log, ["startup", "abort", "shutdown"]);
});

Deno.test("stop() in a handler aborts the source when that handler is over, if the grace is", async () => {
  const app = new Stubborn({ shutdownGrace: 1 });
  app.onEvent("hang", () => new Promise(() => {}));
  app.onEvent("quit", async ({ listener }) => {
    await listener.stop();
    app.log.push("stopped");
  });
  await app.start();
  const running = app.run();
  app.triggerEvent("hang");
  app.triggerEvent("quit");
  await running;
  assertEquals(app.log, ["startup", "shutdown", "stopped", "abort"]);
});

Deno.test("start() while stop() is under way starts anew", async () => {
  const app = new App();
  await app.start();
  const stopping = app.stop();
  const starting = app.start();
  await stopping;
  assertEquals(app.log, ["startup", "listen", "close", "shutdown"]);
  await starting;
  assertEquals(app.log.slice(4), ["startup", "listen"]);
});

Deno.test("start() in a handler after stop() begins a run that the old one leaves alone", async () => {
  class Plain extends Listener {}
  const app = new Plain({ shutdownGrace: 1 });
  const worked = Promise.withResolvers<string>();
  app.onEvent("work", async ({ signal }) => {
    // Longer than the grace of the run before.
    await new Promise((resolve) => setTimeout(resolve, 5));
    worked.resolve(signal.aborted ? "aborted" : "done");
  });
  app.onEvent("restart", async () => {
    await app.stop();
    await app.start();
    await app.triggerEvent("work");
  });
  await app.start();
  await app.triggerEvent("restart");
  assertEquals(await worked.promise, "done");
  await app.stop();
});

for (
  const [what, hook] of [
    ["calls stop()", (app: App) => void app.stop()],
    ["awaits stop()", (app: App) => app.stop()],
    ["awaits stop() later", async (app: App) => {
      await null;
      await app.stop();
    }],
  ] as [string, (app: App) => unknown][]
) {
  Deno.test(`start() does not listen where a startup callback ${what}`, async () => {
    const app = new App({ shutdownGrace: 1 });
    app.startup(() => hook(app));
    await app.start();
    await app.stop();
    assertEquals(app.log, ["startup", "shutdown"]);
  });
}

Deno.test("stop() in a handler waits for close() before the shutdown callbacks", async () => {
  class Slow extends App {
    override listen(): Source {
      return {
        finished: Promise.resolve(),
        close: async () => {
          this.log.push("close");
          await new Promise((resolve) => setTimeout(resolve));
          this.log.push("closed");
        },
      };
    }
  }
  const app = new Slow();
  app.onEvent("quit", ({ listener }) => listener.stop());
  await app.start();
  await app.triggerEvent("quit");
  assertEquals(app.log, ["startup", "close", "closed", "shutdown"]);
});

Deno.test("run() aborts what its source brings after stop() in a handler, when the grace is over", async () => {
  const app = new App({ shutdownGrace: 1 });
  app.onEvent("hang", ({ signal }) =>
    new Promise<void>((resolve) => {
      signal.onabort = () => resolve(void app.log.push("aborted"));
    }));
  app.onEvent("quit", async ({ listener }) => {
    await listener.stop();
    app.triggerEvent("hang");
  });
  await app.start();
  const running = app.run();
  app.triggerEvent("quit");
  await running;
  assertEquals(app.log.slice(2), ["close", "shutdown", "aborted"]);
});

Deno.test("stop() of several handlers waits for none of them", async () => {
  const app = new App({ shutdownGrace: 1e6 });
  const go = Promise.withResolvers<void>();
  app.onEvent("first", ({ listener }) => listener.stop());
  app.onEvent("second", ({ listener }) => listener.stop());
  app.onEvent("other", () => go.promise);
  await app.start();
  app.triggerEvent("other");
  const stopping = app.stop();
  const tasks = [app.triggerEvent("first"), app.triggerEvent("second")];
  go.resolve();
  await Promise.all([stopping, ...tasks]);
  assertEquals(app.log.slice(2), ["close", "shutdown"]);
});

Deno.test("stop() takes back a start() that waits for the stop() before", async () => {
  const app = new App();
  await app.start();
  const stopping = app.stop();
  const running = app.run();
  await app.stop();
  await Promise.all([stopping, running]);
  assertEquals(app.log, ["startup", "listen", "close", "shutdown"]);
});

for (
  const [what, abort] of [
    ["throws", () => {
      throw new RangeError("cannot abort");
    }],
    ["rejects", () => Promise.reject(new RangeError("cannot abort"))],
  ] as [string, () => unknown][]
) {
  Deno.test(`stop() does not wait for a source whose abort() ${what}`, async () => {
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    class Broken extends App {
      override listen(): Source {
        return {
          finished,
          abort: () => {
            if (what === "rejects") resolve();
            return abort();
          },
        };
      }
    }
    const app = new Broken({ shutdownGrace: 1 });
    await app.start();
    await assertRejects(() => app.stop(), RangeError, "cannot abort");
    assertEquals(app.log, ["startup", "shutdown"]);
  });
}

Deno.test("run() rejects with what close() threw where a handler called stop()", async () => {
  class Broken extends App {
    override listen(): Source {
      return {
        finished: Promise.resolve(),
        close: async () => {
          await new Promise((resolve) => setTimeout(resolve, 2));
          throw new RangeError("cannot close");
        },
      };
    }
  }
  const app = new Broken({ shutdownGrace: 1 });
  app.onEvent("quit", ({ listener }) => listener.stop());
  app.onEvent("hang", () => new Promise(() => {}));
  await app.start();
  app.triggerEvent("hang");
  const refused = assertRejects(() => app.run(), RangeError, "cannot close");
  app.triggerEvent("quit");
  await refused;
});

Deno.test("startup callbacks that are left when stop() gave up waiting are not called", async () => {
  const app = new App({ shutdownGrace: 1 });
  const go = Promise.withResolvers<void>();
  app.startup(() => go.promise);
  app.startup(() => app.log.push("opened"));
  const starting = app.start();
  await app.stop();
  go.resolve();
  await starting;
  assertEquals(app.log, ["startup", "shutdown"]);
});

for (const name of ["start", "stop"] as const) {
  Deno.test(`${name}() awaited in a shutdown callback does not wait for that callback`, async () => {
    const app = new App();
    app.shutdown(() => app[name]());
    await app.start();
    await app.stop();
    assertEquals(app.log.slice(0, 4), ["startup", "listen", "close", "shutdown"]);
  });
}

Deno.test("start() awaited in a startup callback does not wait for that callback", async () => {
  const app = new App();
  app.startup(() => app.start());
  await app.start();
  assertEquals(app.log, ["startup", "listen"]);
  await app.stop();
});

Deno.test("start() refuses a listen() that returns no Source", async () => {
  class Wrong extends Listener {
    override listen(): Source {
      return { close(): void {} } as unknown as Source;
    }
  }
  await assertRejects(() => new Wrong().start(), TypeError, "whose `finished` is a promise");
});

Deno.test("run() ends when listen() has returned and its events are over", async () => {
  class Steps extends Listener {
    readonly log: string[] = [];
    override listen(): void {
      const ctx = this.newCtx();
      ctx.triggerEvent("two");
      ctx.triggerEvent("one");
    }
  }
  const app = new Steps();
  app.shutdown(() => app.log.push("shutdown"));
  app.onEvent("one", { name: "one" }, async () => {
    await null;
    app.log.push("one");
  });
  app.onEvent("two", async (event) => {
    await event.waitEventDone("one");
    app.log.push("two");
  });
  await app.run();
  assertEquals(app.log, ["one", "two", "shutdown"]);
});

Deno.test("run() ends when its source has finished, and rejects when that failed", async () => {
  const app = new App();
  const running = app.run();
  app.startup(() => app.log.push("startup 2"));
  queueMicrotask(() => app.fail(new RangeError("connection lost")));
  await assertRejects(() => running, RangeError, "connection lost");
  assert(app.log.includes("shutdown"));
});

Deno.test("run() rejects with what its source failed with and what a shutdown callback throws then", async () => {
  const app = new App();
  const running = app.run();
  app.shutdown(() => {
    throw new TypeError("cannot close");
  });
  queueMicrotask(() => app.fail(new RangeError("connection lost")));
  const { errors } = await assertRejects(() => running, AggregateError, "Cannot stop cleanly");
  assertEquals(errors.map(String), ["RangeError: connection lost", "TypeError: cannot close"]);
});

Deno.test("run() does not reject with what the end of an earlier run() failed with", async () => {
  class Failing extends Listener {
    #runs = 0;

    override listen(): Source {
      if (this.#runs++ > 0) return { finished: Promise.resolve() };
      const { promise, resolve } = Promise.withResolvers<void>();
      return {
        finished: promise,
        abort(): void {
          resolve();
          throw new Error("abort");
        },
      };
    }
  }
  const app = new Failing({ shutdownGrace: 1 });
  app.onEvent("halt", () => app.stop());
  const running = app.run();
  await nextTurn();
  app.triggerEvent("halt");
  await assertRejects(() => running, Error, "abort");
  await app.run();
});

Deno.test("run() ends when stop() is called, and rejects with what stop() rejects with", async () => {
  const app = new App();
  app.shutdown(() => {
    throw new RangeError("cannot close");
  });
  const running = app.run();
  const refused = assertRejects(() => running, RangeError, "cannot close");
  await assertRejects(() => app.stop(), RangeError);
  await refused;
});

Deno.test("run() refuses a second listener, and getCurrentRunningListener() tells the first", async () => {
  assertThrows(
    getCurrentRunningListener,
    ListenerNotFound,
    "no listener is in run(); call it while one is running",
  );
  const app = new App();
  const running = app.run();
  assertStrictEquals(getCurrentRunningListener(), app);
  await assertRejects(
    () => new App().run(),
    DuplicateListener,
    "another one is already in run(); use start() and stop() for the second one",
  );
  await app.stop();
  await running;
  assertThrows(getCurrentRunningListener, ListenerNotFound);
});

/** A program with `app`, a listener that says when it listens. */
function program(body: string): string {
  return `
    import { Listener } from ${JSON.stringify(import.meta.resolve("../../listener.ts"))};
    const finished = Promise.withResolvers();
    const alive = setInterval(() => {}, 1e6);
    class App extends Listener {
      listen() {
        console.log("listening");
        return { finished: finished.promise, close: () => finished.resolve() };
      }
    }
    const app = new App();
    app.shutdown(() => { clearInterval(alive); console.log("shutdown"); });
    ${body}
    await app.run();
    console.log("end");
  `;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`run() stops in order at ${signal}`, RUN, async () => {
    await using child = new Program("eval", program(""));
    assertEquals(await child.nextLine(), "listening");
    child.signal(signal);
    assertEquals(await child.end(), { code: 0, stdout: "shutdown\nend\n", stderr: "" });
  });
}

test("run() leaves signals to the program when it is over", RUN, async () => {
  const body = `
    finished.resolve();
    await app.run();
    console.log("over");
    await new Promise(() => setInterval(() => {}, 1e6));
  `;
  await using child = new Program("eval", program(body));
  for (const line of ["listening", "shutdown", "over"]) assertEquals(await child.nextLine(), line);
  child.signal("SIGINT");
  assertEquals((await child.end()).code, 128 + 2);
});

test("run() ends the process at once at a second signal", RUN, async () => {
  const body = `
    app.onEvent("stuck", () => new Promise(() => {}));
    app.startup(() => { app.triggerEvent("stuck"); });
    Deno.addSignalListener("SIGINT", () => console.log("signal"));
  `;
  await using child = new Program("eval", program(body));
  assertEquals(await child.nextLine(), "listening");
  child.signal("SIGINT");
  assertEquals(await child.nextLine(), "signal");
  child.signal("SIGTERM");
  assertEquals(await child.end(), { code: 128 + 15, stdout: "", stderr: "" });
});

test("run() works in Node.js, signals included", {
  permissions: ["run", "write"],
  commands: [["node", "--version"]],
}, async () => {
  const bundle = await Deno.makeTempFile({ suffix: ".mjs" });
  try {
    const program = `${bundle}.in.ts`;
    await Deno.writeTextFile(
      program,
      `
      import { Listener } from ${JSON.stringify(import.meta.resolve("../../listener.ts"))};
      class App extends Listener {
        listen() { process.kill(process.pid, "SIGTERM"); return { finished: new Promise(() => {}) }; }
      }
      declare const process: { kill(pid: number, signal: string): void; pid: number };
      const app = new App({ shutdownGrace: 0 });
      app.onEvent("fail", () => { throw new Error("no"); });
      app.triggerEvent("fail");
      app.shutdown(() => console.log("shutdown"));
      const alive = setInterval(() => {}, 1e6);
      await app.run();
      clearInterval(alive);
    `,
    );
    const bundled = await run("bundle", "--config", "deno.json", "-o", bundle, program);
    assertEquals(bundled.code, 0, bundled.stderr);
    const { code, stdout, stderr } = await new Deno.Command("node", { args: [bundle] }).output();
    assertStringIncludes(
      new TextDecoder().decode(stderr),
      'Cannot finish event "fail" ("fail"): Error: no',
    );
    assertEquals([code, new TextDecoder().decode(stdout)], [0, "shutdown\n"]);
  } finally {
    await Deno.remove(bundle);
    await Deno.remove(`${bundle}.in.ts`).catch(() => {});
  }
});
