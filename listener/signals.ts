// Signals that end a program, in Deno, Node.js and Bun.

/** The signals that end run(), with their numbers. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof SIGNALS;

/** The APIs that this file needs from the two kinds of runtime. */
interface Runtimes {
  Deno?: {
    addSignalListener(signal: Signal, listener: () => void): void;
    removeSignalListener(signal: Signal, listener: () => void): void;
    exit(code: number): never;
  };
  process?: {
    on(signal: Signal, listener: () => void): unknown;
    off(signal: Signal, listener: () => void): unknown;
    exit(code: number): never;
  };
}

/**
 * Calls `onFirst` on the first SIGINT or SIGTERM; a second one ends the process with the exit code that
 * shells use for that signal. If the runtime or the system does not support a signal, no listener is added
 * for it.
 *
 * @returns A function that removes the signal listeners.
 */
export function onTermination(onFirst: () => void): () => void {
  const { Deno, process } = globalThis as Runtimes;
  const removers: (() => void)[] = [];
  let isSecond = false;
  for (const signal of Object.keys(SIGNALS) as Signal[]) {
    const listener = (): void => {
      if (isSecond) (Deno ?? process)!.exit(128 + SIGNALS[signal]);
      isSecond = true;
      onFirst();
    };
    try {
      if (Deno !== undefined) {
        Deno.addSignalListener(signal, listener);
        removers.push(() => Deno.removeSignalListener(signal, listener));
      } else if (process !== undefined) {
        process.on(signal, listener);
        removers.push(() => process.off(signal, listener));
      }
    } catch {
      // Windows has no SIGTERM, workers have no signals.
    }
  }
  return () => {
    for (const remove of removers) remove();
  };
}
