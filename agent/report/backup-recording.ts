import type { BackupStep, StepTime } from "../../report/backup-figures.js";
import type { BackupRecorder, StoredBackup } from "../backup/recorder.js";
import { StageTimes } from "../backup/stage-times.js";
import type { CounterTotals } from "../counters.js";
import { OutcomeRecorder } from "./outcome-recorder.js";
import { Timeline } from "./timeline.js";

/** Records the facts of a report that are not in the recovery point. */
export class BackupRecording implements BackupRecorder {
  readonly outcomes: OutcomeRecorder;
  /** The finished steps. */
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

  /** Ends the current step and the sampling of the threads, also after a failed run. */
  end(): void {
    this.timeline?.end();
    if (this.current !== undefined) this.steps.push({ ...this.current, end: this.seconds });
    this.current = undefined;
  }

  /** Seconds since the first step started. */
  private get seconds(): number {
    this.startedMs ??= performance.now();
    return (performance.now() - this.startedMs) / 1000;
  }
}
