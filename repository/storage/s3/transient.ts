import { systemErrorCode } from "../../../foundation/blockferry-error.js";

/** The name of an error of `bodyLost`. */
const BODY_LOST = "BodyLost";

/** The body of an answer stopped coming. */
export function bodyLost(reason: string): Error {
  const error = new Error(reason);
  error.name = BODY_LOST;
  return error;
}

const PASSING_NAMES = new Set([
  // A body damaged or cut on its way, in either direction.
  "BadDigest",
  "ChecksumMismatch",
  "XAmzContentChecksumMismatch",
  "XAmzContentSHA256Mismatch",
  "ContentSHA256Mismatch",
  "IncompleteBody",
  BODY_LOST,
  // Two writers that met.
  "ConditionalRequestConflict",
  "OperationAborted",
  // No byte for too long, as the SDK and the server call it.
  "TimeoutError",
  "RequestTimeout",
  "RequestTimeoutException",
  // Throttling; most servers answer it with 503 or 429, which pass whatever they are called.
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

/** Whether an error of the SDK, the server or the network is over when the same is tried anew. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (PASSING_NAMES.has(error.name) || NETWORK_CODES.has(systemErrorCode(error) ?? "")) return true;
  const { httpStatusCode: status = 0, clockSkewCorrected } = metadataOf(error);
  if (PASSING_STATUSES.has(status) || clockSkewCorrected === true) return true;
  return status >= 500 && !LASTING_SERVER_ERRORS.has(status);
}

/**
 * Whether the SDK found no credentials. Each thread asks for its own, and the SDK asks the instance metadata service once, for a
 * second.
 */
export function isWithoutCredentials(error: unknown): boolean {
  return error instanceof Error && error.name === "CredentialsProviderError";
}

/** The status of the answer; undefined where none came. */
export function statusOf(error: Error): number | undefined {
  return metadataOf(error).httpStatusCode;
}

interface Metadata {
  httpStatusCode?: number;
  /** The server's clock differed; the SDK has noted by how much, and signs the next request accordingly. */
  clockSkewCorrected?: boolean;
}

function metadataOf(error: Error): Metadata {
  return (error as { $metadata?: Metadata }).$metadata ?? {};
}
