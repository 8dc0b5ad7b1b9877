import type { NumberSet } from "../../foundation/number-set.js";
import type { BackupStep, StageSeconds } from "../../report/backup-figures.js";
import type { VolumeChunks } from "../../repository/format/block-map.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { CounterTotals } from "../threads/shared-memory.js";

/** A backup whose recovery point is committed. */
export interface StoredBackup {
  point: RecoveryPoint;
  /** The chunks stored before the backup, without those of this run. */
  known: StoredChunks;
  /** Number of entries at that time; entries from this number on belong to this run. */
  knownEntries: number;
  /** The known entries whose chunks proved wrong and were stored again by this run. */
  storedAgain: NumberSet;
  /** The index including the entries that this run added. */
  index: ChunkIndex;
  /** The chunks of each volume, in the order of the point. */
  volumes: { chunks: VolumeChunks }[];
}

/** Records how a backup proceeds; by default nothing is recorded. */
export interface BackupRecorder {
  /** Starts a step, and ends the one before it. */
  begin(step: BackupStep): void;
  /**
   * Called when the threads start to read.
   * @returns where they record their stages; undefined if they do not
   */
  reading(threads: number, totals: () => CounterTotals): StageTimes | undefined;
  /**
   * Called while the lease is still held, so that nothing is removed from the repository. Must not throw: the
   * backup is done.
   */
  stored(backup: StoredBackup): Promise<void>;
}

export const NO_RECORDER: BackupRecorder = {
  begin: () => undefined,
  reading: () => undefined,
  stored: () => Promise.resolve(),
};

/**
 * The stages of a backup thread. The waits come last: their time belongs to the event loop, which also does
 * other work.
 */
const THREAD_STAGES = ["read", "zeros", "hash", "compress", "device", "storage"] as const;

type ThreadStage = (typeof THREAD_STAGES)[number];

/** A row has one cell per stage in milliseconds, then the idle time of the event loop. */
const IDLE_CELL = THREAD_STAGES.length;
const ROW_CELLS = IDLE_CELL + 1;

/**
 * Records where the threads spend their time.
 * There is one row of float64 per thread, written only by that thread and sampled by the main thread, so no
 * ordering is needed. Totals are exact once the threads have ended.
 */
export class StageTimes {
  private readonly cells: Float64Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cells = new Float64Array(memory);
  }

  static create(threads: number): StageTimes {
    return new StageTimes(new SharedArrayBuffer(threads * ROW_CELLS * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): StageTimes {
    return new StageTimes(memory);
  }

  get threads(): number {
    return this.cells.length / ROW_CELLS;
  }

  clock(thread: number): StageClock {
    return new RunningClock(this.row(thread));
  }

  /** Returns a copy of a thread's row in milliseconds; `stageSeconds` takes two of them. */
  snapshot(thread: number): Float64Array {
    return this.row(thread).slice();
  }

  private row(thread: number): Float64Array {
    return this.cells.subarray(thread * ROW_CELLS, (thread + 1) * ROW_CELLS);
  }
}

/**
 * Returns a thread's seconds per stage between two snapshots of its row.
 * The loop's own time, when it neither waited nor ran one of the stages, is deducted from both waits in
 * proportion.
 */
export function stageSeconds(before: Float64Array, after: Float64Array): StageSeconds {
  const spent = (cell: number) => ((after[cell] as number) - (before[cell] as number)) / 1000;
  const of = (stage: ThreadStage) => spent(THREAD_STAGES.indexOf(stage));
  const [device, storage] = [of("device"), of("storage")];
  const waited = device + storage;
  const send = Math.max(0, waited - spent(IDLE_CELL));
  const share = waited === 0 ? 0 : 1 - send / waited;
  return {
    ...{ read: of("read"), zeros: of("zeros"), hash: of("hash"), compress: of("compress") },
    ...{ send, device: device * share, storage: storage * share },
  };
}

/** The stage clock of one thread, used only by that thread. */
export interface StageClock {
  /** Starts a stage, and ends the one before it. */
  enter(stage: ThreadStage): void;
  /** Publishes all times so far with the idle time of the event loop; one is useless without the other. */
  note(): void;
}

/** For a run that records no stage times. */
export const NO_CLOCK: StageClock = { enter: () => undefined, note: () => undefined };

class RunningClock implements StageClock {
  private stage = THREAD_STAGES.indexOf("device");
  private since = performance.now();
  private readonly idleBefore = idleMs();
  private readonly spent = new Float64Array(ROW_CELLS);

  constructor(private readonly row: Float64Array) {}

  enter(stage: ThreadStage): void {
    const now = performance.now();
    this.spent[this.stage] = (this.spent[this.stage] as number) + (now - this.since);
    this.since = now;
    this.stage = THREAD_STAGES.indexOf(stage);
  }

  note(): void {
    this.enter(THREAD_STAGES[this.stage] as ThreadStage);
    this.spent[IDLE_CELL] = idleMs() - this.idleBefore;
    this.row.set(this.spent);
  }
}

function idleMs(): number {
  return performance.eventLoopUtilization().idle;
}
