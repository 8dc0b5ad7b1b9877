import { type BlockferryError, systemErrorCode } from "../foundation/blockferry-error.js";
import { EXIT } from "./exit-codes.js";
import { printable } from "./printable.js";

/** Prints a command's result: `text` for people, `value` for machines. */
export function printResult(json: boolean, value: unknown, text: string): void {
  process.stdout.write(`${printable(json ? JSON.stringify(value) : text)}\n`);
}

/** Prints an error with its remedy; as JSON, `{"error": {...}}` on standard output. */
export function printError(
  error: BlockferryError,
  style: { program: string; json: boolean; verbose: boolean },
): void {
  const { message, remedy } = error;
  if (style.json) printResult(true, { error: error.toRecord() }, message);
  else process.stderr.write(printable(`${style.program}: ${message}\n  ${remedy}\n`));
  if (style.verbose) process.stderr.write(printable(`${error.stack}\n${causes(error)}`));
}

/**
 * Who reads the output may go away at any moment, and must not end a backup by that. What could not be printed is told at
 * the end.
 */
export function outliveReaders(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error) => {
    outputError ??= error;
  });
}

let outputError: Error | undefined;

/** Ends the process once everything printed has left it: a pipe may still be full. */
export async function exitNow(program: string, code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
  if (outputError === undefined || systemErrorCode(outputError) === "EPIPE") process.exit(code);
  process.stderr.write(`${program}: the result could not be printed: ${outputError.message}\n`);
  process.exit(code === EXIT.ok ? EXIT.failed : code);
}

function causes(error: Error): string {
  const lines: string[] = [];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    lines.push(`caused by ${cause.stack}\n`);
  }
  return lines.join("");
}
