import { once } from "../../command-line/options.js";
import { ReportFile } from "../../report/report-file.js";
import { hasMetrics } from "../metrics/metrics-files.js";
import {
  type BackupReport,
  figuresReport,
  NO_REPORT,
  outcomeReport,
  pageIn,
} from "../report/backup-report.js";
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

/**
 * Starts the report that the options require: all figures for `--report`, only the outcome for metrics.
 * @throws ReportNotWritable, before anything is backed up
 */
export async function beginReport(
  args: ReportArguments & MetricsArguments,
  notice: (message: string) => void,
): Promise<BackupReport> {
  if (args.report !== undefined) {
    return figuresReport([pageIn(await ReportFile.prepare(args.report))], notice);
  }
  return hasMetrics(metricsFiles(args)) ? outcomeReport(notice) : NO_REPORT;
}
