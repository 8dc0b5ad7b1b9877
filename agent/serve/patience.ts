import { setTimeout as delay } from "node:timers/promises";
import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";

/**
 * What passes without anybody touching this machine: outages, and rights and credentials, which a new role gets only after a
 * while; the right to use the repository's KMS key is one of them.
 */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "StorageUnavailable",
  "StorageFailed",
  "StorageFull",
  "StorageDenied",
  "CredentialsInvalid",
  "AwsUnavailable",
  "KeyNotUsable",
]);

const BASE_DELAY_MS = 1000;
const MAX_DELAY_MS = 60_000;

export function isPassing(error: unknown): error is BlockferryError {
  return error instanceof BlockferryError && PASSING.has(error.code);
}

/** How long to wait after so many failures in a row: longer and longer, and by chance, so that workers do not march in step. */
export function backoffMs(failures: number): number {
  const ceilingMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (failures - 1));
  return ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
}

/** Waits for a time, or until the signal fires: that is no error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
