import { once } from "../../command-line/options.js";
import { type BackupRecorder, NO_RECORDER } from "../backup/recorder.js";
import { hasMetrics } from "../metrics/metrics-files.js";
import { type BackupRun, backupFigures } from "../report/backup-figures.js";
import { backupPage } from "../report/backup-page.js";
import { BackupRecording } from "../report/backup-recording.js";
import { OutcomeRecorder } from "../report/outcome-recorder.js";
import { ReportFile } from "../report/report-file.js";
import { type MetricsArguments, metricsFiles } from "./metrics-options.js";

export interface ReportArguments {
  report: string | undefined;
}

export const reportOption = {
  report: {
    type: "string",
    requiresArg: true,
    coerce: once("report"),
    describe: "HTML file for a report: a map of each volume, and where the time went",
  },
} as const;

/** What is to be told of a backup besides its result. */
export interface BackupReport {
  recorder: BackupRecorder;
  /** Undefined where nobody asked for them, or nobody knows. */
  outcomes: OutcomeRecorder | undefined;
  /** Never fails: the backup is stored, whether the report can be or not. */
  write(run: BackupRun): Promise<void>;
  end(): void;
}

/**
 * What the options ask for: with a report all is recorded, with metrics what they tell.
 * @throws ReportNotWritable, before anything is backed up
 */
export async function beginReport(
  args: ReportArguments & MetricsArguments,
  notice: (message: string) => void,
): Promise<BackupReport> {
  if (args.report !== undefined) return recordAll(await ReportFile.prepare(args.report), notice);
  const outcomes = hasMetrics(metricsFiles(args)) ? new OutcomeRecorder(notice) : undefined;
  const recorder = outcomes ?? NO_RECORDER;
  return { recorder, outcomes, write: () => Promise.resolve(), end: () => undefined };
}

function recordAll(file: ReportFile, notice: (message: string) => void): BackupReport {
  const recorder = new BackupRecording(notice);
  return {
    recorder,
    outcomes: recorder.outcomes,
    write: async (run) => {
      try {
        await file.write(backupPage(backupFigures(run, recorder)));
      } catch (error) {
        notice(`the report could not be written: ${error instanceof Error ? error.message : error}`);
      }
    },
    end: () => recorder.end(),
  };
}
