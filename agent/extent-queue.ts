/** Chunks per extent, the unit of work that a thread takes: 32 chunks are 16 MiB. */
export const EXTENT_CHUNKS = 32;

/** A run of chunks of one volume. */
export interface Extent {
  /** Number of the volume in the run. */
  volume: number;
  /** First chunk. */
  start: number;
  /** Chunk after the last. */
  end: number;
}

export interface ExtentQueueMemory {
  /** One Int32 per volume: extents handed out so far. */
  taken: SharedArrayBuffer;
  /** Number of chunks per volume. */
  chunkCounts: number[];
}

/**
 * Hands out the extents of all volumes to all threads.
 * Each extent is handed out exactly once (`Atomics.add`). Threads take volumes in turn, so that all of them
 * are read at the same time.
 */
export class ExtentQueue {
  private readonly taken: Int32Array;
  private lastVolume: number;

  private constructor(
    readonly memory: ExtentQueueMemory,
    firstVolume: number,
  ) {
    this.taken = new Int32Array(memory.taken);
    this.lastVolume = firstVolume;
  }

  static create(chunkCounts: number[]): ExtentQueue {
    const taken = new SharedArrayBuffer(chunkCounts.length * Int32Array.BYTES_PER_ELEMENT);
    return new ExtentQueue({ taken, chunkCounts }, 0);
  }

  /** @param thread number of the thread: threads start at different volumes */
  static attach(memory: ExtentQueueMemory, thread: number): ExtentQueue {
    return new ExtentQueue(memory, thread % memory.chunkCounts.length);
  }

  /** Returns the next extent of any volume, or undefined if all are taken. */
  next(): Extent | undefined {
    const { chunkCounts } = this.memory;
    for (let i = 1; i <= chunkCounts.length; i++) {
      const volume = (this.lastVolume + i) % chunkCounts.length;
      const count = chunkCounts[volume] as number;
      if (Atomics.load(this.taken, volume) * EXTENT_CHUNKS >= count) continue;
      const start = Atomics.add(this.taken, volume, 1) * EXTENT_CHUNKS;
      if (start >= count) continue;
      this.lastVolume = volume;
      return { volume, start, end: Math.min(start + EXTENT_CHUNKS, count) };
    }
    return undefined;
  }
}
