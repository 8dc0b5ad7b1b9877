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
/** Not implemented, HTTP version not supported, insufficient storage. */
const LASTING_SERVER_ERRORS = new Set([501, 505, 507]);

/** Returns whether an error of the SDK, of an AWS service, of another server or of the network is transient. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isThrottled(error)) return true;
  if (PASSING_NAMES.has(error.name) || NETWORK_CODES.has(systemErrorCode(error) ?? "")) return true;
  const { httpStatusCode: status = 0, clockSkewCorrected } = metadataOf(error);
  if (PASSING_STATUSES.has(status) || clockSkewCorrected === true) return true;
  return status >= 500 && !LASTING_SERVER_ERRORS.has(status);
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
  /**
   * The server's clock differed. The SDK has recorded the difference, and signs the next request accordingly.
   */
  clockSkewCorrected?: boolean;
}

function metadataOf(error: Error): Metadata {
  return (error as { $metadata?: Metadata }).$metadata ?? {};
}
