import { setTimeout } from "node:timers/promises";

const MAX_TRIES = 6;
const BASE_DELAY_MS = 200;
const MAX_DELAY_MS = 5000;

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
  "TimeoutError",
]);
const CONNECTION_LOST = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ERR_STREAM_PREMATURE_CLOSE"]);

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
  if (!(error instanceof Error)) return false;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return TRANSIENT.has(error.name) || CONNECTION_LOST.has(code);
}
