import { setTimeout as delay } from "node:timers/promises";
import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";

/**
 * Errors that can end without any change on this machine: outages, missing rights and credentials.
 * A new role gets its rights only after a while, including the right to use the repository's KMS key.
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

/**
 * Returns the wait after a number of failures in a row: exponential, with jitter so that workers do not retry
 * in step.
 */
export function backoffMs(failures: number): number {
  const ceilingMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (failures - 1));
  return ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
}

/** Waits for a time, or until the signal fires; that is not an error. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
