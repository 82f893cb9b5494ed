// Stand-in for @std/path where JSR cannot be reached, over node:path and node:url. It is not published.
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Joins path segments and normalizes the result. */
export function join(path0: string, ...paths: string[]): string {
  return path.join(path0, ...paths);
}

/** Resolves path segments into an absolute path. */
export function resolve(...pathSegments: string[]): string {
  return path.resolve(...pathSegments);
}

/** The directory part of a path. */
export function dirname(p: string): string {
  return path.dirname(p);
}

/** The path of a `file:` URL. */
export function fromFileUrl(url: string | URL): string {
  return fileURLToPath(url);
}

/** The `file:` URL of an absolute path. */
export function toFileUrl(p: string): URL {
  return pathToFileURL(p);
}
