import {
  BlockferryError,
  type ErrorCode,
  NOT_CONNECTED,
  systemErrorCode,
  systemErrorMessage,
} from "../../foundation/errors.js";
import { damagedRemedy, maxObjectBytes } from "../format/object-bounds.js";

export function objectNotFound(storage: string, key: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ObjectNotFound",
      message: `${key} is missing from ${storage}.`,
      remedy: "Run `blockferry-agent verify` to see what else is missing and which recovery points need it.",
      object: key,
    },
    cause,
  );
}

export function objectExists(storage: string, key: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ObjectExists",
      message: `${key} already exists in ${storage}; another process wrote it first.`,
      remedy: "Nothing was overwritten. Look at the existing object before trying again.",
      object: key,
    },
    cause,
  );
}

/** Returns the error for an object larger than any object from blockferry. */
export function objectTooLarge(storage: string, key: string, sizeBytes: number): BlockferryError {
  const maxBytes = maxObjectBytes(key);
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} in ${storage} is damaged: it has ${sizeBytes} bytes, but such an object has at most ${maxBytes}.`,
    remedy: damagedRemedy(key),
    object: key,
    offset: maxBytes,
  });
}

/** Returns the error for an object that is not a regular file. */
export function objectIrregular(storage: string, key: string): BlockferryError {
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} in ${storage} is not a regular file: a folder, symbolic link, FIFO, socket or device stands in its place.`,
    remedy:
      "Find out who put it there, and move it away. Then restore the object from a replica, if there is one.",
    object: key,
    offset: 0,
  });
}

/** Refuses to store an object that would be too large to be read again. @throws StorageFailed */
export function refuseTooLarge(storage: string, key: string, body: Uint8Array): void {
  const maxBytes = maxObjectBytes(key);
  if (body.length <= maxBytes) return;
  throw new BlockferryError({
    code: "StorageFailed",
    message: `${key} in ${storage} would have ${body.length} bytes; such an object may have at most ${maxBytes}.`,
    remedy:
      "It was not written, because it could not be read again. Back up fewer volumes into one recovery point, and use more than one repository.",
    object: key,
  });
}

const NOT_ANSWERED: ReadonlySet<ErrorCode> = new Set([
  "StorageUnavailable",
  "CredentialsInvalid",
  "Interrupted",
  ...NOT_CONNECTED,
]);

/**
 * Returns whether an error says nothing about the object: neither an outage nor expired credentials
 * make it damaged.
 */
export function wasNotAnswered(error: unknown): boolean {
  return error instanceof BlockferryError && NOT_ANSWERED.has(error.code);
}

/**
 * Returns whether an error says nothing about the object, including a refused request: rights do not
 * depend on the object.
 */
export function saysNothing(error: unknown): boolean {
  const isRefused = error instanceof BlockferryError && error.code === "StorageDenied";
  return isRefused || wasNotAnswered(error);
}

/** Converts a local file system error into an error with a remedy. */
export function storageError(storage: string, key: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const { code, remedy } = isLinkRefused(cause) ? NO_HARD_LINKS : explain(systemErrorCode(cause));
  const reason = systemErrorMessage(cause).replaceAll(BY_DESCRIPTOR, "");
  return new BlockferryError(
    { code, message: `${key} in ${storage}: ${reason}.`, remedy, object: key },
    cause,
  );
}

/** Returns the error for a full file system where the reserve of the repository is used up, too. */
export function reserveUsedUp(storage: string, key: string, cause: unknown): BlockferryError {
  const remedy =
    "The space that the repository keeps in reserve is used up, too, or there is none yet. Remove other files from that file system, enlarge it, or raise the quota: 24 MiB and 24 inodes are enough (docs/how-to/file-systems.md). Then run the same command again.";
  return new BlockferryError({ ...storageError(storage, key, cause).toRecord(), remedy }, cause);
}

/** Matches paths below a descriptor. They mean nothing to the reader; the message names the key instead. */
const BY_DESCRIPTOR = / '\/proc\/self\/fd\/[^']*'(?: -> '[^']*')?/g;

const SUITABLE =
  "Keep the repository on ext4, XFS, btrfs, ZFS or NFS, or in S3 (docs/how-to/file-systems.md).";

const NO_HARD_LINKS = {
  code: "StorageUnsuitable",
  remedy: `The file system there has no hard links, by which an object is written once and never replaced. ${SUITABLE}`,
} as const;

/**
 * Returns the error for a file system without an operation that a repository needs.
 * @param lack a clause about the oddity of the file system
 */
export function fileSystemUnsuitable(storage: string, lack: string, cause?: unknown): BlockferryError {
  const message = `${storage} cannot hold a repository: ${lack}.`;
  return new BlockferryError(
    { code: "StorageUnsuitable", message, remedy: SUITABLE, object: storage },
    cause,
  );
}

/** Returns the error for a file system that cannot sync. @param lack as in `fileSystemUnsuitable` */
export function syncUnsupported(storage: string, lack: string, cause: unknown): BlockferryError {
  const remedy = `${SUITABLE} If you accept that loss, give every command --weak-durability, and run \`verify\` after a power failure.`;
  return new BlockferryError({ ...fileSystemUnsuitable(storage, lack).toRecord(), remedy }, cause);
}

function isLinkRefused(cause: unknown): boolean {
  const isLink = cause instanceof Error && "syscall" in cause && cause.syscall === "link";
  return isLink && ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(systemErrorCode(cause) ?? "");
}

function explain(systemCode: string | undefined): { code: ErrorCode; remedy: string } {
  switch (systemCode) {
    case "ENOSPC":
      return {
        code: "StorageFull",
        remedy:
          "The file system has no free blocks or no free inodes (`df` and `df -i` show which). Remove other files there or enlarge it; or run `forget`, then `prune --grace-period 0s`, which use the space that the repository keeps in reserve. Then run the same command again: it continues from the stored data.",
      };
    case "EDQUOT":
      return {
        code: "StorageFull",
        remedy:
          "The quota of this user, group or project is used up (`quota` shows it). Raise it, or run `forget`, then `prune --grace-period 0s`. Then run the same command again: it continues from the stored data.",
      };
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return {
        code: "StorageDenied",
        remedy: "Run as a user that may read and write the repository, or mount it writable.",
      };
    case "ENOTDIR":
    case "EISDIR":
    case "EEXIST":
    case "ELOOP":
    case "ENAMETOOLONG":
      return {
        code: "StorageFailed",
        remedy: "A file stands where the repository has a folder, or the path cannot be one. Check --repo.",
      };
    default:
      return {
        code: "StorageFailed",
        remedy:
          "Check the file system and disk that hold the repository (`dmesg` shows more), then run again.",
      };
  }
}

export function lockUnsupported(name: string): BlockferryError {
  return new BlockferryError({
    code: "LockUnsupported",
    message: `Objects in ${name} cannot be locked.`,
    remedy:
      "Enable Object Lock for the bucket (`aws s3api put-object-lock-configuration`, with versioning), without a default retention; or leave --lock-days and --lock-until out.",
    object: name,
  });
}
