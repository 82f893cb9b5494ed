// importFromString(): imports the application that a command line names.

import { ListenerNotFound, quote } from "./errors.ts";

/**
 * Imports the export `name` of the module `file`, given as `"file:name"`. The name may contain dots, to reach
 * into an export. A file path is resolved against the current directory; a URL or a specifier such as
 * `jsr:@scope/app` is accepted too.
 *
 * ```ts ignore
 * const app = await importFromString("examples/http_web.ts:app");
 * ```
 *
 * @throws {ListenerNotFound} The text does not have that form, the file does not exist, or it has no such
 * export. Errors thrown by the module itself are passed on.
 */
export async function importFromString(text: string): Promise<unknown> {
  const cut = text.lastIndexOf(":");
  const file = text.slice(0, cut);
  const name = text.slice(cut + 1);
  if (cut < 1 || !/^[\p{ID_Start}$_][\p{ID_Continue}$.]*$/u.test(name)) {
    throw new ListenerNotFound(
      `Cannot import ${quote(text)}: must be "file:name", as in "examples/http_web.ts:app"`,
    );
  }
  // A single letter before a colon is a Windows drive.
  const url = /^[a-z][a-z0-9+.-]+:/i.test(file) ? file : await urlOfPath(file);
  let found: unknown = await importModule(url, text);
  for (const key of name.split(".")) {
    found = (found as Record<string, unknown> | null | undefined)?.[key];
  }
  if (found === undefined) {
    throw new ListenerNotFound(`Cannot import ${quote(text)}: ${file} has no export "${name}"`);
  }
  return found;
}

// Imported on demand, so that programs without a command line start faster.
async function urlOfPath(path: string): Promise<string> {
  const { resolve, toFileUrl } = await import("@std/path");
  return toFileUrl(resolve(path)).href;
}

async function importModule(url: string, text: string): Promise<unknown> {
  try {
    return await import(url);
  } catch (error) {
    // A module that is imported by the module itself may be missing too. Deno's message has the URL; those of
    // Node.js and Bun have the path.
    const { fromFileUrl } = await import("@std/path");
    const file = url.startsWith("file:") ? fromFileUrl(url) : url;
    const isMissing = error instanceof Error &&
      (error as { code?: string }).code === "ERR_MODULE_NOT_FOUND" &&
      [`"${url}"`, `module '${file}'`].some((text) => error.message.includes(text));
    if (!isMissing) throw error;
    throw new ListenerNotFound(`Cannot import ${quote(text)}: ${url} does not exist`, {
      cause: error,
    });
  }
}
