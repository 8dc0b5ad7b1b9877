import {
  addSeconds,
  MAX_SPANS,
  noSeconds,
  type Span,
  type StageSeconds,
} from "../../report/backup-figures.js";
import { type StageTimes, stageSeconds } from "../backup/recorder.js";
import type { CounterTotals } from "../threads/shared-memory.js";

const FIRST_INTERVAL_MS = 200;

interface TimelineSample {
  atMs: number;
  readBytes: number;
  storedBytes: number;
  /** One row per thread. */
  rows: Float64Array[];
}

/** Samples the counters and stages of the threads periodically, from outside. */
export class Timeline {
  private samples: TimelineSample[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly startedMs = performance.now();

  constructor(
    private readonly stages: StageTimes,
    private readonly totals: () => CounterTotals,
    private intervalMs = FIRST_INTERVAL_MS,
  ) {
    this.take();
    this.schedule();
  }

  /** Takes the last sample; further calls do nothing. */
  end(): void {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.take();
  }

  get spans(): Span[] {
    return this.samples
      .slice(1)
      .map((sample, number) => spanBetween(this.samples[number] as TimelineSample, sample));
  }

  /** Stage times of each thread, over the whole run. */
  get threads(): StageSeconds[] {
    const [first, last] = [this.samples[0] as TimelineSample, this.samples.at(-1) as TimelineSample];
    return last.rows.map((row, thread) => stageSeconds(first.rows[thread] as Float64Array, row));
  }

  private schedule(): void {
    this.timer = setTimeout(() => {
      this.take();
      this.schedule();
    }, this.intervalMs).unref();
  }

  private take(): void {
    const { doneBytes, storedBytes } = this.totals();
    const rows = Array.from({ length: this.stages.threads }, (_, thread) => this.stages.snapshot(thread));
    this.samples.push({ atMs: performance.now() - this.startedMs, readBytes: doneBytes, storedBytes, rows });
    if (this.samples.length < MAX_SPANS) return;
    // Halves the number of samples, and their rate from now on.
    this.samples = this.samples.filter((_, number) => number % 2 === 0);
    this.intervalMs *= 2;
  }
}

function spanBetween(before: TimelineSample, after: TimelineSample): Span {
  return {
    seconds: after.atMs / 1000,
    readBytes: after.readBytes - before.readBytes,
    storedBytes: after.storedBytes - before.storedBytes,
    stages: after.rows
      .map((row, thread) => stageSeconds(before.rows[thread] as Float64Array, row))
      .reduce(addSeconds, noSeconds()),
  };
}
