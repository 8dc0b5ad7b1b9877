import { read } from "node:fs";
import { promisify } from "node:util";
import { isBadBlock } from "../../native-free-io/bad-block.js";
import { DIRECT_ALIGNMENT_BYTES } from "../../native-free-io/block-source.js";
import type { ByteRange } from "../../native-free-io/byte-range.js";
import { sourceShrunk, sourceUnreadable } from "./source-errors.js";

const readAsync = promisify(read);

export interface SalvageRequest {
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
