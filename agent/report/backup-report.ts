import type { BackupFigures } from "../../report/backup-figures.js";
import { backupPage } from "../../report/backup-page.js";
import type { ReportFile } from "../../report/report-file.js";
import { type BackupRecorder, NO_RECORDER } from "../backup/recorder.js";
import type { RunRecord } from "../metrics/run-record.js";
import { BackupRecording } from "./backup-recording.js";
import { type BackupRun, backupFigures } from "./figures-of-run.js";
import { OutcomeRecorder } from "./outcome-recorder.js";

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

/** Somewhere that figures go, as the page in a file. */
export type FiguresTarget = (figures: BackupFigures) => Promise<void>;

export function pageIn(file: ReportFile): FiguresTarget {
  return (figures) => file.write(backupPage(figures));
}

/** Learns the same and all that a page shows, and tells each of the targets. */
export function figuresReport(targets: FiguresTarget[], notice: (message: string) => void): BackupReport {
  const recorder = new BackupRecording(notice);
  return {
    recorder,
    write: async (run) => {
      // Awaited for each target, so that also figures that cannot be made are told, and fail nothing.
      const figures = (async () => backupFigures(run, recorder))();
      for (const target of targets) {
        try {
          await target(await figures);
        } catch (error) {
          notice(`the report could not be written: ${error instanceof Error ? error.message : error}`);
        }
      }
      return recorder.outcomes.duplicates(run.point);
    },
    end: () => recorder.end(),
  };
}
