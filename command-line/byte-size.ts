import { usage } from "./options.js";

const UNIT_BYTES = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** Parses a size such as `50M`. @returns bytes @throws Usage */
export function parseByteSize(option: string, size: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)$/i.exec(size) ?? [];
  const bytes = Number(digits) * UNIT_BYTES[(unit ?? "").toUpperCase() as keyof typeof UNIT_BYTES];
  if (Number.isFinite(bytes)) return Math.floor(bytes);
  throw usage(
    `--${option} ${size} is no number of bytes.`,
    `Write a number and K, M, G or T for KiB, MiB, GiB or TiB, as in --${option} 50M`,
  );
}
