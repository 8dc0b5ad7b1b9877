import { constants } from "node:os";

/**
 * All error codes that a user can meet. Scripts match on them, docs/reference/errors.md lists them, and the command
 * line maps each to an exit code.
 */
export const ERROR_CODES = [
  "Usage",
  "Interrupted",
  "WorkingDirectoryGone",
  "Unexpected",
  "RepositoryNotFound",
  "RepositoryExists",
  "PlaceNotEmpty",
  "RepositoryUnsupported",
  "RepositoryLocked",
  "RepositoryMismatch",
  "RepositoryChanged",
  "PassphraseUnavailable",
  "PassphraseWrong",
  "KeyNotFound",
  "KeyNeeded",
  "PointNotFound",
  "PointInFuture",
  "ForgetBraked",
  "PointRemoved",
  "NoPoints",
  "PointReplaced",
  "PointReturned",
  "TombstoneUnsigned",
  "PointAmbiguous",
  "ObjectNotFound",
  "ObjectExists",
  "StorageFull",
  "StorageDenied",
  "StorageFailed",
  "StorageUnsuitable",
  "StorageUnavailable",
  "BucketNotFound",
  "WrongRegion",
  "InsecureEndpoint",
  "ProxyFailed",
  "CertificateUntrusted",
  "CredentialsInvalid",
  "ConditionalWritesUnsupported",
  "ListIncomplete",
  "NameUnknown",
  "LockUnsupported",
  "PointLocked",
  "ObjectCorrupt",
  "PackCorrupt",
  "ChunkCorrupt",
  "ChunkMissing",
  "PackMissing",
  "IndexMissing",
  "IndexFalse",
  "LeaseLost",
  "PruneRunning",
  "SourceNotFound",
  "SourceUnreadable",
  "SourceShrunk",
  "TargetNotUsable",
  "TargetTooSmall",
  "TargetInUse",
  "TargetNotEmpty",
  "TargetHasSignatures",
  "TargetWriteFailed",
  "ReportNotWritable",
  "MetricsNotWritable",
  "ListenFailed",
  "ToolMissing",
  "ExportFailed",
  "DeviceNotFound",
  "DeviceSizeDiffers",
  "JobRefused",
  "JobUnsigned",
  "JobSignatureInvalid",
  "JobOutdated",
  "JobGivenUp",
  "Cancelled",
  "MetadataUnavailable",
  "UserDataInvalid",
  "InstanceNotFound",
  "AwsAccessDenied",
  "AwsLimitExceeded",
  "AwsOutOfCapacity",
  "AwsUnavailable",
  "AwsRefused",
  "AwsResourceNotFound",
  "SnapshotNotShareable",
  "SnapshotFailed",
  "KeyNotUsable",
  "AttachFailed",
  "WorkerNotUsable",
  "WorkerLost",
  "WaitTimedOut",
  "PreflightFailed",
  "JobNotFound",
  "JobRunning",
  "CleanupIncomplete",
  "NotOfTheJob",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * A request was not sent: the proxy, or the certificate of the server, is in the way. Like an outage, that
 * says nothing about the object of the request.
 */
export const NOT_CONNECTED: readonly ErrorCode[] = ["ProxyFailed", "CertificateUntrusted"];

/** The parts of an error that survive a thread boundary. A structured clone loses the subclass. */
export interface ErrorRecord {
  code: ErrorCode;
  /** One line. */
  message: string;
  /** Lines that follow the message when the error is about several things. */
  details?: readonly string[] | undefined;
  /** An instruction for the user. */
  remedy: string;
  /** The object concerned: a repository key, a device or a file. */
  object?: string | undefined;
  /** Position in the object, in bytes. */
  offset?: number | undefined;
}

export class BlockferryError extends Error implements ErrorRecord {
  readonly code: ErrorCode;
  readonly details: readonly string[] | undefined;
  readonly remedy: string;
  readonly object: string | undefined;
  readonly offset: number | undefined;

  constructor(record: ErrorRecord, cause?: unknown) {
    super(record.message, { cause });
    this.name = record.code;
    this.code = record.code;
    this.details = record.details;
    this.remedy = record.remedy;
    this.object = record.object;
    this.offset = record.offset;
  }

  toRecord(): ErrorRecord {
    const { code, message, details, remedy, object, offset } = this;
    return { code, message, ...(details === undefined ? {} : { details }), remedy, object, offset };
  }
}

/** Returns any thrown value as a BlockferryError; an unforeseen error gets the code `Unexpected`. */
export function asBlockferryError(error: unknown): BlockferryError {
  if (error instanceof BlockferryError) return error;
  const message = systemErrorMessage(error);
  // `path.resolve` and threads ask for the working directory, too. Threads keep only the message.
  if (message.includes("uv_cwd")) return workingDirectoryGone(error);
  const remedy =
    "blockferry did not expect this error. Run the command again with --verbose, and report the stack trace.";
  return new BlockferryError({ code: "Unexpected", message, remedy }, error);
}

/** Returns the error for a process whose working directory was removed. */
export function workingDirectoryGone(cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "WorkingDirectoryGone",
      message: "The working directory of this process does not exist any more.",
      remedy: "Change to a directory that exists (`cd /`), and run the command again.",
    },
    cause,
  );
}

/**
 * Returns the `code` of a Node system error. Examples are `ENOENT` and `EIO`; any other value gives
 * undefined. Node names only some of the kernel's errors, and for example not `EDQUOT`.
 */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  if (!error.code.startsWith(UNNAMED) || !("errno" in error)) return error.code;
  const number = -Number(error.errno);
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? error.code;
}

/** Returns the message of an error. A system error has its code in it, also where Node does not name it. */
export function systemErrorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replaceAll(UNNAMED_ERRORS, systemErrorCode(error) ?? error.message);
}

const UNNAMED = "Unknown system error";
const UNNAMED_ERRORS = /Unknown system error -\d+(?:: Unknown system error -\d+)?/g;

/** Throws if the signal has fired. @throws Interrupted */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw interrupted();
}

/** Returns the error of an interrupt. The command line adds the texts of the command. */
export function interrupted(): BlockferryError {
  return new BlockferryError({
    code: "Interrupted",
    message: "Interrupted.",
    remedy: "Run the same command again.",
  });
}

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
