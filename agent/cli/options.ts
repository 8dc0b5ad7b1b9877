import { BlockferryError } from "../../foundation/blockferry-error.js";

/** Options that several commands share, each declared once. */
export const repoOption = {
  type: "string",
  demandOption: process.env.BLOCKFERRY_REPO === undefined,
  default: process.env.BLOCKFERRY_REPO,
  requiresArg: true,
  describe: "Repository: a local directory",
} as const;

export const threadsOption = {
  type: "number",
  requiresArg: true,
  describe: "Threads that hash and (de)compress  [default: one for each core]",
} as const;

export function usage(message: string, remedy: string): BlockferryError {
  return new BlockferryError({ code: "Usage", message, remedy });
}

/** @throws Usage */
export function checkWholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw usage(
    `--${name} must be a whole number from ${min} to ${max}.`,
    `Give a number, as in --${name} ${min}, or leave the option out.`,
  );
}

/** An option given once or several times, as an array. */
export function asArray<T>(value: T | T[] | undefined): T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** `k=v` pairs of `--tag`. @throws Usage */
export function parseTags(tags: string[]): Record<string, string> {
  const parsed: Record<string, string> = {};
  for (const tag of tags) {
    const equals = tag.indexOf("=");
    if (equals < 1)
      throw usage(`--tag ${tag} is not of the form KEY=VALUE.`, "Write, say, --tag env=production");
    const key = tag.slice(0, equals);
    if (key === "__proto__") throw usage("A tag cannot be named __proto__.", "Choose another name.");
    parsed[key] = tag.slice(equals + 1);
  }
  return parsed;
}
