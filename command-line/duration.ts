import { usage } from "./options.js";

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a duration such as `30m`. @returns milliseconds @throws Usage */
export function parseDuration(option: string, duration: string): number {
  const [, digits, unit] = /^(\d+)([smhd])$/.exec(duration) ?? [];
  const unitMs = UNIT_MS[unit ?? ""];
  if (unitMs !== undefined) return Number(digits) * unitMs;
  throw usage(
    `--${option} ${duration} is no duration.`,
    `Write a number and s, m, h or d, as in --${option} 6h`,
  );
}
