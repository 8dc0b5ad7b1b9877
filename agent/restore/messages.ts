import type { TargetDescription } from "../../native-free-io/block-target.js";
import type { ChunkIndexMemory } from "../../repository/chunk-index.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { ExtentQueueMemory } from "../extent-queue.js";

/** What a restore thread is given. */
export interface RestoreTask {
  storage: StorageLocation;
  volumes: RestoreVolumeTask[];
  index: ChunkIndexMemory;
  packs: SharedArrayBuffer;
  extents: ExtentQueueMemory;
  counters: SharedArrayBuffer;
}

interface RestoreVolumeTask {
  target: TargetDescription;
  sizeBytes: number;
  chunks: SharedArrayBuffer;
}
