import { setTimeout } from "node:timers/promises";
import { isTransient } from "./transient.js";

const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

export interface RetryOptions {
  /** How long it may fail without a break, in milliseconds; asked after each failure. */
  patienceMs(): number;
  /** Ends the waiting between two tries at once. What is under way when it fires is not tried again. */
  signal: AbortSignal | undefined;
}

/**
 * Runs the operation again while it fails with what passes, after a random delay whose bound doubles (full jitter: AWS
 * Architecture Blog, "Exponential Backoff And Jitter").
 * @throws the last failure; the signal's reason
 */
export async function retryTransient<T>(
  operation: () => Promise<T>,
  { patienceMs, signal }: RetryOptions,
): Promise<T> {
  let failingSince: number | undefined;
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (error) {
      if (!isTransient(error)) throw error;
      signal?.throwIfAborted();
      failingSince ??= performance.now();
      const leftMs = failingSince + patienceMs() - performance.now();
      if (leftMs <= 0) throw error;
      const ceilingMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures);
      await setTimeout(
        Math.min(leftMs, Math.random() * ceilingMs),
        undefined,
        signal === undefined ? {} : { signal },
      );
    }
  }
}
