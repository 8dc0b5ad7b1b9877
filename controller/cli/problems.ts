import { exitCodeOf } from "../../command-line/exit-codes.js";
import type { ErrorRecord } from "../../foundation/blockferry-error.js";

/** Lets the process end with the exit code of the worst of them. */
export function exitWithProblems(problems: ErrorRecord[]): void {
  if (problems.length > 0) process.exitCode = Math.max(...problems.map(exitCodeOf));
}

/** Two lines for each: what is wrong, and what to do. */
export function describeProblems(problems: ErrorRecord[]): string[] {
  return problems.flatMap(({ code, message, remedy }) => [`✗ ${code}: ${message}`, `  ${remedy}`]);
}
