import { systemErrorCode } from "../../../foundation/errors.js";

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
  // Failures of AWS. Most servers answer with 500 or 503, which are transient under any name.
  "InternalError",
  "InternalFailure",
  "ServiceUnavailable",
  "Unavailable",
  "KMSInternalException",
  "DependencyTimeoutException",
  "KeyUnavailableException",
]);

/** Most servers answer with 503 or 429, which are transient under any name. */
const THROTTLING_NAMES = new Set([
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
  "TooManyRequestsException",
  "EC2ThrottledException",
  "SnapshotCreationPerVolumeRateExceeded",
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
/** Not implemented, HTTP version not supported, insufficient storage, a network that wants a login first. */
const LASTING_SERVER_ERRORS = new Set([501, 505, 507, 511]);

/** Returns whether an error of the SDK, of an AWS service, of another server or of the network is transient. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isThrottled(error)) return true;
  if (PASSING_NAMES.has(error.name) || NETWORK_CODES.has(systemErrorCode(error) ?? "")) return true;
  const status = statusOf(error) ?? 0;
  if (PASSING_STATUSES.has(status)) return true;
  return status >= 500 && !LASTING_SERVER_ERRORS.has(status);
}

/**
 * The errors of S3, EC2, KMS and STS for a request that is dated wrongly. Other causes, such as a wrong
 * secret key, have the same names. Source: `CLOCK_SKEW_ERROR_CODES` of the SDK, without
 * `AccessDeniedException`, by which none of these services means the date.
 */
const WRONG_DATE_NAMES = new Set([
  "AuthFailure",
  "InvalidSignatureException",
  "RequestExpired",
  "RequestInTheFuture",
  "RequestTimeTooSkewed",
  "SignatureDoesNotMatch",
]);

/**
 * Decides about the errors of one call for wrongly dated requests. The SDK measures the difference between
 * the clocks by the date of every answer, and dates the next request accordingly. While they differ by four
 * minutes or more, it marks every error as `clockSkewCorrected`, also 404 and 412. So one repetition is
 * enough, and only for the errors that a wrong date causes.
 */
export class ClockCorrection {
  private isUsed = false;

  /** Returns whether to repeat the call with the right date: true at most once. */
  allowsRetry(error: unknown): boolean {
    if (this.isUsed || !(error instanceof Error)) return false;
    this.isUsed = WRONG_DATE_NAMES.has(error.name) && metadataOf(error).clockSkewCorrected === true;
    return this.isUsed;
  }
}

/** Returns whether the server limits the rate of requests. */
export function isThrottled(error: unknown): boolean {
  return error instanceof Error && THROTTLING_NAMES.has(error.name);
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
  /** See `ClockCorrection`. */
  clockSkewCorrected?: boolean;
}

function metadataOf(error: Error): Metadata {
  return (error as { $metadata?: Metadata }).$metadata ?? {};
}
