import { cpuUsage } from "node:process";

/**
 * Milliseconds of a processor that this process has had so far. Tests tell by it how much work something is: unlike the
 * clock it stands still while a machine with other work keeps the process waiting.
 */
export function processorTime(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1_000;
}
