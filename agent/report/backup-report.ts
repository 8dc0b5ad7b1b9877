import type { BackupFigures } from "../../report/backup-figures.js";
import { backupPage } from "../../report/backup-page.js";
import type { ReportFile } from "../../report/report-file.js";
import { type BackupRecorder, NO_RECORDER } from "../backup/recorder.js";
import type { RunRecord } from "../metrics/run-record.js";
import { BackupRecording } from "./backup-recording.js";
import { type BackupRun, backupFigures } from "./figures-of-run.js";
import { OutcomeRecorder } from "./outcome-recorder.js";

/** The reports about a backup in addition to its result. */
export interface BackupReport {
  recorder: BackupRecorder;
  /**
   * Writes the report once the backup is stored. Never throws: a failed report does not fail the backup.
   * @returns additional figures for metrics; none if they are not recorded or not known
   */
  write(run: BackupRun): Promise<RunRecord["figures"]>;
  /** Called when the backup has ended, successfully or not. */
  end(): void;
}

export const NO_REPORT: BackupReport = {
  recorder: NO_RECORDER,
  write: () => Promise.resolve({}),
  end: () => undefined,
};

/** Returns a report that records the outcomes of the chunks, for metrics. */
export function outcomeReport(notice: (message: string) => void): BackupReport {
  const recorder = new OutcomeRecorder(notice);
  return {
    ...{ recorder, end: () => undefined },
    write: ({ point }) => Promise.resolve(recorder.duplicates(point)),
  };
}

/** A destination of the figures, such as the page in a file. */
export type FiguresTarget = (figures: BackupFigures) => Promise<void>;

export function pageIn(file: ReportFile): FiguresTarget {
  return (figures) => file.write(backupPage(figures));
}

/** Returns a report that sends all figures of a page to each target. */
export function figuresReport(targets: FiguresTarget[], notice: (message: string) => void): BackupReport {
  const recorder = new BackupRecording(notice);
  return {
    recorder,
    write: async (run) => {
      // Awaited for each target, so that an error in making the figures also becomes a notice.
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
