import { exitCodeOf } from "../../command-line/exit-codes.js";
import type { ErrorRecord } from "../../foundation/blockferry-error.js";

/** Sets the process's exit code to the highest one of the problems. */
export function exitWithProblems(problems: ErrorRecord[]): void {
  if (problems.length > 0) process.exitCode = Math.max(...problems.map(exitCodeOf));
}

/** Returns two lines for each problem: the error and the remedy. */
export function describeProblems(problems: ErrorRecord[]): string[] {
  return problems.flatMap(({ code, message, remedy }) => [`✗ ${code}: ${message}`, `  ${remedy}`]);
}
