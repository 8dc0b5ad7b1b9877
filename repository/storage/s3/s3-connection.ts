import { isMainThread } from "node:worker_threads";
import type { S3Client } from "@aws-sdk/client-s3";
import { BandwidthLimit } from "../bandwidth-limit.js";
import { RetryCount } from "./retry-count.js";
import { retryTransient } from "./retry-transient.js";
import { createS3Client } from "./s3-client.js";
import type { S3Location } from "./s3-location.js";
import { isTransient, isWithoutCredentials } from "./transient.js";

/** Where nothing has been answered yet, there may be no server: a mistyped URL is not waited for as long as an outage. */
const FIRST_CONTACT_MS = 10_000;

export interface RequestOptions {
  /** What each try takes of the bandwidth limit; left out, it does not even wait for its turn. */
  bytes?: number;
  /** Ends what is waited for: nothing is tried again then. */
  signal?: AbortSignal | undefined;
  /** Cuts a try off that is under way; `signal` does, if it is left out. */
  cutOff?: AbortSignal | "never";
}

/** One try: it must give `options` to `S3Client.send`. */
export type Attempt<T> = (client: S3Client, options: { abortSignal?: AbortSignal }) => Promise<T>;

/** How a thread reaches the server: one client, one bandwidth limit, and one way of trying again. */
export class S3Connection {
  private readonly client: S3Client;
  private readonly limit: BandwidthLimit | undefined;
  private readonly outageMs: number;
  private readonly retries: RetryCount;
  /** Other threads are started only when the main thread has been answered. */
  private hasAnswered = !isMainThread;

  constructor(location: S3Location) {
    this.client = createS3Client(location);
    this.limit = location.bandwidthLimit && BandwidthLimit.attach(location.bandwidthLimit);
    this.outageMs = location.outageMs;
    this.retries = RetryCount.attach(location.retries);
  }

  /** Sends a request, again and again while it fails with what passes. The limit is waited for before each try, never in one. */
  request<T>(send: Attempt<T>, { bytes, signal, cutOff = signal ?? "never" }: RequestOptions): Promise<T> {
    const options = cutOff === "never" ? {} : { abortSignal: cutOff };
    const attempt = async () => {
      signal?.throwIfAborted();
      if (bytes !== undefined) await this.limit?.take(bytes, signal);
      const answer = await send(this.client, options);
      this.hasAnswered = true;
      return answer;
    };
    const onRetry = () => this.retries.increment();
    return retryTransient(attempt, {
      ...{ isPassing: (error) => this.isPassing(error), patienceMs: () => this.patienceMs },
      ...{ onRetry, signal },
    });
  }

  /** Charges bytes that are coming already: whoever asks next waits for them. */
  charge(bytes: number): void {
    this.limit?.charge(bytes);
  }

  /** Credentials that were there, and cannot be found now, are back when who gives them answers again. */
  private isPassing(error: unknown): boolean {
    return isTransient(error) || (this.hasAnswered && isWithoutCredentials(error));
  }

  private get patienceMs(): number {
    return this.hasAnswered ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}
