// Options of the server and the limits they stand for.
// The only place for these numbers. Sizes in bytes, times in milliseconds; 0 switches a limit off.

import { type Route, RouteError, type RouteOptions } from "../listener.ts";
import { type AccessLogChoice, lineFormat } from "./access_log.ts";
import { TrustedProxies } from "./client_addr.ts";
import { shown } from "./shown.ts";

/** Where the server listens, and what it takes from its clients. Sizes in bytes, times in milliseconds. */
export interface ServerOptions {
  /** The port; 8000 if not given, 0 for a free one. */
  port?: number | undefined;
  /** The address or host name to listen on; `127.0.0.1` if not given. */
  hostname?: string | undefined;
  /**
   * The path of a Unix socket to listen on, in place of `hostname` and `port`. One that is there already and has
   * nobody who listens, as of a program that was killed, is replaced; not so by {@linkcode serve}, as `Deno.serve`.
   */
  path?: string | undefined;
  /** The server's certificate chain in PEM; with `key` it makes the server speak TLS. */
  cert?: string | undefined;
  /** The key of the certificate in PEM. */
  key?: string | undefined;
  /** Lets several processes listen on one port; Deno wants `--unstable-net` for it. */
  reusePort?: boolean | undefined;
  /**
   * Processes that share the port, started and watched over by `run()`; 1 if not given, this one. More of
   * them want `--allow-run`.
   */
  workers?: number | undefined;
  /** Connections that wait to be accepted at most; 511 if not given. */
  backlog?: number | undefined;
  /**
   * The access log: `"default"`, Apache's `"combined"`, `"json"`, a function that makes the line, or
   * `false` for none; `"default"` if not given.
   */
  accessLog?: AccessLogChoice | undefined;
  /** Bytes of a request's head at most, 16 KiB if not given: 431 (RFC 6585 5). Trailers share it. */
  maxHeadSize?: number | undefined;
  /** Bytes of a request's target at most, 8 KiB if not given: 414 (RFC 9110 15.5.15). */
  maxTargetSize?: number | undefined;
  /** Fields of a request's head at most, 100 if not given: 431 (RFC 6585 5). */
  maxFields?: number | undefined;
  /**
   * Bytes of a body at most for `bytes()`, `text()`, `json()`, `formData()` and the like, of a context or its web
   * `Request`, 16 MiB if not given: 413 (RFC 9110 15.5.14). A body that is read as a stream, by `read()`, or of a
   * copy of the `Request`, has no limit. A route may have its own, as in
   * `onEvent("POST:/photo", { maxBodySize: 64 * 1024 * 1024 }, ...)`.
   */
  maxBodySize?: number | undefined;
  /**
   * Milliseconds for a request's head, from its first byte on, 10,000 if not given: 408 (RFC 9110
   * 15.5.9). Bytes that dribble in do not renew it.
   */
  headerTimeout?: number | undefined;
  /**
   * Milliseconds before a connection's first request and between two, 75,000 if not given: it is closed. A stream
   * that gives nothing for so long, or for 5 seconds if that is longer or off, to a client that sends no more, and
   * so may have left, is cancelled.
   */
  idleTimeout?: number | undefined;
  /**
   * Milliseconds without a byte while the handler wants one, 30,000 if not given: 408. A body that comes
   * with fewer than 240 bytes a second, once it was waited for 5 seconds in all, gets it too.
   */
  bodyTimeout?: number | undefined;
  /** Milliseconds without progress while bytes wait to be sent, 30,000 if not given: it is cut. */
  writeTimeout?: number | undefined;
  /**
   * Milliseconds that a handler may take; off if not given: 503 (RFC 9110 15.6.4). A route may have its own, as in
   * `onEvent("GET:/ticks", { handlerTimeout: 0 }, ...)`.
   */
  handlerTimeout?: number | undefined;
  /**
   * Connections open at a time, 10,000 if not given. Over it the one that is idle longest is closed; where
   * none is, new ones wait to be accepted. One that its client has reset is not open, though its handler may go on:
   * `handlerTimeout` ends that, and `event.signal` tells it.
   */
  maxConnections?: number | undefined;
  /**
   * Connections open at a time from one address; off if not given: one more is closed. Clients of a Unix socket
   * have no address, and are not counted.
   */
  maxConnectionsPerAddress?: number | undefined;
  /** Requests on one connection; off if not given: the last answer says `Connection: close`. */
  maxRequestsPerConnection?: number | undefined;
  /** Milliseconds that exchanges under way have to finish when the server stops; 10,000 if not given. */
  shutdownGrace?: number | undefined;
  /**
   * Addresses and CIDR blocks of proxies, or `"unix"`, whose `Forwarded`, `X-Forwarded-For` and
   * `X-Forwarded-Proto` fields tell the client's address and scheme; none if not given.
   */
  trustedProxies?: string[] | undefined;
  /**
   * Each connection begins with a PROXY protocol header, version 1 or 2, that tells the client's address; not with
   * `cert` and `key`.
   */
  proxyProtocol?: boolean | undefined;
}

