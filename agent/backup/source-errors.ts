import { BlockferryError } from "../../foundation/blockferry-error.js";
import { isBadBlock } from "../../native-free-io/bad-block.js";
import { MAX_BAD_RANGES } from "../../repository/recovery-point.js";

export function sourceUnreadable(path: string, offset: number, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BlockferryError(
    {
      code: "SourceUnreadable",
      message: `${path} cannot be read at byte ${offset}: ${reason}.`,
      remedy: isBadBlock(cause)
        ? "The device has a bad block (`dmesg` tells more). Repair or replace it, or run again with --skip-bad-blocks to back up the rest; the point records what is missing."
        : "Check that the device is still attached (`lsblk`), then run the same command again: it goes on from what is stored.",
      object: path,
      offset,
    },
    cause,
  );
}

/** More bad ranges than a recovery point can hold. */
export function tooManyBadRanges(path: string, count: number): BlockferryError {
  return new BlockferryError({
    code: "SourceUnreadable",
    message: `${path} and what is backed up with it cannot be read in ${count} places; a recovery point may have ${MAX_BAD_RANGES}.`,
    remedy:
      "There is no point, and what was read is stored. Copy the device to a sound one with ddrescue, and back that up.",
    object: path,
  });
}

export function sourceShrunk(path: string, offset: number, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "SourceShrunk",
    message: `${path} ends at byte ${offset}; it had ${sizeBytes} bytes when the backup began.`,
    remedy: "Something cut the device or file short. Let it come to rest, then run the backup again.",
    object: path,
    offset,
  });
}
