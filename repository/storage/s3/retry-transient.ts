import { setTimeout } from "node:timers/promises";

const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

export interface RetryOptions {
  /** Whether what it failed with is over when it is tried anew; asked after each failure. */
  isPassing(error: unknown): boolean;
  /** How long it may fail without a break, in milliseconds; asked after each failure. */
  patienceMs(): number;
  /** Is told before each try but the first. */
  onRetry?(): void;
  /** Ends the waiting between two tries at once. What is under way when it fires is not tried again. */
  signal: AbortSignal | undefined;
}

/**
 * Runs the operation again while it fails with what passes.
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
 * A random delay whose bound doubles with each failure: full jitter, see AWS Architecture Blog, "Exponential Backoff And Jitter".
 * @param failures how often it has failed, from 1
 */
export function retryDelayMs(failures: number): number {
  return Math.random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures);
}
