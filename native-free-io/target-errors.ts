import { BlockferryError, systemErrorCode } from "../foundation/blockferry-error.js";

/** Returns the error for a path that cannot be restored to. A BlockferryError stays as it is. */
export function targetNotUsable(path: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BlockferryError(
    {
      code: "TargetNotUsable",
      message: `${path} cannot be restored to: ${reason}.`,
      remedy:
        systemErrorCode(cause) === "EFBIG"
          ? "The file system there allows no file as large as the volume (ext4: 16 TiB - 4 KiB); use XFS, or a device."
          : "Give a block device, or a file in a folder that this user may write.",
      object: path,
    },
    cause,
  );
}

export function targetTooSmall(path: string, deviceBytes: number, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "TargetTooSmall",
    message: `${path} holds ${deviceBytes} bytes, the volume needs ${sizeBytes}.`,
    remedy: "Restore to a device of at least the volume's size, or to a file.",
    object: path,
  });
}

/** Returns the error for a target in use. @param user a clause that names the user */
export function targetInUse(path: string, user: string): BlockferryError {
  return new BlockferryError({
    code: "TargetInUse",
    message: `${path} is in use: ${user}.`,
    remedy: "Unmount or release it first (`lsblk` shows its users), or restore to another device.",
    object: path,
  });
}

export function targetNotEmpty(path: string): BlockferryError {
  return new BlockferryError({
    code: "TargetNotEmpty",
    message: `${path} already holds data.`,
    remedy: "Restore to another path, or replace the file with --force.",
    object: path,
  });
}
