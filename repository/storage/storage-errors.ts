import { BlockferryError, type ErrorCode, systemErrorCode } from "../../foundation/blockferry-error.js";

export function objectNotFound(storage: string, key: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ObjectNotFound",
      message: `${key} is missing from ${storage}.`,
      remedy:
        "Run `blockferry-agent verify` to learn what else is missing and which recovery points need it.",
      object: key,
    },
    cause,
  );
}

export function objectExists(storage: string, key: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ObjectExists",
      message: `${key} already exists in ${storage}; somebody else wrote it first.`,
      remedy: "Nothing was overwritten. Look at what is there before trying again.",
      object: key,
    },
    cause,
  );
}

/** Turns a system error of the local file system into the error that says what to do about it. */
export function storageError(storage: string, key: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const { code, remedy } = explain(systemErrorCode(cause));
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BlockferryError(
    { code, message: `${key} in ${storage}: ${reason}.`, remedy, object: key },
    cause,
  );
}

function explain(systemCode: string | undefined): { code: ErrorCode; remedy: string } {
  switch (systemCode) {
    case "ENOSPC":
    case "EDQUOT":
      return {
        code: "StorageFull",
        remedy:
          "Free some space or raise the quota, then run the same command again: it goes on from what is stored.",
      };
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return {
        code: "StorageDenied",
        remedy: "Run as a user that may read and write the repository, or mount it writable.",
      };
    default:
      return {
        code: "StorageFailed",
        remedy:
          "Check the file system and disk that hold the repository (`dmesg` tells more), then run again.",
      };
  }
}
