import { availableParallelism } from "node:os";
import { BlockferryError } from "../foundation/errors.js";
import type { PassphraseSource } from "../repository/encryption/passphrase.js";
import type { PointFilter } from "../repository/points/find-point.js";

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

export function text<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "string", group, requiresArg: true, coerce: once(name), describe } as const;
}

export function texts<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "string", group, requiresArg: true, coerce: repeated(name), describe } as const;
}

export function number<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "number", group, requiresArg: true, coerce: once(name), describe } as const;
}

const UNIT_BYTES = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** Parses a size such as `50M`. @returns bytes @throws Usage */
export function parseByteSize(option: string, size: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)$/i.exec(size) ?? [];
  const bytes = Number(digits) * UNIT_BYTES[(unit ?? "").toUpperCase() as keyof typeof UNIT_BYTES];
  if (Number.isFinite(bytes)) return Math.floor(bytes);
  throw usage(
    `--${option} ${size} is not a number of bytes.`,
    `Write a number and K, M, G or T for KiB, MiB, GiB or TiB, as in --${option} 50M`,
  );
}

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a duration such as `30m`. @returns milliseconds @throws Usage */
export function parseDuration(option: string, duration: string): number {
  const [, digits, unit] = /^(\d+)([smhd])$/.exec(duration) ?? [];
  const unitMs = UNIT_MS[unit ?? ""];
  if (unitMs !== undefined) return Number(digits) * unitMs;
  throw usage(
    `--${option} ${duration} is not a duration.`,
    `Write a number and s, m, h or d, as in --${option} 6h`,
  );
}

export interface PointFilterArguments {
  instance: string | undefined;
  host: string | undefined;
  volume: string[] | undefined;
  tag: string[] | undefined;
}

/** Describes `--point` and positional points in the help. */
export const POINT_REFERENCE = "Id of the recovery point, the beginning of one, or `latest` of one machine";

const GROUP = "Which recovery points:";

/** Options that select recovery points, mainly for `latest`. */
export const pointFilterOptions = {
  instance: text(GROUP, "instance", "Points of this EC2 instance alone"),
  host: text(GROUP, "host", "Points of this host alone; points of an instance count by the instance"),
  volume: texts(GROUP, "volume", "Points that have this volume, by its name or EBS id; may be repeated"),
  tag: texts(GROUP, "tag", "Points with this tag, KEY=VALUE; may be repeated"),
} as const;

/** Parses the options that select recovery points. @throws Usage */
export function parsePointFilter({ instance, host, volume, tag }: PointFilterArguments): PointFilter {
  return { instance, host, volumes: volume ?? [], tags: parseTags(tag ?? []) };
}

/**
 * Declares an option for a file with the passphrase. A passphrase itself is never an option: every user of
 * the machine can read the arguments of a process.
 */
export function passphraseFileOption<Name extends string>(name: Name, variable: string) {
  return text(
    "Encrypted repositories:",
    name,
    `File with the passphrase; else ${variable}, or a question on the terminal`,
  );
}

/**
 * Returns the source of the passphrase: the file, the variable or a prompt.
 * @returns undefined without a file, a variable and a terminal for the prompt
 */
export function passphraseSource(file: string | undefined, variable: string): PassphraseSource | undefined {
  if (file !== undefined) return { kind: "file", path: file };
  if (process.env[variable]) return { kind: "environment", variable };
  return process.stdin.isTTY && process.stderr.isTTY ? { kind: "prompt" } : undefined;
}
