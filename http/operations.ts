// The operations that Deno.Conn is made of.
//
// `read()` keeps each read that is under way in a Set of the connection. V8 makes the table of a Set anew when
// the last element is taken out, and the old table holds on to the new one. The tables that a full collection
// of garbage meets become old ones, which are looked at in full collections alone, and hold on to all that
// follow, one for each read, until the next of them: 20 MiB under load. Both methods are async functions around
// their operations, which take a little more time, and garbage.
//
// Nothing promises that the operations stay where they are. Where they are not, the methods are called.

interface Operations {
  /** Resolves to how many bytes were read, 0 at the end of the stream. */
  read(rid: number, buffer: Uint8Array): Promise<number>;
  /** Resolves to how many bytes were written. */
  write(rid: number, bytes: Uint8Array): Promise<number>;
  /** An operation under way keeps the process alive. */
  refOpPromise(operation: Promise<unknown>): void;
  /** It does not. */
  unrefOpPromise(operation: Promise<unknown>): void;
  /** Under what symbol an operation has its number that did not end at once. */
  promiseIdSymbol: symbol;
  /** Whether an object is a Proxy. */
  isProxy(object: object): boolean;
}

const namespace = Deno as unknown as
  & { internal?: symbol }
  & Record<symbol, { core?: Partial<Operations> } | undefined>;
const core = namespace[namespace.internal ?? Symbol()]?.core;

/** The operations; null where Deno has changed them. */
export const operations: Operations | null =
  [core?.read, core?.write, core?.refOpPromise, core?.unrefOpPromise].every((it) =>
      typeof it === "function"
    ) && typeof core?.promiseIdSymbol === "symbol"
    ? core as Operations
    : null;

/** Whether `object` is a Proxy; null where Deno does not tell. */
export const isProxy: ((object: object) => boolean) | null = typeof core?.isProxy === "function"
  ? core.isProxy
  : null;

/** Whether an operation has ended at once: nothing else was looked at since it began. */
export function hasEnded(operation: Promise<unknown>): boolean {
  return !(operations!.promiseIdSymbol in operation);
}

/** Under what symbol a connection has its number. */
let ridSymbol: symbol | undefined;

/** The number that operations know a connection by; -1 where it is none of Deno's. */
export function ridOf(conn: Deno.Conn): number {
  if (operations === null) return -1;
  ridSymbol ??= Object.getOwnPropertySymbols(conn).find(({ description }) =>
    description === "Deno.internal.rid"
  );
  if (ridSymbol === undefined) return -1;
  const rid = (conn as unknown as Record<symbol, unknown>)[ridSymbol];
  return typeof rid === "number" ? rid : -1;
}
