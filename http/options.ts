// The options of the server and the limits that they set; the only place for these numbers. Sizes are in
// bytes, times in milliseconds; 0 turns a limit off where its range begins with 0.

import { type Route, RouteError, type RouteOptions } from "../listener.ts";
import { type AccessLogChoice, lineFormat } from "./access_log.ts";
import { TrustedProxies } from "./client_addr.ts";
import type { ErrorLogEntry } from "./error_log.ts";
import { shown } from "./shown.ts";

/** Where the server listens, and what it accepts from clients. Sizes are in bytes, times in milliseconds. */
export interface ServerOptions {
  /** The port; 8000 by default, 0 for a free one. */
  port?: number | undefined;
  /** The address or host name to listen on; `127.0.0.1` by default. */
  hostname?: string | undefined;
  /**
   * The path of a Unix socket to listen on, in place of `hostname` and `port`. An existing socket that
   * nothing listens on, for example one of a program that was killed, is replaced. {@linkcode serve} does not
   * replace it, as `Deno.serve` does not.
   */
  path?: string | undefined;
  /** The server's certificate chain in PEM format. With `key`, it makes the server use TLS. */
  cert?: string | undefined;
  /** The private key of the certificate in PEM format. */
  key?: string | undefined;
  /** Lets several processes listen on the same port; Deno requires `--unstable-net` for it. */
  reusePort?: boolean | undefined;
  /**
   * The number of processes that share the port, started and supervised by `run()`; 1 by default, which is
   * this process. More than one requires `--allow-run`.
   */
  workers?: number | undefined;
  /** The maximum number of connections that wait to be accepted; 511 by default. */
  backlog?: number | undefined;
  /**
   * The access log: `"default"`, Apache's `"combined"`, `"json"`, a function that returns the line, or
   * `false` for no log. The default is `"default"`.
   */
  accessLog?: AccessLogChoice | undefined;
  /**
   * A function that receives everything that the server reports, except the access log: failures, refused
   * clients, and the address that it listens on. By default, failures are written to standard error, with the
   * error and its stack, and all other reports to standard output. If `accessLog` is `false`, reports about
   * clients and the address are omitted.
   */
  errorLog?: ((entry: ErrorLogEntry) => void) | undefined;
  /**
   * The maximum size of a request's head in bytes; 16 KiB by default. A larger head is answered with 431
   * (RFC 6585 5). Trailers share this limit.
   */
  maxHeadSize?: number | undefined;
  /**
   * The maximum size of a request target in bytes; 8 KiB by default. A larger one is answered with 414
   * (RFC 9110 15.5.15).
   */
  maxTargetSize?: number | undefined;
  /**
   * The maximum number of header fields in a request; 100 by default. A request with more is answered with
   * 431 (RFC 6585 5).
   */
  maxFields?: number | undefined;
  /**
   * The maximum size in bytes of a body that is read by `bytes()`, `text()`, `json()`, `formData()` and the
   * like, of a context or its `Request`; 16 MiB by default. A larger body is answered with 413
   * (RFC 9110 15.5.14). A body that is read as a stream, by `read()`, or from a copy of the `Request` is not
   * limited. A route may set its own limit, as in `onEvent("POST:/photo", { maxBodySize: 64 * 1024 * 1024 },
   * ...)`.
   */
  maxBodySize?: number | undefined;
  /**
   * The maximum time in milliseconds for a request's head, from its first byte on; 10,000 by default. A
   * slower head is answered with 408 (RFC 9110 15.5.9). Bytes that trickle in do not extend the time.
   */
  headerTimeout?: number | undefined;
  /**
   * The maximum time in milliseconds that a connection may be idle, before its first request or between two;
   * 75,000 by default. After that, it is closed. A stream whose client has closed its sending half, and so
   * may have left, is cancelled if it produces nothing for this time, or for 5 seconds if that is shorter or
   * the timeout is off.
   */
  idleTimeout?: number | undefined;
  /**
   * The maximum time in milliseconds that a handler waits for more of a body; 30,000 by default. After that,
   * the request is answered with 408. So is a request whose body arrives at less than 240 bytes per second,
   * once the server has waited for it for 5 seconds in total.
   */
  bodyTimeout?: number | undefined;
  /**
   * The maximum time in milliseconds that bytes may wait to be sent without progress; 30,000 by default.
   * After that, the connection is dropped.
   */
  writeTimeout?: number | undefined;
  /**
   * The maximum time in milliseconds that a handler may take, with its hooks of `beforeEvent()` and
   * `afterEvent()`; off by default. After that, the request is answered with 503 (RFC 9110 15.6.4). A route may
   * set its own limit, as in `onEvent("GET:/ticks", { handlerTimeout: 0 }, ...)`. Other hooks have no limit
   * of their own: they should limit what they wait for, for example with `AbortSignal.timeout()`.
   */
  handlerTimeout?: number | undefined;
  /**
   * The maximum number of open connections; 10,000 by default. At the limit, the connection that has been
   * idle longest is closed; if none is idle, new ones wait to be accepted. A connection that was reset by its
   * client no longer counts, although its handler may still run: `handlerTimeout` limits that, and
   * `event.signal` tells the handler.
   */
  maxConnections?: number | undefined;
  /**
   * The maximum number of open connections from one address; off by default. Further ones are closed. IPv6
   * addresses with the same first 64 bits count as one, because a client can use any address in that network.
   * Clients of a Unix socket have no address, and are not counted.
   */
  maxConnectionsPerAddress?: number | undefined;
  /**
   * The maximum number of requests on one connection; off by default. The last response has
   * `Connection: close`.
   */
  maxRequestsPerConnection?: number | undefined;
  /**
   * The milliseconds that in-flight requests have to finish when the server stops; 10,000 by default. It
   * must be finite, because a client could otherwise keep the server from stopping.
   */
  shutdownGrace?: number | undefined;
  /**
   * The proxies whose `Forwarded`, `X-Forwarded-For` and `X-Forwarded-Proto` fields determine the client's
   * address and scheme: addresses, CIDR blocks, or `"unix"` for every peer on a Unix socket; none by default.
   */
  trustedProxies?: string[] | undefined;
  /**
   * Whether each connection begins with a PROXY protocol header, version 1 or 2, which gives the client's
   * address, and in version 2 also whether the client uses TLS, if the proxy says so; off by default. It cannot
   * be combined with `cert` and `key`.
   */
  proxyProtocol?: boolean | undefined;
}

