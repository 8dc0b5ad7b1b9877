import type { ErrorRecord } from "../../foundation/blockferry-error.js";
import type { ChunkIndexMemory } from "../../repository/chunk-index.js";
import type { PackEntriesMemory } from "../../repository/pack-entries.js";
import type { StorageLocation } from "../../repository/storage/storage.js";

/** The input of a verify thread. */
export interface VerifyTask {
  storage: StorageLocation;
  index: ChunkIndexMemory;
  /** The entries of the index by pack. */
  packEntries: PackEntriesMemory;
  /** The packs to read: their ids, numbers in the pack table, and sizes in bytes. */
  selection: PackToRead[];
  /** One Int32: packs of the selection handed out so far. */
  taken: SharedArrayBuffer;
  /** One byte per index entry: 1 if the chunk was read, proven, and found at its place in the index. */
  proven: SharedArrayBuffer;
  counters: SharedArrayBuffer;
}

export interface PackToRead {
  id: string;
  packNumber: number;
  sizeBytes: number;
}

/** All problems that a thread found. */
export type VerifyThreadResult = ErrorRecord[];
