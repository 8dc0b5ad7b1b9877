import type { BackupRecorder, BackupStep, StoredBackup } from "../backup/recorder.js";
import { StageTimes } from "../backup/stage-times.js";
import type { CounterTotals } from "../counters.js";
import { OutcomeRecorder } from "./outcome-recorder.js";
import { Timeline } from "./timeline.js";

/** A step of a run, in seconds since it began. */
export interface StepTime {
  step: BackupStep;
  start: number;
  end: number;
}

/** All that a report tells of a backup, as far as it does not stand in the recovery point. */
export class BackupRecording implements BackupRecorder {
  readonly outcomes: OutcomeRecorder;
  /** Those that are over. */
  readonly steps: StepTime[] = [];
  timeline: Timeline | undefined;
  private current: Omit<StepTime, "end"> | undefined;
  private startedMs: number | undefined;

  constructor(notice: (message: string) => void) {
    this.outcomes = new OutcomeRecorder(notice);
  }

  begin(step: BackupStep): void {
    this.end();
    this.current = { step, start: this.seconds };
  }

  reading(threads: number, totals: () => CounterTotals): StageTimes {
    const stages = StageTimes.create(threads);
    this.timeline = new Timeline(stages, totals);
    return stages;
  }

  async stored(backup: StoredBackup): Promise<void> {
    this.begin("compare");
    await this.outcomes.stored(backup);
    this.end();
  }

  /** Ends the step under way, and the looking at threads, also when the run has failed. */
  end(): void {
    this.timeline?.end();
    if (this.current !== undefined) this.steps.push({ ...this.current, end: this.seconds });
    this.current = undefined;
  }

  /** Since the first step began. */
  private get seconds(): number {
    this.startedMs ??= performance.now();
    return (performance.now() - this.startedMs) / 1000;
  }
}