/** Options with their defaults filled in. */
export type Settings =
  & {
    [K in Exclude<keyof ServerOptions, Unset>]-?: NonNullable<ServerOptions[K]>;
  }
  & Pick<ServerOptions, Unset>;
/** Options that have no default. */
const UNSET = ["path", "cert", "key", "errorLog"] as const;
type Unset = typeof UNSET[number];

const DEFAULTS: Settings = {
  port: 8000,
  hostname: "127.0.0.1",
  reusePort: false,
  workers: 1,
  backlog: 511,
  accessLog: "default",
  maxHeadSize: 16 * 1024,
  maxTargetSize: 8 * 1024,
  maxFields: 100,
  maxBodySize: 16 * 1024 * 1024,
  headerTimeout: 10_000,
  idleTimeout: 75_000,
  bodyTimeout: 30_000,
  writeTimeout: 30_000,
  handlerTimeout: 0,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 0,
  maxRequestsPerConnection: 0,
  shutdownGrace: 10_000,
  trustedProxies: [],
  proxyProtocol: false,
};

/** A body slower than this, in bytes per second, is treated as an attack ... */
export const LEAST_BODY_RATE = 240;
/** ... once the server has waited for it for this many milliseconds in total. */
export const BODY_RATE_AFTER = 5_000;

const NAMES = [...Object.keys(DEFAULTS), ...UNSET] as (keyof ServerOptions)[];

