// importFromString(): what the command line names an application by.

import { ListenerNotFound, quote } from "./errors.ts";

/**
 * Imports what `"file:name"` stands for, `name` being an export of the module `file`; the name may have
 * dots, for what is inside an export. A file is looked for from the current directory; a URL or a
 * specifier such as `jsr:@scope/app` is taken too.
 *
 * ```ts ignore
 * const app = await importFromString("examples/http_web.ts:app");
 * ```
 *
 * @throws {ListenerNotFound} The text is not of that form, there is no such file, or it exports no such
 * name. What the module itself throws is thrown on.
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
  // One letter before a colon is a drive of Windows.
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

// Loaded for a command line alone: it takes a program that has none longer to start.
async function urlOfPath(path: string): Promise<string> {
  const { resolve, toFileUrl } = await import("@std/path");
  return toFileUrl(resolve(path)).href;
}

async function importModule(url: string, text: string): Promise<unknown> {
  try {
    return await import(url);
  } catch (error) {
    // What the module itself imports may be missing too. Deno tells the URL, Node.js and Bun the path.
    const { fromFileUrl } = await import("@std/path");
    const file = url.startsWith("file:") ? fromFileUrl(url) : url;
    const isMissing = error instanceof Error &&
      (error as { code?: string }).code === "ERR_MODULE_NOT_FOUND" &&
      [`"${url}"`, `module '${file}'`].some((text) => error.message.includes(text));
    if (!isMissing) throw error;
    throw new ListenerNotFound(`Cannot import ${quote(text)}: there is no ${url}`, {
      cause: error,
    });
  }
}
