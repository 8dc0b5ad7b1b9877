import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { allocateAligned } from "./aligned-memory.js";

const SAMPLE_BYTES = 1024 * 1024;
/** Number of samples: the first and the last one, and others evenly between them. */
const SAMPLES = 64;

/**
 * Looks for data on a device that should be blank: an EBS volume that was not made from a snapshot reads as
 * zeros. Partition tables and the superblocks of file systems, LVM and RAID are at the ends.
 * @param fd of the open device
 * @returns the offset of the first sample with data; undefined when all samples are zeros
 */
export async function firstData(fd: number, sizeBytes: number): Promise<number | undefined> {
  // Bypasses the page cache, which may still have older data.
  const handle = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_DIRECT);
  try {
    const buffer = allocateAligned(SAMPLE_BYTES);
    const zeros = Buffer.alloc(SAMPLE_BYTES);
    for (const offset of sampleOffsets(sizeBytes)) {
      const bytes = await readSample(handle, buffer, offset, sizeBytes);
      if (!buffer.subarray(0, bytes).equals(zeros.subarray(0, bytes))) return offset;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

function sampleOffsets(sizeBytes: number): number[] {
  const last = Math.max(0, Math.ceil(sizeBytes / SAMPLE_BYTES) - 1);
  const numbers = Array.from({ length: SAMPLES }, (_, index) => Math.round((last * index) / (SAMPLES - 1)));
  return [...new Set(numbers)].map((number) => number * SAMPLE_BYTES);
}

async function readSample(
  handle: FileHandle,
  buffer: Buffer,
  offset: number,
  sizeBytes: number,
): Promise<number> {
  const wanted = Math.min(SAMPLE_BYTES, sizeBytes - offset);
  const { bytesRead } = await handle.read(buffer, 0, wanted, offset);
  if (bytesRead < wanted)
    throw new Error(`only ${bytesRead} of ${wanted} bytes could be read at byte ${offset}`);
  return bytesRead;
}
