import { BlockSource } from "../../native-free-io/block-source.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { EXTENT_CHUNKS } from "../extent-queue.js";
import type { ChunkPlace } from "./read-in-flight.js";

const EXTENT_BYTES = EXTENT_CHUNKS * CHUNK_BYTES;
/** Prime, so that the walk meets every extent before it begins again, unless their number is a multiple of it. */
const STRIDE = 7919;

/** Opens the devices for reading, and hands them to `use`. @throws SourceNotFound, SourceUnreadable */
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
 * Places to read, as a backup meets them: chunk by chunk within an extent, extents of all devices in turn. They are spread over
 * the device, and none comes twice before all have come: what was read once is fast afterwards (a lazily loaded EBS volume).
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
