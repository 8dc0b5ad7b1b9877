import { setTimeout } from "node:timers/promises";
import { systemErrorCode } from "../../../foundation/errors.js";

const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

interface RetryOptions {
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

/** The name of an error from `bodyLost`. */
const BODY_LOST = "BodyLost";

/** Returns the error for the body of an answer that stopped arriving. */
export function bodyLost(reason: string): Error {
  const error = new Error(reason);
  error.name = BODY_LOST;
  return error;
}

const PASSING_NAMES = new Set([
  // A body damaged or truncated on its way, in either direction.
  "BadDigest",
  "ChecksumMismatch",
  "XAmzContentChecksumMismatch",
  "XAmzContentSHA256Mismatch",
  "ContentSHA256Mismatch",
  "IncompleteBody",
  BODY_LOST,
  // Two concurrent writers.
  "ConditionalRequestConflict",
  "OperationAborted",
  // No byte for too long, as the SDK and the server report it.
  "TimeoutError",
  "RequestTimeout",
  "RequestTimeoutException",
  // Throttling. Most servers answer with 503 or 429, which are transient under any name.
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
]);

const NETWORK_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
]);

const PASSING_STATUSES = new Set([408, 429]);
/** Not implemented, HTTP version not supported, insufficient storage. */
const LASTING_SERVER_ERRORS = new Set([501, 505, 507]);

/** Returns whether an error of the SDK, the server or the network is transient. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (PASSING_NAMES.has(error.name) || NETWORK_CODES.has(systemErrorCode(error) ?? "")) return true;
  const { httpStatusCode: status = 0, clockSkewCorrected } = metadataOf(error);
  if (PASSING_STATUSES.has(status) || clockSkewCorrected === true) return true;
  return status >= 500 && !LASTING_SERVER_ERRORS.has(status);
}

/**
 * Returns whether the SDK found no credentials. Each thread asks for its own, and the SDK asks the instance
 * metadata service once, for a second.
 */
export function isWithoutCredentials(error: unknown): boolean {
  return error instanceof Error && error.name === "CredentialsProviderError";
}

/** Returns the HTTP status of the answer; undefined without an answer. */
export function statusOf(error: Error): number | undefined {
  return metadataOf(error).httpStatusCode;
}

interface Metadata {
  httpStatusCode?: number;
  /**
   * The server's clock differed. The SDK has recorded the difference, and signs the next request accordingly.
   */
  clockSkewCorrected?: boolean;
}

function metadataOf(error: Error): Metadata {
  return (error as { $metadata?: Metadata }).$metadata ?? {};
}

/** The number of retries: one Int32 that all threads of a process increment. */
export class RetryCount {
  private readonly cell: Int32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cell = new Int32Array(memory);
  }

  static create(): RetryCount {
    return new RetryCount(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): RetryCount {
    return new RetryCount(memory);
  }

  get count(): number {
    return Atomics.load(this.cell, 0);
  }

  increment(): void {
    Atomics.add(this.cell, 0, 1);
  }
}
