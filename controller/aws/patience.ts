import { retryDelayMs } from "../../repository/storage/s3/retry-transient.js";
import { statusOf } from "../../repository/storage/s3/transient.js";
import { haveExpired, isPassing } from "./aws-errors.js";
import { pause } from "./poll.js";

/** Where nothing has been answered yet, there may be nobody: a mistyped Region is not waited for as long as an outage. */
const FIRST_CONTACT_MS = 10_000;

/**
 * How long an account is asked again while the network, AWS or the credentials fail: as long as no call of it is answered. One
 * clock for all its calls, so that an outage is waited out once, and not again by each call that follows.
 */
export class Patience {
  private readonly answered = new Set<string>();
  private failingSince: number | undefined;

  /**
   * @param outageMs failure without a break that is waited out
   * @param renewCredentials is called before a call is repeated whose credentials had expired
   */
  constructor(
    private readonly outageMs: number,
    private readonly renewCredentials: () => void,
  ) {}

  /**
   * Makes a call again while it fails with what passes. @param endpoint who is asked
   * @throws the last failure; the signal's reason soon after it fires
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
    // Credentials that have never been valid are not waited for.
    if (haveExpired(error)) return this.answered.size > 0 ? this.outageMs : 0;
    const isThere = this.answered.has(endpoint) || (error instanceof Error && statusOf(error) !== undefined);
    return isThere ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}
