import { createInterface } from "node:readline";
import { type BlockferryError, type ErrorCode, interrupted, systemErrorCode } from "../foundation/errors.js";
import { printableJson, printableLine } from "./format.js";
import type { Failure } from "./outputs.js";

/**
 * Prints a command's result: `value` for machines, `lines` for people. The caller names the type of the command's
 * schema, as in `printResult<AgentOutput<"init">>(...)`.
 * @param lines each is printed as one line, whatever control characters its names and tags contain
 */
export function printResult<Output = never>(
  json: boolean,
  value: NoInfer<Output>,
  lines: readonly string[],
): void {
  const printed = json ? [printableJson(value)] : lines.map(printableLine);
  process.stdout.write(printed.map((line) => `${line}\n`).join(""));
}

/** Prints a note on standard error, as one line. */
export function printNote(text: string): void {
  process.stderr.write(`note: ${printableLine(text)}\n`);
}

/** Prints an error with its remedy; as JSON, `{"error": {...}}` on standard output. */
export function printError(
  error: BlockferryError,
  style: { program: string; json: boolean; verbose: boolean },
): void {
  const { message, details = [], remedy } = error;
  if (style.json) printResult<Failure>(true, { error: error.toRecord() }, []);
  else printErrorLines([`${style.program}: ${message}`, ...[...details, remedy].map((line) => `  ${line}`)]);
  if (style.verbose) printErrorLines(traceOf(error));
}

function printErrorLines(lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${printableLine(line)}\n`).join(""));
}

/**
 * Lets a backup go on when the reader of its output closes the pipe. `exitNow` reports the output error at
 * the end.
 */
export function outliveReaders(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error) => {
    outputError ??= error;
  });
}

let outputError: Error | undefined;

/** Waits until all output is written: a pipe may still be full. */
export async function outputWritten(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
}

/** Exits once all output is written. */
export async function exitNow(program: string, code: number): Promise<never> {
  await outputWritten();
  if (outputError === undefined || systemErrorCode(outputError) === "EPIPE") process.exit(code);
  process.stderr.write(`${program}: the result could not be printed: ${outputError.message}\n`);
  process.exit(code === EXIT.ok ? EXIT.failed : code);
}

/** Returns the stack traces of an error and its causes. Each message takes one line. */
function traceOf(error: Error): string[] {
  const lines = stackOf(error);
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const [first = "", ...frames] = stackOf(cause);
    lines.push(`caused by ${first}`, ...frames);
  }
  return lines;
}

function stackOf({ name, message, stack = "" }: Error): string[] {
  const frames = stack.split("\n").filter((line) => /^ {4}at /.test(line));
  return [`${name}: ${message}`, ...frames];
}

/** Exit codes of the programs; documented in README.md and docs/reference/commands.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, dataDamaged: 3, interrupted: 130 } as const;

const DAMAGE: ReadonlySet<ErrorCode> = new Set([
  "ObjectCorrupt",
  "PackCorrupt",
  "ChunkCorrupt",
  "ChunkMissing",
  "PackMissing",
  "IndexMissing",
  "IndexFalse",
  "PointRemoved",
  "PointReplaced",
  "PointReturned",
]);

export function exitCodeOf({ code }: { code: ErrorCode }): number {
  if (code === "Usage") return EXIT.usage;
  if (code === "Interrupted") return EXIT.interrupted;
  return DAMAGE.has(code) ? EXIT.dataDamaged : EXIT.failed;
}

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
