// What a test needs of the machine it runs on: permissions, programs, ports.
//
// A test whose needs are not met is ignored, with the reason in its name, so plain `deno test` passes with
// whatever it is given. Where everything has to be there (`CI=true`) it fails instead.

/** What a test needs; all of it has to be there. */
export interface Needs {
  /** Permissions that must be granted in full. */
  permissions?: readonly Deno.PermissionDescriptor["name"][];
  /** Programs by their absolute paths; they need the permission "read". */
  programs?: readonly string[];
  /** Commands, a program and its arguments, that must succeed; they need the permission "run". */
  commands?: readonly (readonly string[])[] | undefined;
  /** Ports of 127.0.0.1 that nobody may listen on; they need the permission "net". */
  ports?: readonly number[];
}

/** Registers a test that is ignored, or fails where `CI` is "true", if its needs are not met. */
export function test(
  name: string,
  needs: Needs,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const reason = unmet(needs);
  if (reason === null) return Deno.test(name, fn);
  const ignore = !isCI();
  Deno.test({
    name: `${name} (${ignore ? "ignored" : "cannot run"}: ${reason})`,
    ignore,
    fn: () => {
      throw new Error(`Cannot run this test with CI=true: ${reason}`);
    },
  });
}

/** The first need that is not met, in words; null where all are. */
export function unmet(
  { permissions = [], programs = [], commands = [], ports = [] }: Needs,
): string | null {
  for (const name of permissions) {
    if (!isGranted({ name })) return `needs --allow-${name}`;
  }
  for (const path of programs) {
    if (!isGranted({ name: "read", path })) return `needs --allow-read to look for ${path}`;
    if (!isThere(path)) return `needs ${path}`;
  }
  for (const command of commands) {
    if (!isGranted({ name: "run" })) return "needs --allow-run";
    if (!succeeds(command)) return `needs "${command.join(" ")}" to succeed`;
  }
  for (const port of ports) {
    if (!isGranted({ name: "net", host: `127.0.0.1:${port}` })) return "needs --allow-net";
    if (!isFree(port)) return `needs port ${port}, which another program listens on`;
  }
  return null;
}

function isCI(): boolean {
  return isGranted({ name: "env", variable: "CI" }) && Deno.env.get("CI") === "true";
}

function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function succeeds([program, ...args]: readonly string[]): boolean {
  const command = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  try {
    return command.outputSync().success;
  } catch {
    return false;
  }
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}
