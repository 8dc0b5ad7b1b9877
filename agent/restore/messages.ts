import type { TargetDescription } from "../../native-free-io/block-target.js";
import type { ChunkIndexMemory } from "../../repository/chunk-index.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { ExtentQueueMemory } from "../extent-queue.js";
import type { MissingData } from "./load-volume.js";

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
