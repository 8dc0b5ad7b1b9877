import { createInterface } from "node:readline";
import { interrupted } from "../foundation/interrupted.js";

/** Returns whether the user can be asked: standard input and standard error are both terminals. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/**
 * Shows lines and asks a question on the terminal.
 * @returns whether the answer was yes
 * @throws Interrupted after Ctrl-C or the end of input
 */
export async function confirm(lines: readonly string[], question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, historySize: 0 });
  for (const line of lines) process.stderr.write(`${line}\n`);
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      terminal.question(`${question} [y/N] `, resolve);
      terminal.once("SIGINT", () => reject(interrupted()));
      terminal.once("close", () => reject(interrupted()));
    });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
