// Options of the server and the limits they stand for.
// The only place for these numbers. Sizes in bytes, times in milliseconds; 0 switches a limit off.

/** Where the server listens, and what it takes from its clients. */
export interface ServerOptions {
  /** The port; 8000 if not given, 0 for a free one. */
  port?: number;
  /** The address or host name to listen on; `127.0.0.1` if not given. */
  hostname?: string;
  /** The access log: one line an answer, or `false` for none; `"default"` if not given. */
  accessLog?: "default" | false;
  /** Bytes of a request's head at most, 16 KiB if not given: 431 (RFC 6585 5). */
  maxHeadSize?: number;
  /** Bytes of a request's target at most, 8 KiB if not given: 414 (RFC 9110 15.5.15). */
  maxTargetSize?: number;
  /** Fields of a request's head at most, 100 if not given: 431 (RFC 6585 5). */
  maxFields?: number;
  /**
   * Bytes of a body at most for `bytes()`, `text()` and `json()`, 16 MiB if not given: 413 (RFC 9110
   * 15.5.14). A body that is read as a stream has no limit.
   */
  maxBodySize?: number;
  /** Milliseconds that exchanges under way have to finish when the server stops; 10,000 if not given. */
  shutdownGrace?: number;
}

/** Options with their defaults filled in. */
export type Settings = Required<ServerOptions>;

const DEFAULTS: Settings = {
  port: 8000,
  hostname: "127.0.0.1",
  accessLog: "default",
  maxHeadSize: 16 * 1024,
  maxTargetSize: 8 * 1024,
  maxFields: 100,
  maxBodySize: 16 * 1024 * 1024,
  shutdownGrace: 10_000,
};

/** Lowest and highest value of each number among the options. */
const RANGES: { [K in keyof Settings]?: [lowest: number, highest: number, unit: string] } = {
  port: [0, 0xffff, ""],
  maxHeadSize: [64, 0x7fffffff, " bytes"],
  maxTargetSize: [0, 0x7fffffff, " bytes"],
  maxFields: [0, 0x7fffffff, ""],
  maxBodySize: [0, Number.MAX_SAFE_INTEGER, " bytes"],
  shutdownGrace: [0, 0x7fffffff, " milliseconds"],
};

/**
 * Fills in what is not given: the defaults, or the settings there were before.
 *
 * @throws {RangeError} A value is not a whole number, or not one that the option takes.
 */
export function resolveOptions(options: ServerOptions, standard = DEFAULTS): Settings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settings: Settings = { ...standard, ...Object.fromEntries(given) };
  for (const [name, [lowest, highest, unit]] of Object.entries(RANGES)) {
    const value = settings[name as keyof Settings];
    if (!Number.isInteger(value) || Number(value) < lowest || Number(value) > highest) {
      throw new RangeError(
        `Cannot set ${name} to ${value}: must be a whole number from ${lowest} to ${highest}${unit}`,
      );
    }
  }
  return settings;
}
