import { retryDelayMs } from "../../repository/storage/s3/retry-transient.js";
import { statusOf } from "../../repository/storage/s3/transient.js";
import { haveExpired, isPassing } from "./aws-errors.js";
import { pause } from "./poll.js";

/**
 * Timeout for an endpoint that has never answered.
 * A mistyped Region has no endpoint to wait for.
 */
const FIRST_CONTACT_MS = 10_000;

/**
 * Retries an account's calls while the network, AWS or the credentials fail.
 * All calls of the account share one clock, so an outage is waited out once, and not again by every later
 * call.
 */
export class Patience {
  private readonly answered = new Set<string>();
  private failingSince: number | undefined;

  /**
   * @param outageMs how long calls may fail without interruption
   * @param renewCredentials called before a retry when the credentials have expired
   */
  constructor(
    private readonly outageMs: number,
    private readonly renewCredentials: () => void,
  ) {}

  /**
   * Repeats a call while its errors are transient.
   * @param endpoint the service and Region of the call
   * @throws the last error; the signal's reason soon after it aborts
   */
  async keepTrying<T>(endpoint: string, send: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        const answer = await send();
        this.hear(endpoint);
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (!isPassing(error)) {
          this.hear(endpoint);
          throw error;
        }
        this.failingSince ??= performance.now();
        const leftMs = this.failingSince + this.limitMs(endpoint, error) - performance.now();
        if (leftMs <= 0) throw error;
        if (haveExpired(error)) this.renewCredentials();
        await pause(Math.min(leftMs, retryDelayMs(failures)), signal);
      }
    }
  }

  private hear(endpoint: string): void {
    this.answered.add(endpoint);
    this.failingSince = undefined;
  }

  private limitMs(endpoint: string, error: unknown): number {
    // Credentials that were never valid are not waited for.
    if (haveExpired(error)) return this.answered.size > 0 ? this.outageMs : 0;
    const isThere = this.answered.has(endpoint) || (error instanceof Error && statusOf(error) !== undefined);
    return isThere ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}