/** Options with their defaults filled in. */
export type Settings =
  & {
    [K in Exclude<keyof ServerOptions, "path" | "cert" | "key">]-?: NonNullable<ServerOptions[K]>;
  }
  & Pick<ServerOptions, "path" | "cert" | "key">;

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

/** A body slower than this, in bytes a second, is taken for an attack ... */
export const LEAST_BODY_RATE = 240;
/** ... once it was waited for so many milliseconds in all. */
export const BODY_RATE_AFTER = 5_000;

const NAMES = [...Object.keys(DEFAULTS), "path", "cert", "key"] as (keyof ServerOptions)[];

const MILLISECONDS = [0, 0x7fffffff, " milliseconds"] as const;
const BYTES = [0, Number.MAX_SAFE_INTEGER, " bytes"] as const;
const COUNT = [0, 0x7fffffff, ""] as const;

/** Lowest and highest value of each number among the options, and its unit. */
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

/** Options that are text, and those that are switched on or off. */
const TEXTS = ["hostname", "path", "cert", "key"] as const;
const SWITCHES = ["reusePort", "proxyProtocol"] as const;

/** The options that are given, those too that are inherited or are getters of a class. */
export function givenOptions(options: ServerOptions): Partial<Settings> {
  const given = NAMES.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/**
 * Fills in what is not given: the defaults, or the settings there were before.
 *
 * @throws {RangeError} A value is not one that the option takes.
 * @throws {TypeError} `cert` was given without `key`, or the other way round, or both with `proxyProtocol`.
 */
export function resolveOptions(options: ServerOptions, standard: Settings = DEFAULTS): Settings {
  const given = givenOptions(options);
  const settings: Settings = { ...standard, ...given };
  // A TCP address takes the place of the Unix socket there was before.
  if (given.path === undefined && (given.hostname ?? given.port) !== undefined) {
    delete settings.path;
  }
  for (const name of Object.keys(RANGES) as (keyof Settings)[]) {
    checkNumber(name, settings[name], `Cannot set ${name}`);
  }
  // What Deno makes of others is not what was meant: of the host null all of this machine's, of the path "" any.
  for (const name of TEXTS) {
    const value: unknown = settings[name];
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      throw new RangeError(`Cannot set ${name} to ${shown(value)}: must be text, and not empty`);
    }
  }
  for (const name of SWITCHES) {
    if (typeof settings[name] !== "boolean") {
      throw new RangeError(`Cannot set ${name} to ${shown(settings[name])}: must be true or false`);
    }
  }
  const { accessLog, trustedProxies } = settings;
  if (!Array.isArray(trustedProxies)) {
    throw new RangeError(`Cannot set trustedProxies to ${shown(trustedProxies)}: must be an array`);
  }
  // A server makes its own of these when it starts; what they do not take is a mistake here.
  new TrustedProxies(trustedProxies);
  lineFormat(accessLog);
  if ((settings.cert === undefined) !== (settings.key === undefined)) {
    throw new TypeError("Cannot speak TLS with only one of cert and key: both are needed, in PEM");
  }
  // Balancers send the header before TLS begins, and Deno begins it with the first byte.
  if (settings.proxyProtocol && settings.cert !== undefined) {
    throw new TypeError(
      "Cannot speak TLS with proxyProtocol: its header comes before TLS; let the balancer speak TLS",
    );
  }
  return settings;
}

/** @throws {RangeError} `value` is no number that the option called `name` takes. */
function checkNumber(name: keyof Settings, value: unknown, action: string): void {
  const [lowest, highest, unit] = RANGES[name]!;
  if (Number.isInteger(value) && Number(value) >= lowest && Number(value) <= highest) return;
  const hint = typeof value === "string" ? "; Number(...) makes one" : "";
  throw new RangeError(
    `${action} to ${
      shown(value)
    }: must be a whole number from ${lowest} to ${highest}${unit}${hint}`,
  );
}

/** What a route may set for itself. */
export type RouteLimit = "handlerTimeout" | "maxBodySize";
const ROUTE_LIMITS: readonly RouteLimit[] = ["handlerTimeout", "maxBodySize"];
/** What looks as if a route could set it too, and would have no effect there. */
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

/**
 * Checks the options of a route.
 *
 * @throws {RangeError} The value of a limit is not one that it takes.
 * @throws {RouteError} A limit is one of the whole server.
 */
export function checkRouteOptions(pattern: string, options: RouteOptions): void {
  for (const name of SERVER_LIMITS) {
    if (options[name] === undefined) continue;
    throw new RouteError(
      `Cannot add route "${pattern}": ${name} is set for the whole server, by its options; ` +
        `a route may have its own ${ROUTE_LIMITS.join(" and ")}`,
    );
  }
  for (const name of ROUTE_LIMITS) {
    const value = options[name];
    if (value !== undefined) {
      checkNumber(name, value, `Cannot add route "${pattern}": ${name} is set`);
    }
  }
}

/** The limit of a route: its own, or else that of all. */
export function limitOf(route: Route | null, settings: Settings, name: RouteLimit): number {
  return route?.options[name] as number | undefined ?? settings[name];
}
