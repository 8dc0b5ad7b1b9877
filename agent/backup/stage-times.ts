import type { StageSeconds } from "../../report/backup-figures.js";

/** What a backup thread can be at. The waits come last: their time is of the event loop, which has other work in it. */
const THREAD_STAGES = ["read", "zeros", "hash", "compress", "device", "storage"] as const;

type ThreadStage = (typeof THREAD_STAGES)[number];

/** A row: milliseconds for each stage, then those that the event loop was idle. */
const IDLE_CELL = THREAD_STAGES.length;
const ROW_CELLS = IDLE_CELL + 1;

/**
 * Where the time of the threads goes: one row of float64 for each, written by its thread alone and read by the main thread
 * now and then, so no ordering is needed. Totals are exact once the threads have ended.
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

  /** Milliseconds so far, as they stand in the row: for `stageSeconds`, which takes two of them. */
  snapshot(thread: number): Float64Array {
    return this.row(thread).slice();
  }

  private row(thread: number): Float64Array {
    return this.cells.subarray(thread * ROW_CELLS, (thread + 1) * ROW_CELLS);
  }
}

/**
 * What a thread did between two snapshots of its row. The loop's own time, when it neither waited nor was in one of the
 * stages, is taken from both waits in proportion.
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

/** Kept by a thread for itself. */
export interface StageClock {
  /** From now on the thread is at this. */
  enter(stage: ThreadStage): void;
  /** Lets others see all so far, with how long the event loop has been idle: together, as one is no use without the other. */
  note(): void;
}

/** For a run that nobody wants to know this of. */
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