/** What other servers and frameworks call these options. */
const OTHER_NAMES: Record<string, keyof ServerOptions> = {
  host: "hostname",
  timeout: "handlerTimeout",
  bodyLimit: "maxBodySize",
  maxHeaderSize: "maxHeadSize",
};

/**
 * The option among `names` that `name` is or was meant to be. An application may have options of its own, so
 * only a long name counts as a typo.
 */
function meantBy<N extends keyof ServerOptions>(name: string, names: readonly N[]): N | undefined {
  const other = Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : name;
  const letters = other.replaceAll(/[-_]/g, "").toLowerCase();
  return names.find((it) => it === other) ??
    names.find((it) => it.length >= LONG_NAME && isTypo(letters, it.toLowerCase()));
}
const LONG_NAME = 8;

/** Whether `a` is `b`, or differs in one letter, or in the order of two. */
function isTypo(a: string, b: string): boolean {
  const shorter = Math.min(a.length, b.length);
  let start = 0, end = 0;
  while (start < shorter && a[start] === b[start]) start++;
  while (end < shorter - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const inA = a.slice(start, a.length - end), inB = b.slice(start, b.length - end);
  if (Math.max(inA.length, inB.length) <= 1) return true;
  return inA.length === 2 && inA === [...inB].reverse().join("");
}

const MILLISECONDS = [0, 0x7fffffff, " milliseconds"] as const;
const BYTES = [0, Number.MAX_SAFE_INTEGER, " bytes"] as const;
const COUNT = [0, 0x7fffffff, ""] as const;

/** The lowest and highest value of each numeric option, and its unit. */
const RANGES: { [K in keyof Settings]?: readonly [lowest: number, highest: number, unit: string] } =
  {
    port: [0, 0xffff, ""],
    workers: [1, 1024, ""],
    backlog: [1, 0x7fffffff, ""],
    maxHeadSize: [64, 0x7fffffff, " bytes"],
    maxTargetSize: BYTES,
    maxFields: COUNT,
    maxBodySize: BYTES,
    headerTimeout: MILLISECONDS,
    idleTimeout: MILLISECONDS,
    bodyTimeout: MILLISECONDS,
    writeTimeout: MILLISECONDS,
    handlerTimeout: MILLISECONDS,
    maxConnections: COUNT,
    maxConnectionsPerAddress: COUNT,
    maxRequestsPerConnection: COUNT,
    shutdownGrace: MILLISECONDS,
  };

/** Options that are text, and options that are booleans. */
const TEXTS = ["hostname", "path", "cert", "key"] as const;
const SWITCHES = ["reusePort", "proxyProtocol"] as const;

/**
 * The options that are set, including inherited ones and the getters of a class.
 *
 * @throws {TypeError} They are not an object.
 */
export function givenOptions(options: ServerOptions): Partial<Settings> {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot set the options to ${shown(options)}: must be an object, as in { port: 8000 }`,
    );
  }
  const given = NAMES.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/**
 * Fills in the options that are missing, from the defaults or from the previous settings.
 *
 * @throws {RangeError} The value of an option is invalid.
 * @throws {TypeError} `cert` was given without `key` or vice versa, or both were given with `proxyProtocol`;
 * the options are not an object; or the name of one is written in another way.
 */
export function resolveOptions(options: ServerOptions, standard: Settings = DEFAULTS): Settings {
  const given = givenOptions(options);
  // Not in serve(): Deno.serve ignores options that it does not know.
  for (const name in options) {
    const meant = meantBy(name, NAMES);
    if (meant === undefined || name === meant) continue;
    throw new TypeError(`Cannot set ${name}: it is not an option; use ${meant}`);
  }
  const settings: Settings = { ...standard, ...given };
  // A TCP address replaces the Unix socket that was set before.
  if (given.path === undefined && (given.hostname ?? given.port) !== undefined) {
    delete settings.path;
  }
  for (const name of Object.keys(RANGES) as (keyof Settings)[]) {
    checkNumber(name, settings[name], `Cannot set ${name}`);
  }
  // Deno accepts some other values, but misreads them: the host null means all addresses of this machine, and
  // the path "" an arbitrary one.
  for (const name of TEXTS) {
    const value: unknown = settings[name];
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      throw new RangeError(`Cannot set ${name} to ${shown(value)}: must be a non-empty string`);
    }
  }
  for (const name of SWITCHES) {
    if (typeof settings[name] !== "boolean") {
      throw new RangeError(`Cannot set ${name} to ${shown(settings[name])}: must be true or false`);
    }
  }
  const { accessLog, errorLog, trustedProxies } = settings;
  if (errorLog !== undefined && typeof errorLog !== "function") {
    throw new RangeError(`Cannot set errorLog to ${shown(errorLog)}: must be a function`);
  }
  if (!Array.isArray(trustedProxies)) {
    throw new RangeError(`Cannot set trustedProxies to ${shown(trustedProxies)}: must be an array`);
  }
  // A server makes its own of these when it starts; this reports invalid values early.
  new TrustedProxies(trustedProxies);
  lineFormat(accessLog);
  if ((settings.cert === undefined) !== (settings.key === undefined)) {
    throw new TypeError(
      "Cannot use TLS with only one of cert and key: both are required, in PEM format",
    );
  }
  // Load balancers send the header before the TLS handshake, and Deno expects the handshake first.
  if (settings.proxyProtocol && settings.cert !== undefined) {
    throw new TypeError(
      "Cannot use TLS with proxyProtocol: the PROXY header precedes TLS; terminate TLS in the load balancer",
    );
  }
  return settings;
}

/** @throws {RangeError} `value` is not a number that the option `name` accepts. */
function checkNumber(name: keyof Settings, value: unknown, action: string): void {
  const [lowest, highest, unit] = RANGES[name]!;
  if (Number.isInteger(value) && Number(value) >= lowest && Number(value) <= highest) return;
  const hint = typeof value === "string" ? "; convert it with Number(...)" : "";
  throw new RangeError(
    `${action} to ${shown(value)}: must be an integer from ${lowest} to ${highest}${unit}${hint}`,
  );
}

/** The limits that a route may set for itself. */
const ROUTE_LIMITS = ["handlerTimeout", "maxBodySize"] as const;
type RouteLimit = typeof ROUTE_LIMITS[number];
/** Limits that a route might be expected to set as well, but which would have no effect there. */
const SERVER_LIMITS: readonly (keyof Settings)[] = [
  "maxHeadSize",
  "maxTargetSize",
  "maxFields",
  "headerTimeout",
  "idleTimeout",
  "bodyTimeout",
  "writeTimeout",
  "shutdownGrace",
];
const LIMITS: readonly (keyof Settings)[] = [...ROUTE_LIMITS, ...SERVER_LIMITS];

/**
 * Checks the options of a route.
 *
 * @throws {RangeError} The value of a limit is invalid.
 * @throws {RouteError} A limit can only be set for the whole server, or its name is written in another way.
 */
export function checkRouteOptions(pattern: string, options: RouteOptions): void {
  const action = `Cannot add route "${pattern}"`;
  for (const name in options) {
    const value = options[name];
    const limit = meantBy(name, LIMITS);
    if (limit === undefined || value === undefined) continue;
    if (!ROUTE_LIMITS.includes(limit as RouteLimit)) {
      throw new RouteError(
        `${action}: ${limit} is a server-wide option; ` +
          `a route can only set ${ROUTE_LIMITS.join(" and ")}`,
      );
    }
    if (name !== limit) throw new RouteError(`${action}: ${name} is not an option; use ${limit}`);
    checkNumber(limit, value, `${action}: ${name} is set`);
  }
}

// The limits that apply to a route: its own, or else the server's. One function for both would have to look up
// a varying name for each request.

export function handlerTimeoutOf(route: Route, settings: Settings): number {
  return route.options.handlerTimeout as number | undefined ?? settings.handlerTimeout;
}

export function maxBodySizeOf(route: Route | null, settings: Settings): number {
  return route?.options.maxBodySize as number | undefined ?? settings.maxBodySize;
}
