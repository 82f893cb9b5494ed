// Dependencies: what handlers share within a context, made when the first one asks for it.

import type { AnyEvent } from "./dispatcher.ts";
import { checkTimeout, wait } from "./time_limit.ts";

/** Options of {@linkcode depends}. */
export interface DependsOptions {
  /** Whether it is made once in a context, `true` if not given, or at each use. */
  useCache?: boolean;
  /** Milliseconds the making may take; without it, as long as it takes. */
  timeout?: number;
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
 * is not kept, so the next use tries again. It may use other dependencies.
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
 * @throws {RangeError} `timeout` is not a number of milliseconds.
 */
export function depends<T, E extends AnyEvent = AnyEvent>(
  make: (event: E) => T | PromiseLike<T>,
  options: DependsOptions = {},
): Dependency<Awaited<T>, E> {
  return new Dependency(make, options) as unknown as Dependency<Awaited<T>, E>;
}

/** What `dependency` is for `event`: see `Event.use()`. */
export function resolveDependency<T, E extends AnyEvent>(
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  if (!dependency.useCache) return makeInTime(event, dependency);
  const { cache } = event.ctx;
  const cached = cache.get(dependency) as Promise<T> | undefined;
  if (cached !== undefined) return cached;
  const made = makeInTime(event, dependency);
  cache.set(dependency, made);
  made.catch(() => {
    if (cache.get(dependency) === made) cache.delete(dependency);
  });
  return made;
}

async function makeInTime<T, E extends AnyEvent>(
  event: E,
  dependency: Dependency<T, E>,
): Promise<T> {
  const { make, timeout } = dependency;
  if (timeout === undefined) return await make(event);
  const name = make.name && ` "${make.name}"`;
  const describe = (): string => `Cannot use dependency${name}: not made`;
  return await wait<T>({ timeout, describe }, ({ resolve, reject }) => {
    Promise.resolve(make(event)).then(resolve, reject);
    return () => {};
  });
}
