import { read } from "node:fs";
import { promisify } from "node:util";
import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import { isBadBlock } from "../../native-free-io/bad-block.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { sourceUnreadable } from "../backup/source-errors.js";

const readAsync = promisify(read);

/** A chunk of a source. */
export interface ChunkPlace {
  path: string;
  /** Descriptor of the source. */
  fd: number;
  /** In bytes. */
  offset: number;
}

/**
 * Keeps one read per slot in flight until `next` returns undefined.
 * @param memory aligned, one chunk per slot
 * @returns the bytes read
 * @throws SourceUnreadable
 */
export async function readInFlight(
  slots: number,
  next: () => ChunkPlace | undefined,
  memory = allocateAligned(slots * CHUNK_BYTES),
): Promise<number> {
  let readBytes = 0;
  const readOn = async (_: unknown, slot: number) => {
    const buffer = memory.subarray(slot * CHUNK_BYTES, (slot + 1) * CHUNK_BYTES);
    for (let place = next(); place !== undefined; place = next()) {
      // In one expression the sum would be read before the wait, and lose the bytes of other slots.
      const bytesRead = await readChunk(place, buffer);
      readBytes += bytesRead;
    }
  };
  const reading = Array.from({ length: slots }, readOn);
  // The descriptors must outlive every read, even after one has failed.
  await Promise.allSettled(reading);
  await Promise.all(reading);
  return readBytes;
}

/**
 * Reads a chunk. Bad blocks are skipped here; the backup decides whether they are fatal.
 * @returns the bytes read
 * @throws SourceUnreadable
 */
export async function readChunk({ path, fd, offset }: ChunkPlace, into: Buffer): Promise<number> {
  try {
    return (await readAsync(fd, into, 0, CHUNK_BYTES, offset)).bytesRead;
  } catch (error) {
    if (isBadBlock(error)) return 0;
    throw sourceUnreadable(path, offset, error);
  }
}
