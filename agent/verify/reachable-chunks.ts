import type { BlockferryError } from "../../errors/blockferry-error.js";
import { asBlockferryError } from "../../errors/blockferry-error.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { readChunk } from "../../repository/read-chunk.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";

/** Bytes of a volume, in a recovery point, that are lost. */
export interface DamagedRange {
  point: string;
  volume: string;
  offset: number;
  length: number;
}

export interface WalkResult {
  /** Index entries of the chunks and block-map nodes that the volume needs. */
  entries: Set<number>;
  damaged: DamagedRange[];
  problems: BlockferryError[];
}

/**
 * Walks a volume's block map and finds the chunks that it needs.
 * @param isLost tells chunks that are in the index and yet known to be lost
 */
export async function walkVolume(
  storage: Storage,
  { index, packs }: LoadedIndex,
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
  isLost: (entry: number) => boolean,
): Promise<WalkResult> {
  const result: WalkResult = { entries: new Set(), damaged: [], problems: [] };
  const count = chunkCount(volume.sizeBytes);
  const lose = (position: number, chunks: number) => {
    const offset = position * CHUNK_BYTES;
    const length = Math.min(volume.sizeBytes - offset, chunks * CHUNK_BYTES);
    const last = result.damaged.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else result.damaged.push({ point: point.id, volume: volume.name, offset, length });
  };
  const chunks = await loadBlockMap(Buffer.from(volume.root, "hex"), count, {
    index,
    readChunk: (entry) => {
      result.entries.add(entry);
      return readChunk(storage, index, packs, entry);
    },
    onMissingChunk: (position) => lose(position, 1),
    onMissingNode: (position, length, error) => {
      result.problems.push(asBlockferryError(error));
      lose(position, length);
    },
  });
  for (let position = 0; position < count; position++) {
    const entry = chunks.get(position);
    if (entry < 0) continue;
    result.entries.add(entry);
    const expected = Math.min(CHUNK_BYTES, volume.sizeBytes - position * CHUNK_BYTES);
    if (isLost(entry) || index.record(entry).rawBytes !== expected) lose(position, 1);
  }
  return result;
}
