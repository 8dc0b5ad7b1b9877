/**
 * Every failure a user can meet. One name each: scripts match on it, docs/operations.md lists it, and
 * the command line turns it into an exit code.
 */
export const ERROR_CODES = [
  "Usage",
  "Interrupted",
  "Unexpected",
  "RepositoryNotFound",
  "RepositoryExists",
  "RepositoryUnsupported",
  "RepositoryLocked",
  "PassphraseUnavailable",
  "PassphraseWrong",
  "KeyNotFound",
  "KeyNeeded",
  "PointNotFound",
  "ObjectNotFound",
  "ObjectExists",
  "StorageFull",
  "StorageDenied",
  "StorageFailed",
  "StorageUnavailable",
  "BucketNotFound",
  "WrongRegion",
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
  "LeaseLost",
  "PruneRunning",
  "SourceNotFound",
  "SourceUnreadable",
  "SourceShrunk",
  "TargetNotUsable",
  "TargetTooSmall",
  "TargetInUse",
  "TargetNotEmpty",
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

/** The parts of an error that survive a thread boundary: a structured clone keeps no subclass. */
export interface ErrorRecord {
  code: ErrorCode;
  message: string;
  /** What the user can do about it, as an instruction. */
  remedy: string;
  /** What it happened to: a repository key, a device, a file. */
  object?: string | undefined;
  /** Where in the object, in bytes. */
  offset?: number | undefined;
}

export class BlockferryError extends Error implements ErrorRecord {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly object: string | undefined;
  readonly offset: number | undefined;

  constructor(record: ErrorRecord, cause?: unknown) {
    super(record.message, { cause });
    this.name = record.code;
    this.code = record.code;
    this.remedy = record.remedy;
    this.object = record.object;
    this.offset = record.offset;
  }

  toRecord(): ErrorRecord {
    const { code, message, remedy, object, offset } = this;
    return { code, message, remedy, object, offset };
  }
}

/** Any thrown value as a BlockferryError; what this project did not foresee becomes `Unexpected`. */
export function asBlockferryError(error: unknown): BlockferryError {
  if (error instanceof BlockferryError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const remedy =
    "This is not an error that blockferry foresees. Run again with --verbose and report the trace.";
  return new BlockferryError({ code: "Unexpected", message, remedy }, error);
}

/** The `code` of a Node system error (`ENOENT`, `EIO`, ...), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
