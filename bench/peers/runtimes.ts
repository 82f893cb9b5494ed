// What runs the programs of the peers.

import { outputOf } from "../command.ts";

const PYTHON = "/usr/bin/python3";

/** A command that succeeds where Node is there. */
export const NODE = ["node", "--version"];
/** A command that succeeds where Python has uvicorn and h11, and tells their versions. */
export const UVICORN = [
  PYTHON,
  "-c",
  "import uvicorn, h11, platform; " +
  "print('uvicorn', uvicorn.__version__, 'with h11', h11.__version__, " +
  "'on Python', platform.python_version())",
];

const path = (name: string): string => new URL(name, import.meta.url).pathname;

/** The command for a program for Deno, with the permissions it needs and no more. */
export function denoCommand(name: string, ...flags: string[]): string[] {
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

/** Makes one module of a program for Node, with the packages it imports. @returns Its command. */
export async function nodeCommand(name: string, folder: string): Promise<string[]> {
  const bundle = `${folder}/${name}.mjs`;
  await outputOf([Deno.execPath(), "bundle", "--quiet", "-o", bundle, path(name)]);
  return ["node", bundle];
}

/** The command for a program for Python. */
export function pythonCommand(name: string): string[] {
  return [PYTHON, path(name)];
}
