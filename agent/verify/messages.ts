import type { ErrorRecord } from "../../foundation/errors.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { ChunkIndexMemory } from "../../repository/index/chunk-index-memory.js";
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

/** The memory that a thread needs to work on entries that another thread sorted. */
interface PackEntriesMemory {
  starts: SharedArrayBuffer;
  entries: SharedArrayBuffer;
}

/**
 * The entries of an index by pack: a counting sort, whose cost is linear for any distribution.
 * 4 bytes an entry.
 */
export class PackEntries {
  private readonly starts: Uint32Array;
  private readonly entries: Uint32Array;

  private constructor(readonly memory: PackEntriesMemory) {
    this.starts = new Uint32Array(memory.starts);
    this.entries = new Uint32Array(memory.entries);
  }

  static of(index: ChunkIndex, packCount: number): PackEntries {
    const { size } = index;
    const sorted = new PackEntries({
      starts: new SharedArrayBuffer((packCount + 1) * Uint32Array.BYTES_PER_ELEMENT),
      entries: new SharedArrayBuffer(size * Uint32Array.BYTES_PER_ELEMENT),
    });
    const { starts, entries } = sorted;
    for (let entry = 0; entry < size; entry++) addTo(starts, index.packNumber(entry) + 1, 1);
    for (let pack = 0; pack < packCount; pack++) addTo(starts, pack + 1, starts[pack] as number);
    const next = starts.slice();
    for (let entry = 0; entry < size; entry++) {
      const pack = index.packNumber(entry);
      entries[next[pack] as number] = entry;
      addTo(next, pack, 1);
    }
    return sorted;
  }

  static attach(memory: PackEntriesMemory): PackEntries {
    return new PackEntries(memory);
  }

  /** Returns the entries of a pack, in the order of their insertion into the index. */
  of(packNumber: number): Uint32Array {
    return this.entries.subarray(this.starts[packNumber], this.starts[packNumber + 1]);
  }
}

function addTo(numbers: Uint32Array, at: number, count: number): void {
  numbers[at] = (numbers[at] as number) + count;
}
