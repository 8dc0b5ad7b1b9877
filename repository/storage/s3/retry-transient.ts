import { setTimeout } from "node:timers/promises";

const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

export interface RetryOptions {
  /** Returns whether the error is transient; called after each failure. */
  isPassing(error: unknown): boolean;
  /** Returns how long failures may continue without a success, in milliseconds; called after each failure. */
  patienceMs(): number;
  /** Called before each try except the first. */
  onRetry?(): void;
  /** Stops the wait between two tries at once. A try that is running when it fires is not repeated. */
  signal: AbortSignal | undefined;
}

/**
 * Runs the operation until it succeeds, as long as its errors are transient.
 * @throws the last failure; the signal's reason
 */
export async function retryTransient<T>(
  operation: () => Promise<T>,
  { isPassing, patienceMs, onRetry, signal }: RetryOptions,
): Promise<T> {
  let failingSince: number | undefined;
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (error) {
      if (!isPassing(error)) throw error;
      signal?.throwIfAborted();
      failingSince ??= performance.now();
      const leftMs = failingSince + patienceMs() - performance.now();
      if (leftMs <= 0) throw error;
      await setTimeout(
        Math.min(leftMs, retryDelayMs(failures)),
        undefined,
        signal === undefined ? {} : { signal },
      );
      onRetry?.();
    }
  }
}

/**
 * Returns a random delay in milliseconds whose bound doubles with each failure. This is full jitter, see AWS
 * Architecture Blog, "Exponential Backoff And Jitter".
 * @param failures so far, from 1
 */
export function retryDelayMs(failures: number): number {
  return Math.random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures);
}
