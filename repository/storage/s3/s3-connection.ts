import { isMainThread } from "node:worker_threads";
import type { S3Client } from "@aws-sdk/client-s3";
import { BandwidthLimit } from "../bandwidth-limit.js";
import { RetryCount } from "./retry-count.js";
import { retryTransient } from "./retry-transient.js";
import { createS3Client } from "./s3-client.js";
import type { S3Location } from "./s3-location.js";
import { isTransient, isWithoutCredentials } from "./transient.js";

/**
 * How long to retry before the first answer. There may be no server: a mistyped URL is not worth the wait of
 * an outage.
 */
const FIRST_CONTACT_MS = 10_000;

export interface RequestOptions {
  /** Bytes that each try takes from the bandwidth limit; if left out, a try does not wait for its turn. */
  bytes?: number;
  /** Stops waiting; nothing is retried after it fires. */
  signal?: AbortSignal | undefined;
  /** Aborts a running try; defaults to `signal`. */
  cutOff?: AbortSignal | "never";
}

/** One try: it must pass `options` to `S3Client.send`. */
export type Attempt<T> = (client: S3Client, options: { abortSignal?: AbortSignal }) => Promise<T>;

/** A thread's connection to the server: one client, one bandwidth limit, and one retry policy. */
export class S3Connection {
  /** A property of the server, found at run time: see `S3Bucket.completesOnlyNew`. */
  completesOnlyNew = true;
  private readonly client: S3Client;
  private readonly limit: BandwidthLimit | undefined;
  private readonly outageMs: number;
  private readonly retries: RetryCount;
  /** Other threads start only after the main thread has received an answer. */
  private hasAnswered = !isMainThread;

  constructor(location: S3Location) {
    this.client = createS3Client(location);
    this.limit = location.bandwidthLimit && BandwidthLimit.attach(location.bandwidthLimit);
    this.outageMs = location.outageMs;
    this.retries = RetryCount.attach(location.retries);
  }

  /**
   * Sends a request, and retries it while its errors are transient. Waits for the bandwidth limit before each
   * try, never during one.
   */
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

  /** Closes the connections, which the client would otherwise keep open until the process ends. */
  close(): void {
    this.client.destroy();
  }

  /** Charges bytes that are already arriving: later requests wait for them. */
  charge(bytes: number): void {
    this.limit?.charge(bytes);
  }

  /**
   * Returns whether an error is transient. Missing credentials are too, after a first answer: they return as
   * soon as their provider answers again.
   */
  private isPassing(error: unknown): boolean {
    return isTransient(error) || (this.hasAnswered && isWithoutCredentials(error));
  }

  private get patienceMs(): number {
    return this.hasAnswered ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}
