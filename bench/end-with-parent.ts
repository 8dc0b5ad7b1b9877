import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/**
 * Returns a command that ends with its parent process.
 * The kernel sends SIGTERM however the parent ends (prctl(2), PR_SET_PDEATHSIG). So a killed benchmark leaves
 * no process behind that would load the machine during the next measurement.
 */
export function endWithParent(command: string[]): [program: string, args: string[]] {
  return ["setpriv", ["--pdeathsig", "TERM", "--", ...command]];
}

/** Starts a program that ends with this process. */
export function spawnWithParent(command: string, args: string[], options: SpawnOptions = {}): ChildProcess {
  return spawn(...endWithParent([command, ...args]), options);
}
