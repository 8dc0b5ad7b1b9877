import type { ByteRange } from "../../native-free-io/byte-range.js";
import type { Compression } from "../../repository/chunk-codec.js";
import type { ChunkIndexMemory } from "../../repository/chunk-index.js";
import type { IndexedPack } from "../../repository/index-segment.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type { ExtentQueueMemory } from "../extent-queue.js";

/** The input of a backup thread. */
export interface BackupTask {
  storage: StorageLocation;
  volumes: VolumeTask[];
  index: ChunkIndexMemory;
  extents: ExtentQueueMemory;
  counters: SharedArrayBuffer;
  /** Where the thread records its current stage; undefined if stages are not recorded. */
  stages: SharedArrayBuffer | undefined;
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
}

export interface VolumeTask {
  path: string;
  /** Opened by the main thread; descriptors belong to the process. */
  fd: number;
  sizeBytes: number;
  chunks: SharedArrayBuffer;
  data: SharedArrayBuffer | undefined;
}

/** Sent for every pack when it is durable. A structured clone turns a Buffer into a plain Uint8Array. */
export type BackupMessage = Omit<IndexedPack, "footer"> & { footer: Uint8Array };

export interface BackupThreadResult {
  /** Bad blocks that were skipped, per volume. */
  badRanges: ByteRange[][];
}
