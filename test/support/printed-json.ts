import assert from "node:assert/strict";
import * as z from "zod/mini";
import { FailureSchema } from "../../command-line/outputs.js";
import type { ProgramResult, RunningProgram } from "./start-program.js";

/** The schemas of a program's results, by command: `show`, `key list`, `status JOB`, `restore --check`. */
type Outputs = Record<string, z.ZodMiniType>;

/**
 * Holds the output of a program to the schemas: each line that it prints with `--json` must be JSON that the schema of
 * its command, or that of errors, accepts. Fields that the schema does not know are refused.
 */
export function holdingToSchemas(outputs: Outputs, args: string[], running: RunningProgram): RunningProgram {
  if (!args.includes("--json") || args.includes("--help") || args.includes("--version")) return running;
  return { ...running, result: running.result.then((result) => refuseOthers(outputs, args, result)) };
}

function refuseOthers(outputs: Outputs, args: string[], result: ProgramResult): ProgramResult {
  // A killed program may have printed a part of a line.
  const lines = result.stdout.split("\n").slice(0, -1);
  for (const line of lines) {
    const value: unknown = JSON.parse(line);
    const isFailure = typeof value === "object" && value !== null && "error" in value;
    const parsed = (isFailure ? FailureSchema : schemaOf(outputs, args)).safeParse(value);
    const text = parsed.success ? "" : z.prettifyError(parsed.error);
    assert.ok(
      parsed.success,
      `${args.join(" ")} prints another value than its schema says.\n${text}\n${line}`,
    );
  }
  return result;
}

/** Returns the schema with the most words of its name in the arguments. */
function schemaOf(outputs: Outputs, args: string[]): z.ZodMiniType {
  const command = args.find((arg) => Object.keys(outputs).some((name) => name.split(" ")[0] === arg));
  const isGiven = (word: string) =>
    args.some(
      (arg) => arg === word || arg.startsWith(`${word}=`) || (word === "JOB" && arg.startsWith("job-")),
    );
  const [chosen] = Object.keys(outputs)
    .map((name) => name.split(" "))
    .filter(([first, ...words]) => first === command && words.every(isGiven))
    .toSorted((a, b) => b.length - a.length);
  assert.ok(chosen !== undefined, `${args.join(" ")} has no schema.`);
  return outputs[chosen.join(" ")] as z.ZodMiniType;
}
