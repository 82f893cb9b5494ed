// The operations that Deno.Conn is built on.
//
// `read()` keeps each read under way in a Set of the connection. V8 replaces the table of a Set when its last
// element is removed, and the old table refers to the new one. Tables that are present during a full garbage
// collection are promoted to the old generation, which only full collections clear. Until the next one, they
// keep alive all the tables that follow, one for each read: 20 MiB under load. In addition, both methods are
// async functions around their operations, which costs a little time and garbage.
//
// Nothing guarantees that the operations stay where they are. If they are not found, the methods are called.

interface Operations {
  /** Resolves to the number of bytes read, 0 at the end of the stream. */
  read(rid: number, buffer: Uint8Array): Promise<number>;
  /** Resolves to the number of bytes written. */
  write(rid: number, bytes: Uint8Array): Promise<number>;
  /** Lets an operation under way keep the process alive. */
  refOpPromise(operation: Promise<unknown>): void;
  /** Stops an operation under way from keeping the process alive. */
  unrefOpPromise(operation: Promise<unknown>): void;
  /** The symbol of the property with the number of an operation, which it has unless it ended at once. */
  promiseIdSymbol: symbol;
  /** Whether an object is a Proxy. */
  isProxy(object: object): boolean;
}

/** What `AsyncLocalStorage` keeps its values in: the context of the code that is running. */
interface AsyncContexts {
  getAsyncContext(): unknown;
  setAsyncContext(context: unknown): void;
}

const namespace = Deno as unknown as
  & { internal?: symbol }
  & Record<symbol, { core?: Partial<Operations & AsyncContexts> } | undefined>;
const core = namespace[namespace.internal ?? Symbol()]?.core;

/** The operations; null where Deno has changed them. */
export const operations: Operations | null =
  [core?.read, core?.write, core?.refOpPromise, core?.unrefOpPromise].every((it) =>
      typeof it === "function"
    ) && typeof core?.promiseIdSymbol === "symbol"
    ? core as Operations
    : null;

/** Access to the async context; null where Deno has changed it. A change costs 6 ns, a snapshot of Node.js 500. */
export const asyncContexts: AsyncContexts | null =
  [core?.getAsyncContext, core?.setAsyncContext].every((it) => typeof it === "function")
    ? core as AsyncContexts
    : null;

/** Whether `object` is a Proxy; null if Deno does not provide the test. */
export const isProxy: ((object: object) => boolean) | null = typeof core?.isProxy === "function"
  ? core.isProxy
  : null;

/** Whether an operation has ended at once: the event loop has not polled since it began. */
export function hasEnded(operation: Promise<unknown>): boolean {
  return !(operations!.promiseIdSymbol in operation);
}

/** The symbol of the property with a connection's resource ID. */
let ridSymbol: symbol | undefined;

/** The resource ID of a connection, for operations; -1 if the connection is not one of Deno's. */
export function ridOf(conn: Deno.Conn): number {
  if (operations === null) return -1;
  ridSymbol ??= Object.getOwnPropertySymbols(conn).find(({ description }) =>
    description === "Deno.internal.rid"
  );
  if (ridSymbol === undefined) return -1;
  const rid = (conn as unknown as Record<symbol, unknown>)[ridSymbol];
  return typeof rid === "number" ? rid : -1;
}
