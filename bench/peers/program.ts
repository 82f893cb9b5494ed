// How the program of a peer is told what to do, and tells that it is ready. It uses nothing of one runtime
// alone: Deno and Node both run it.

/** What Node has in modules. Deno is not to load them: that takes longer than all else of its start. */
const node = "Deno" in globalThis ? undefined : {
  args: (await import("node:process")).argv.slice(2),
  readTextFileSync: await import("node:fs").then(({ readFileSync }) => (path: string): string =>
    readFileSync(path, "utf8")
  ),
};
const { args: [text = "{}"], readTextFileSync } = node ?? Deno;

/** What a program is told, as JSON in its only argument. */
export interface ProgramOptions {
  /** So many routes `/user<number>/<name>` beside the others, which all greet; none if not given. */
  routes?: number | undefined;
  /** Files of a certificate and its key: the program speaks TLS. */
  tls?: { cert: string; key: string } | undefined;
  /** HTTPListener writes its access log. */
  accessLog?: boolean;
  /** HTTPListener runs so many processes. */
  workers?: number;
  /** The port to listen on; a free one if not given. */
  port?: number;
  /** The only path the raw ceiling is asked for, and the bytes of body that follow each head. */
  raw?: { path: string; bodySize: number };
}

/** The options of this program. */
export const options: ProgramOptions = JSON.parse(text);

/** The certificate and its key as Deno and Node take them; nothing where no TLS is asked for. */
export function certificate(): { cert: string; key: string } | Record<never, never> {
  if (options.tls === undefined) return {};
  const { cert, key } = options.tls;
  return { cert: readTextFileSync(cert), key: readTextFileSync(key) };
}

/** Tells that the program listens: it is asked from then on. */
export function listening(port: number): void {
  console.log(`listening on ${port}`);
}
