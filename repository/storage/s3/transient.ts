import { setTimeout } from "node:timers/promises";

const MAX_TRIES = 6;
const BASE_DELAY_MS = 200;
const MAX_DELAY_MS = 5000;

/** The name of an error of `bodyLost`. */
export const BODY_LOST = "BodyLost";

/**
 * What the SDK does not try again by itself: a body damaged or cut on its way, in either direction, and two writers that met.
 * Both are over when it is tried anew.
 */
const TRANSIENT = new Set([
  "BadDigest",
  "ChecksumMismatch",
  "XAmzContentChecksumMismatch",
  "IncompleteBody",
  "ConditionalRequestConflict",
  "OperationAborted",
  "XAmzContentSHA256Mismatch",
  "ContentSHA256Mismatch",
  BODY_LOST,
]);

/** The body of an answer stopped coming. The SDK tries requests again, but is done with them when the head has come. */
export function bodyLost(reason: string): Error {
  const error = new Error(reason);
  error.name = BODY_LOST;
  return error;
}

/** Runs the operation again, after a random delay that grows, while it fails with an error that passes. */
export async function retryTransient<T>(operation: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await operation();
    } catch (error) {
      if (tries === MAX_TRIES || signal?.aborted || !isTransient(error)) throw error;
      const ceilingMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** tries);
      await setTimeout(Math.random() * ceilingMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof Error && TRANSIENT.has(error.name);
}
