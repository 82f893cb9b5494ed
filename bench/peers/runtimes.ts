// What runs the programs of the peers.

/** This Deno, which runs the programs for Deno too. */
export const DENO = `Deno ${Deno.version.deno}`;

const path = (name: string): string => new URL(name, import.meta.url).pathname;

/** The command for a program for Deno, with the permissions it needs and no more. */
export function denoProgram(name: string, ...flags: string[]): string[] {
  return [
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--allow-net",
    "--allow-read",
    ...flags,
    path(name),
  ];
}
