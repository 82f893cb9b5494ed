// Programs that are run to their end.

/** How one ended. */
export interface Ending {
  success: boolean;
  stdout: string;
  stderr: string;
}

/** Runs a program. @throws {Error} It is not there. */
export async function run([program, ...args]: readonly string[]): Promise<Ending> {
  const decoder = new TextDecoder();
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
    return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(`Cannot run ${program}: it is not installed`, { cause });
  }
}

/** What a program prints. @throws {Error} It is not there, or fails. */
export async function outputOf(command: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await run(command);
  if (!success) throw new Error(`Cannot run ${command[0]}: ${stderr.trim()}`);
  return stdout.trim();
}
