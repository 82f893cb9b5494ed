// Dependencies: values that handlers share within a context, made on first use.

import type { Context } from "./context.ts";
import type { AnyEvent } from "./dispatcher.ts";
import { checkFunction, checkOptions, contextDropped, describe } from "./errors.ts";
import type { Event } from "./event.ts";
import { checkTimeout, handled, wait } from "./time_limit.ts";

/** Options of {@linkcode depends}. */
export interface DependsOptions {
  /** Whether the value is made once per context (`true`, the default) or at each use. */
  useCache?: boolean | undefined;
  /** The maximum time in milliseconds to make the value; unlimited by default. */
  timeout?: number | undefined;
}

/** What {@linkcode depends} returns, to be passed to {@linkcode Event.use}. */
export class Dependency<T, E extends AnyEvent = AnyEvent> {
  /** @ignore */
  readonly make: (event: E) => T | PromiseLike<T>;
  /** Whether the value is made once per context. */
  readonly useCache: boolean;
  /** The maximum time in milliseconds to make the value. */
  readonly timeout: number | undefined;

  /** @ignore Made by `depends()`. */
  constructor(make: (event: E) => T | PromiseLike<T>, options: DependsOptions) {
    this.make = make;
    this.useCache = options.useCache ?? true;
    this.timeout = checkTimeout(options.timeout);
  }
}

/**
 * Declares a dependency: a value that handlers need, and the function that makes it. The value is made when
 * an event uses it, by default once per context: concurrent uses share one run, and later uses get its value.
 * A failure is not cached, so the next use tries again. If a shared run fails after the event that started it
 * was aborted, the other events that use it try again too.
 *
 * Messages call a dependency by the name of its function, if that has one: `depends(function user() { ... })`.
 *
 * A dependency may use other dependencies, but not itself, directly or through others: such a use rejects
 * with a `TypeError`. This is detected only up to the first `await` of the functions. After that, two
 * dependencies that wait for each other wait forever, or until a `timeout` expires.
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
 * @throws {TypeError} `make` is not a function.
 * @throws {RangeError} `timeout` is not a valid number of milliseconds.
 */
export function depends<T, E extends AnyEvent = Event>(
  make: (event: E) => T | PromiseLike<T>,
  options: DependsOptions = {},
): Dependency<Awaited<T>, E> {
  checkFunction(make, "Cannot create a dependency: the argument");
  checkOptions(options, "Cannot create a dependency");
  return new Dependency(make, options) as unknown as Dependency<Awaited<T>, E>;
}

/** A dependency whose function is on the stack, and the dependency that uses it, if any. */
interface Making {
  readonly event: AnyEvent;
  readonly dependency: Dependency<unknown, AnyEvent>;
  readonly usedBy: Making | null;
}

/** The innermost dependency on the stack. */
let making: Making | null = null;

/** Resolves `dependency` for `event`: see `Event.use()`. */
export function resolveDependency<T, E extends AnyEvent>(
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  if (!(dependency instanceof Dependency)) {
    return rejected(
      new TypeError("Cannot use the dependency: it must be created with depends(fn)"),
    );
  }
  // If `making` is of another event, that event's dependency triggered the handler of this one.
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
  // Cached before it is made: an event triggered in the meantime may use it.
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

/** An entry of the cache; `maker` is the event that makes it, while that is in progress. */
interface Made<T> extends Promise<T> {
  maker?: AnyEvent | undefined;
}

/**
 * Shares what another event has made or is making. If that fails after the other event was aborted, `event`
 * has it made again.
 */
function share<T, E extends AnyEvent>(
  made: Made<T>,
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  const { maker } = made;
  if (maker === undefined) return made;
  return handled(made.catch((error) => {
    if (!maker.signal.aborted || event.signal.aborted) throw error;
    return resolveDependency(event, dependency);
  }));
}

/** The names on the cycle that ends at `self`, if its dependency is already being made; else null. */
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
  const describe = (): string => `${cannotUse(self)}: not ready`;
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
