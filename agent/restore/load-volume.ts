import { BlockferryError } from "../../foundation/errors.js";
import type { TargetDescription } from "../../native-free-io/block-target.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import type { VolumeChunks } from "../../repository/format/block-map.js";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import type { RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import type { ChunkIndexMemory } from "../../repository/index/chunk-index-memory.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import type { ExtentQueueMemory } from "../threads/shared-memory.js";

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
  stored: StoredChunks,
  volume: RecoveryPointVolume,
  missing: MissingData,
): Promise<LoadedVolume> {
  const lost: ByteRange[] = [];
  const lose = (position: number, length: number) => {
    const offset = position * CHUNK_BYTES;
    lost.push({ offset, length: Math.min(volume.sizeBytes - offset, length * CHUNK_BYTES) });
  };
  const chunks = await stored.loadMap(volume, {
    onMissingChunk: (position) => {
      if (missing === "refuse") throw dataMissing(volume, position, stored.problems);
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
      "Run `blockferry-agent repair points` to see exactly which data are lost. Restore the missing packs from a replica, or back up the volume again while it still has these data; `restore --allow-missing` restores the rest.",
    object: volume.name,
    offset: position * CHUNK_BYTES,
  });
}

/** The input of a restore thread. */
export interface RestoreTask {
  storage: StorageLocation;
  volumes: RestoreVolumeTask[];
  index: ChunkIndexMemory;
  packs: SharedArrayBuffer;
  extents: ExtentQueueMemory;
  counters: SharedArrayBuffer;
  missing: MissingData;
}

/** A chunk that could not be read, by its numbers; the target has zeros in its place. */
export interface LostChunk {
  /** Number of the volume in the task. */
  volume: number;
  /** Number of the chunk in the volume. */
  position: number;
}

interface RestoreVolumeTask {
  target: TargetDescription;
  sizeBytes: number;
  chunks: SharedArrayBuffer;
}
