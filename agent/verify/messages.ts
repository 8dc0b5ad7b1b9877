import type { ErrorRecord } from "../../foundation/blockferry-error.js";
import type { ChunkIndexMemory } from "../../repository/chunk-index.js";
import type { StorageLocation } from "../../repository/storage/storage.js";

/** What a verify thread is given. */
export interface VerifyTask {
  storage: StorageLocation;
  index: ChunkIndexMemory;
  /** The packs to read: their ids, numbers in the pack table, and sizes in bytes. */
  selection: PackToRead[];
  /** One Int32: packs of the selection handed out so far. */
  taken: SharedArrayBuffer;
  /** One byte for each index entry: 1 when the chunk was read, proven, and found where the index says. */
  proven: SharedArrayBuffer;
  counters: SharedArrayBuffer;
}

export interface PackToRead {
  id: string;
  packNumber: number;
  sizeBytes: number;
}

/** Everything wrong that a thread found. */
export type VerifyThreadResult = ErrorRecord[];
