import { read } from "node:fs";
import { promisify } from "node:util";
import { BlockferryError, systemErrorMessage } from "../../foundation/errors.js";
import { DIRECT_ALIGNMENT_BYTES, isBadBlock } from "../../native-free-io/block-source.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import { MAX_BAD_RANGES } from "../../repository/format/object-bounds.js";

const readAsync = promisify(read);

interface SalvageRequest {
  fd: number;
  path: string;
  /** Size of the source in bytes. */
  sizeBytes: number;
  /** Where the chunk starts in the source, in bytes. */
  offset: number;
  /** Length of the chunk in bytes. */
  length: number;
  /** Aligned, and at least a whole number of blocks long. */
  into: Buffer;
  badBlocks: "fail" | "skip";
}

/**
 * Reads a chunk block by block, after a failed or short read.
 * Slow, but finds exactly which blocks are bad.
 * @returns the blocks that cannot be read; they are zeros in `into`
 * @throws SourceUnreadable at the first bad block with `badBlocks: "fail"`; SourceShrunk
 */
export async function salvageChunk(request: SalvageRequest): Promise<ByteRange[]> {
  const badRanges: ByteRange[] = [];
  for (let at = 0; at < request.length; at += DIRECT_ALIGNMENT_BYTES) {
    const length = Math.min(DIRECT_ALIGNMENT_BYTES, request.length - at);
    const bytesRead = await readBlock(request, at);
    if (bytesRead === undefined) {
      request.into.fill(0, at, at + length);
      badRanges.push({ offset: request.offset + at, length });
    } else if (bytesRead < length) {
      throw sourceShrunk(request.path, request.offset + at + bytesRead, request.sizeBytes);
    }
  }
  return badRanges;
}

/** @returns the number of bytes read, or undefined for a bad block to skip */
async function readBlock(request: SalvageRequest, at: number): Promise<number | undefined> {
  const offset = request.offset + at;
  try {
    const { bytesRead } = await readAsync(request.fd, request.into, at, DIRECT_ALIGNMENT_BYTES, offset);
    return bytesRead;
  } catch (error) {
    if (request.badBlocks === "skip" && isBadBlock(error)) return undefined;
    throw sourceUnreadable(request.path, offset, error);
  }
}

export function sourceUnreadable(path: string, offset: number, cause: unknown): BlockferryError {
  const reason = systemErrorMessage(cause);
  return new BlockferryError(
    {
      code: "SourceUnreadable",
      message: `${path} cannot be read at byte ${offset}: ${reason}.`,
      remedy: isBadBlock(cause)
        ? "The device has a bad block (`dmesg` shows more). Repair or replace it, or run again with --skip-bad-blocks to back up the rest; the point records the missing blocks."
        : "Check that the device is still attached (`lsblk`), then run the same command again: it continues from the stored data.",
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
    message: `${path} and the devices that are backed up with it cannot be read in ${count} places; a recovery point may have at most ${MAX_BAD_RANGES}.`,
    remedy:
      "No recovery point was made, but the data that were read are stored. Copy the device to a good one with ddrescue, and back up the copy.",
    object: path,
  });
}

export function sourceShrunk(path: string, offset: number, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "SourceShrunk",
    message: `${path} ends at byte ${offset}; it had ${sizeBytes} bytes when the backup started.`,
    remedy:
      "Something made the device or file shorter. Stop the process that changes it, then run the backup again.",
    object: path,
    offset,
  });
}
