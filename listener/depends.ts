// Dependencies: what handlers share within a context, made when the first one asks for it.

import type { Context } from "./context.ts";
import type { AnyEvent } from "./dispatcher.ts";
import { checkFunction, contextDropped, describe } from "./errors.ts";
import type { Event } from "./event.ts";
import { checkTimeout, handled, wait } from "./time_limit.ts";

/** Options of {@linkcode depends}. */
export interface DependsOptions {
  /** Whether it is made once in a context, `true` if not given, or at each use. */
  useCache?: boolean | undefined;
  /** Milliseconds the making may take; without it, as long as it takes. */
  timeout?: number | undefined;
}

/** What {@linkcode depends} makes, for {@linkcode Event.use}. */
export class Dependency<T, E extends AnyEvent = AnyEvent> {
  /** @ignore */
  readonly make: (event: E) => T | PromiseLike<T>;
  /** Whether it is made once in a context. */
  readonly useCache: boolean;
  /** Milliseconds the making may take. */
  readonly timeout: number | undefined;

  /** @ignore Made by `depends()`. */
  constructor(make: (event: E) => T | PromiseLike<T>, options: DependsOptions) {
    this.make = make;
    this.useCache = options.useCache ?? true;
    this.timeout = checkTimeout(options.timeout);
  }
}

/**
 * Declares something that handlers need, and how to make it. It is made when an event uses it,
 * by default once per context: uses at the same time share one run, later ones its value. A failure
 * is not kept, so the next use tries again; so do events that shared a run which failed as the event it was
 * for was aborted.
 *
 * It may use other dependencies, but not itself, also not through others: such a use rejects with a `TypeError`.
 * After the first `await` of a function nobody can tell who uses what, and two that wait for each other do so
 * for ever, or until a `timeout` is over.
 *
 * ```ts
 * import { depends, Listener } from "@tiny/listener/listener";
 * import { assertEquals } from "@std/assert";
 *
 * const getUser = depends((event) => ({ name: event.ctx.cid }));
 *
 * const app = new Listener();
 * app.onEvent("greet", async (event) => `Hello, ${(await event.use(getUser)).name}!`);
 * assertEquals(await app.newCtx({ cid: "bob" }).triggerEvent("greet"), "Hello, bob!");
 * ```
 *
 * @throws {TypeError} `make` is no function.
 * @throws {RangeError} `timeout` is not a number of milliseconds.
 */
export function depends<T, E extends AnyEvent = Event>(
  make: (event: E) => T | PromiseLike<T>,
  options: DependsOptions = {},
): Dependency<Awaited<T>, E> {
  checkFunction(make, "Cannot make a dependency: what makes it");
  return new Dependency(make, options) as unknown as Dependency<Awaited<T>, E>;
}

/** A dependency whose function is on the stack, and the one that uses it, if one does. */
interface Making {
  readonly event: AnyEvent;
  readonly dependency: Dependency<unknown, AnyEvent>;
  readonly usedBy: Making | null;
}

/** The innermost one. */
let making: Making | null = null;

/** What `dependency` is for `event`: see `Event.use()`. */
export function resolveDependency<T, E extends AnyEvent>(
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  if (!(dependency instanceof Dependency)) {
    return rejected(
      new TypeError("Cannot use the dependency: it must be one that depends(fn) has made"),
    );
  }
  // Another event is that of a handler which the dependency has triggered.
  const usedBy = making?.event === event ? making : null;
  const self = { event, dependency, usedBy } as unknown as Making;
  const cycle = cycleOf(self);
  if (cycle !== null) {
    return rejected(new TypeError(`${cannotUse(self)}: it uses itself (${cycle.join(" -> ")})`));
  }
  const ctx: Context = event.ctx;
  const cached = dependency.useCache ? ctx.cache.get(dependency) : undefined;
  if (cached !== undefined) return share(cached as Promise<T>, event, dependency);
  if (!ctx.isAlive) return rejected(contextDropped(ctx.cid));
  if (!dependency.useCache) return make(self) as Promise<T>;
  const { cache } = ctx;
  // It is there before it is made: an event that is triggered meanwhile may use it.
  let resolve: (value: Promise<T>) => void;
  const made: Made<T> = new Promise<T>((it) => resolve = it);
  made.maker = event;
  cache.set(dependency, made);
  made.then(() => made.maker = undefined, () => {
    if (cache.get(dependency) === made) cache.delete(dependency);
  });
  resolve!(make(self) as Promise<T>);
  return made;
}

/** What is in the cache: as long as it is under way, with the event whose function makes it. */
interface Made<T> extends Promise<T> {
  maker?: AnyEvent | undefined;
}

/** What another event has made or begun to make; where that was aborted meanwhile, `event` has it made again. */
function share<T, E extends AnyEvent>(
  made: Made<T>,
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  const { maker } = made;
  if (maker === undefined || maker === event) return made;
  return handled(made.catch((error) => {
    if (!maker.signal.aborted || event.signal.aborted) throw error;
    return resolveDependency(event, dependency);
  }));
}

/** The names from `self`, where it is on its way to be made already, back to it. */
function cycleOf(self: Making): string[] | null {
  const chain = [self];
  for (let user = self.usedBy; user !== null; user = user.usedBy) {
    chain.push(user);
    if (user.dependency === self.dependency) {
      return chain.reverse().map(({ dependency }) => dependency.make.name || "unnamed");
    }
  }
  return null;
}

function rejected(error: Error): Promise<never> {
  return handled(Promise.reject(error));
}

function cannotUse({ event, dependency }: Making): string {
  const { name } = dependency.make;
  return `Cannot use dependency${name && ` "${name}"`} for ${describe(event)}`;
}

function make(self: Making): Promise<unknown> {
  const { timeout } = self.dependency;
  const made = handled(callMake(self));
  if (timeout === undefined) return made;
  const describe = (): string => `${cannotUse(self)}: not made`;
  return wait<unknown>({ timeout, describe }, ({ resolve, reject }) => {
    made.then(resolve, reject);
    return () => {};
  });
}

async function callMake(self: Making): Promise<unknown> {
  const outer = making;
  making = self;
  let made: unknown;
  try {
    made = self.dependency.make(self.event);
  } finally {
    making = outer;
  }
  return await made;
}
