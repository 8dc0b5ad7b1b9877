import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { ByteRange } from "../../native-free-io/byte-range.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { readChunk } from "../../repository/read-chunk.js";
import type { RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";

/** How a restore handles lost data: it refuses, or leaves zeros in their place. */
export type MissingData = "refuse" | "zeros";

export interface LoadedVolume {
  /** Lost positions count as zeros. */
  chunks: VolumeChunks;
  /** Bytes known to be lost, in any order; empty if missing data are refused. */
  lost: ByteRange[];
}

/**
 * Loads a volume's block map.
 * @throws ChunkMissing, or the error of the block map, if missing data are refused
 */
export async function loadVolume(
  storage: Storage,
  { index, packs, problems }: LoadedIndex,
  volume: RecoveryPointVolume,
  missing: MissingData,
): Promise<LoadedVolume> {
  const lost: ByteRange[] = [];
  const lose = (position: number, length: number) => {
    const offset = position * CHUNK_BYTES;
    lost.push({ offset, length: Math.min(volume.sizeBytes - offset, length * CHUNK_BYTES) });
  };
  const chunks = await loadBlockMap(Buffer.from(volume.root, "hex"), chunkCount(volume.sizeBytes), {
    index,
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    onMissingChunk: (position) => {
      if (missing === "refuse") throw dataMissing(volume, position, problems);
      lose(position, 1);
    },
    onMissingNode: (position, length, error) => {
      if (missing === "refuse" || saysNothing(error)) throw error;
      lose(position, length);
    },
  });
  return { chunks, lost };
}

function dataMissing(
  volume: RecoveryPointVolume,
  position: number,
  problems: BlockferryError[],
): BlockferryError {
  const known = problems.map(({ message }) => ` ${message}`).join("");
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Volume ${volume.name} lacks its data at byte ${position * CHUNK_BYTES}; nothing was restored.${known}`,
    remedy:
      "Run `blockferry-agent repair points` to see what exactly is lost. Bring the missing packs back from a replica, or back the volume up again while it still has these data; `restore --allow-missing` restores the rest.",
    object: volume.name,
    offset: position * CHUNK_BYTES,
  });
}
