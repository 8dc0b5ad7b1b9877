/**
 * All error codes that a user can meet. Scripts match on them, docs/reference/errors.md lists them, and the command
 * line maps each to an exit code.
 */
export const ERROR_CODES = [
  "Usage",
  "Interrupted",
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
  "PointReplaced",
  "PointReturned",
  "TombstoneUnsigned",
  "PointAmbiguous",
  "ObjectNotFound",
  "ObjectExists",
  "StorageFull",
  "StorageDenied",
  "StorageFailed",
  "StorageUnavailable",
  "BucketNotFound",
  "WrongRegion",
  "InsecureEndpoint",
  "CredentialsInvalid",
  "ConditionalWritesUnsupported",
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
  const message = error instanceof Error ? error.message : String(error);
  const remedy =
    "This is not an error that blockferry foresees. Run again with --verbose and report the trace.";
  return new BlockferryError({ code: "Unexpected", message, remedy }, error);
}

/**
 * Returns the `code` of a Node system error. Examples are `ENOENT` and `EIO`; any other value gives
 * undefined.
 */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
