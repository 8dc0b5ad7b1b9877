import { setTimeout as delay } from "node:timers/promises";

interface RetryPolicy {
  /**
   * Decides what follows a failure; called after each one.
   * @param failures so far, from 1
   * @returns the time until the next try, in milliseconds; undefined to give up
   */
  delayMs(error: unknown, failures: number): number | undefined;
  /** Stops the wait between two tries at once. A try that is running when it fires is not repeated. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs the operation until it succeeds or the policy gives up.
 * @throws the last failure; the signal's reason
 */
export async function retry<T>(operation: () => Promise<T>, policy: RetryPolicy): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (error) {
      const delayMs = policy.delayMs(error, failures);
      if (delayMs === undefined) throw error;
      await pause(delayMs, policy.signal);
    }
  }
}

/** Waits for a time in milliseconds. @throws the signal's reason as soon as it fires */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch {
    signal?.throwIfAborted();
  }
}

const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

/** Limits how long calls may fail without a success in between. */
export class Outage {
  private since: number | undefined;

  /**
   * Returns a random delay before the next try, in milliseconds; undefined after `limitMs` of failures. The
   * bound doubles with each failure, up to 10 s. This is full jitter, see AWS Architecture Blog, "Exponential
   * Backoff And Jitter".
   * @param failures of this call so far, from 1
   */
  delayMs(failures: number, limitMs: number): number | undefined {
    this.since ??= performance.now();
    const leftMs = this.since + limitMs - performance.now();
    if (leftMs <= 0) return undefined;
    return Math.min(leftMs, Math.random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** failures));
  }

  /** Records a success: the next failure starts another outage. */
  end(): void {
    this.since = undefined;
  }
}
