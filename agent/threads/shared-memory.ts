/** The counters of a run, all in bytes. */
const COUNTERS = ["doneBytes", "zeroBytes", "duplicateBytes", "newBytes", "storedBytes"] as const;

type Counter = (typeof COUNTERS)[number];
export type CounterTotals = Record<Counter, number>;

/**
 * Progress of a run, as one row of float64 per thread.
 * Each row is written only by its thread and read by the main thread for display, so no ordering is needed.
 * Totals are exact once the threads have ended.
 */
export class Counters {
  private readonly cells: Float64Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cells = new Float64Array(memory);
  }

  static create(rows: number): Counters {
    return new Counters(new SharedArrayBuffer(rows * COUNTERS.length * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): Counters {
    return new Counters(memory);
  }

  row(number: number): CounterRow {
    return new CounterRow(this.cells.subarray(number * COUNTERS.length, (number + 1) * COUNTERS.length));
  }

  totals(): CounterTotals {
    const totals = { doneBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 };
    for (let cell = 0; cell < this.cells.length; cell++) {
      totals[COUNTERS[cell % COUNTERS.length] as Counter] += this.cells[cell] as number;
    }
    return totals;
  }
}

/** One thread's counters. */
export class CounterRow {
  constructor(private readonly cells: Float64Array) {}

  add(counter: Counter, bytes: number): void {
    const cell = COUNTERS.indexOf(counter);
    this.cells[cell] = (this.cells[cell] as number) + bytes;
  }
}

/** A long operation that can be watched. */
export interface WatchedRun {
  /** "Backing up", "Restoring", "Verifying". */
  label: string;
  totalBytes: number;
  totals(): CounterTotals;
}

/** Receives the progress of a run: the command line shows it, a service may log it. */
export interface RunWatcher {
  start(run: WatchedRun): void;
  stop(): void;
  /** Reports something that the user should know but that is not a failure. */
  notice(message: string): void;
}

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

/** One Int32 that every thread of a run reads: 0 while the run continues, 1 when all must stop. Set once. */
export class StopFlag {
  private readonly word: Int32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.word = new Int32Array(memory);
  }

  static create(): StopFlag {
    return new StopFlag(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): StopFlag {
    return new StopFlag(memory);
  }

  set(): void {
    Atomics.store(this.word, 0, 1);
  }

  get isSet(): boolean {
    return Atomics.load(this.word, 0) !== 0;
  }
}

/** A fixed number of buffers; a caller waits its turn if none is free. */
export class BufferPool {
  private readonly waiting: ((buffer: Buffer) => void)[] = [];

  constructor(private readonly free: Buffer[]) {}

  take(): Buffer | Promise<Buffer> {
    return this.free.pop() ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(buffer);
    else next(buffer);
  }
}
