import { availableParallelism } from "node:os";
import { BlockferryError } from "../foundation/blockferry-error.js";

/** Options that several commands share; each is declared once. */
export const threadsOption = {
  type: "number",
  requiresArg: true,
  coerce: once("threads"),
  describe: "Threads that hash and (de)compress  [default: one for each core, at most 64]",
} as const;

/** `--threads` for a run that can measure the machine first. */
export const threadsOrAutoOption = {
  type: "string",
  requiresArg: true,
  coerce: parseThreads,
  describe:
    "Threads that hash and compress, or `auto`, which measures devices and cores first  [default: one for each core, at most 64]",
} as const;

/** `--prove-known` for a backup by either program. */
export const proveKnownOption = {
  type: "string",
  requiresArg: true,
  coerce: parseProveKnown,
  describe:
    "Read and prove known chunks that this backup relies on: PERCENT of them, or `new-packs`: those in packs that no verify of this machine has read",
} as const;

/** Parses `--prove-known`. @throws Usage */
function parseProveKnown(value: string | undefined): number | "new-packs" | undefined {
  once("prove-known")(value);
  if (value === undefined || value === "new-packs") return value;
  const percent = Number(value.replace(/%$/, ""));
  if (percent > 0 && percent <= 100) return percent;
  throw usage(
    `--prove-known=${value} is neither a percentage nor \`new-packs\`.`,
    "Give a number above 0, to 100, or new-packs.",
  );
}

const MAX_THREADS = 256;
/** More threads find no device and no network that keeps them busy, and only cost memory. */
const MAX_DEFAULT_THREADS = 64;

/** Returns the value of `--threads`, or the default. @throws Usage */
export function chooseThreads(wanted: number | undefined): number {
  const threads = wanted ?? Math.min(availableParallelism(), MAX_DEFAULT_THREADS);
  return checkWholeNumber("threads", threads, 1, MAX_THREADS);
}

/** Parses `--threads`. @throws Usage */
function parseThreads(value: string | undefined): number | "auto" | undefined {
  once("threads")(value);
  if (value === undefined || value === "auto") return value;
  return checkWholeNumber("threads", Number(value), 1, MAX_THREADS);
}

export function usage(message: string, remedy: string): BlockferryError {
  return new BlockferryError({ code: "Usage", message, remedy });
}

/** Returns `value` if it is a whole number within the bounds. @throws Usage */
export function checkWholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw usage(
    `--${name} must be a whole number from ${min} to ${max}.`,
    `Give a number, as in --${name} ${min}, or leave the option out.`,
  );
}

/** Returns a check that refuses an option given twice or without a value. @throws Usage */
export function once(name: string): <T>(value: T) => T {
  return (value) => {
    if (Array.isArray(value)) throw usage(`--${name} is given ${value.length} times.`, "Give it once.");
    if (value === "") throw emptyValue(name);
    return value;
  };
}

/** Returns an array for an option that may be repeated; refuses empty values. @throws Usage */
export function repeated(name: string): (value: string | string[]) => string[] {
  return (value) => {
    const values = [value].flat();
    if (values.includes("")) throw emptyValue(name);
    return values;
  };
}

/** Parses the `k=v` pairs of `--tag`, or of another option. @throws Usage */
export function parseTags(tags: string[], option = "tag"): Record<string, string> {
  const parsed: Record<string, string> = {};
  for (const tag of tags) {
    const equals = tag.indexOf("=");
    if (equals < 1)
      throw usage(
        `--${option} ${tag} is not of the form KEY=VALUE.`,
        `Write, say, --${option} env=production`,
      );
    const key = tag.slice(0, equals);
    if (Object.hasOwn(parsed, key)) throw usage(`Tag ${key} is given twice.`, "Give each tag one value.");
    if (key === "__proto__") throw usage("A tag cannot be named __proto__.", "Choose another name.");
    parsed[key] = tag.slice(equals + 1);
  }
  return parsed;
}

function emptyValue(name: string): BlockferryError {
  return usage(`--${name} has no value.`, `Give it one, as in --${name} VALUE`);
}
