import { type BackupRecorder, NO_RECORDER } from "../backup/recorder.js";
import type { RunRecord } from "../metrics/run-record.js";
import { type BackupRun, backupFigures } from "./backup-figures.js";
import { backupPage } from "./backup-page.js";
import { BackupRecording } from "./backup-recording.js";
import { OutcomeRecorder } from "./outcome-recorder.js";
import type { ReportFile } from "./report-file.js";

/** What is to be told of a backup besides its result. */
export interface BackupReport {
  recorder: BackupRecorder;
  /**
   * Tells it, once the backup is stored. Never fails: that holds whether the report can be written or not.
   * @returns what metrics tell besides; nothing where nobody asked for it, or nobody knows
   */
  write(run: BackupRun): Promise<RunRecord["figures"]>;
  /** When the backup has ended, well or not. */
  end(): void;
}

export const NO_REPORT: BackupReport = {
  recorder: NO_RECORDER,
  write: () => Promise.resolve({}),
  end: () => undefined,
};

/** Learns what became of the chunks, for metrics. */
export function outcomeReport(notice: (message: string) => void): BackupReport {
  const recorder = new OutcomeRecorder(notice);
  return {
    ...{ recorder, end: () => undefined },
    write: ({ point }) => Promise.resolve(recorder.duplicates(point)),
  };
}

/** The same, and a page of it. */
export function pageReport(file: ReportFile, notice: (message: string) => void): BackupReport {
  const recorder = new BackupRecording(notice);
  return {
    recorder,
    write: async (run) => {
      try {
        await file.write(backupPage(backupFigures(run, recorder)));
      } catch (error) {
        notice(`the report could not be written: ${error instanceof Error ? error.message : error}`);
      }
      return recorder.outcomes.duplicates(run.point);
    },
    end: () => recorder.end(),
  };
}
