import { BlockSource } from "../../native-free-io/block-source.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { EXTENT_CHUNKS } from "../extent-queue.js";
import type { ChunkPlace } from "./read-in-flight.js";

const EXTENT_BYTES = EXTENT_CHUNKS * CHUNK_BYTES;
/** Prime, so that the walk visits every extent before it repeats, unless their number is a multiple of it. */
const STRIDE = 7919;

/**
 * Opens the devices for reading, and passes them to `use`.
 * @throws SourceNotFound, SourceUnreadable
 */
export async function withSources<T>(
  paths: string[],
  use: (sources: BlockSource[]) => Promise<T>,
): Promise<T> {
  const sources: BlockSource[] = [];
  try {
    for (const path of paths) sources.push(await BlockSource.open(path));
    return await use(sources);
  } finally {
    for (const source of sources) await source.close();
  }
}

/**
 * Yields places in the order of a backup: chunk by chunk within an extent, extents of all devices in turn.
 * They are spread over the device, and none repeats before all have been read: a second read of the same data
 * is fast (a lazily loaded EBS volume).
 */
export function* placesOf(sources: BlockSource[]): Generator<ChunkPlace, void> {
  const filled = sources.filter(({ sizeBytes }) => sizeBytes > 0);
  for (let turn = 0; filled.length > 0; turn++) {
    for (const { path, fd, sizeBytes } of filled) {
      const extents = Math.ceil(sizeBytes / EXTENT_BYTES);
      const start = ((turn * STRIDE) % extents) * EXTENT_BYTES;
      const end = Math.min(start + EXTENT_BYTES, sizeBytes);
      for (let offset = start; offset < end; offset += CHUNK_BYTES) yield { path, fd, offset };
    }
  }
}
