const REMOVED = "[removed]";

/** Node puts the whole command of a failed `credential_process`, and its output, into the error. */
const FAILED_COMMAND = /Command failed: (?!\[removed\])[\s\S]*/;
/** Ids of long-term and temporary access keys (AWS: "IAM identifiers"). */
const ACCESS_KEY_ID = /\b(AKIA|ASIA)[A-Z0-9]{12,}\b/g;
/**
 * Signatures in presigned URLs, in authorization headers, and in the canonical requests that services quote
 * when a signature is wrong.
 */
const SIGNATURE =
  /\b(x-amz-(?:signature|security-token|credential)\s*[=:]\s*|(?:AWSAccessKeyId|Credential|Signature)=)[^&\s,"'<>]+/gi;

/**
 * Returns the text without secrets from messages of the AWS SDK: commands, access key ids, session tokens and
 * signatures.
 */
export function withoutSecrets(text: string): string {
  return text
    .replace(FAILED_COMMAND, `Command failed: ${REMOVED}`)
    .replace(SIGNATURE, `$1${REMOVED}`)
    .replace(ACCESS_KEY_ID, `$1${REMOVED}`);
}

/**
 * Copies an error of the SDK: name, message and stack without secrets, and without the response that the SDK
 * attaches.
 * @param message replaces the error's own
 */
export function withoutResponse(cause: unknown, message?: string): Error {
  const said = cause instanceof Error ? cause.message : String(cause);
  const copy = new Error(withoutSecrets(message ?? said));
  if (!(cause instanceof Error)) return copy;
  copy.name = cause.name;
  copy.stack = withoutSecrets(cause.stack?.replace(said, () => copy.message) ?? "");
  return copy;
}
