import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/**
 * A command that ends with the process that starts it, however that ends: the kernel sends SIGTERM then (prctl(2),
 * PR_SET_PDEATHSIG). A benchmark that is killed leaves nothing behind to load the machine that is measured next.
 */
export function endWithParent(command: string[]): [program: string, args: string[]] {
  return ["setpriv", ["--pdeathsig", "TERM", "--", ...command]];
}

/** Starts a program that ends with this process. */
export function spawnWithParent(command: string, args: string[], options: SpawnOptions = {}): ChildProcess {
  return spawn(...endWithParent([command, ...args]), options);
}
