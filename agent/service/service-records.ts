import { join } from "node:path";
import { asBlockferryError, type BlockferryError, type ErrorCode } from "../../foundation/errors.js";
import { writeFigures } from "../../report/backup-figures.js";
import { ReportFile } from "../../report/page.js";
import type { BackupJob } from "../../repository/jobs/job.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type MetricsFiles, tryMetrics, writeMetrics } from "../metrics/metrics-files.js";
import type { RunRecord } from "../metrics/run-record.js";
import {
  type BackupReport,
  type FiguresTarget,
  figuresReport,
  NO_REPORT,
  outcomeReport,
  pageIn,
} from "../report/backup-report.js";
import type { ServiceLog } from "./service-log.js";

/** Metrics of a service: the last run per command and instance, and the outcomes of its jobs. */
export class ServiceMetrics {
  private readonly last = new Map<string, RunRecord>();
  private readonly jobs = { succeeded: 0, failed: new Map<ErrorCode, number>() };

  private constructor(
    private readonly files: MetricsFiles,
    private readonly log: ServiceLog,
  ) {}

  /** Warns if the metrics cannot be written, before there are any. */
  static async prepare(files: MetricsFiles, log: ServiceLog): Promise<ServiceMetrics> {
    const metrics = new ServiceMetrics(files, log);
    metrics.warn(await tryMetrics(files));
    return metrics;
  }

  /** Reports a finished job. Never throws: a failed report does not change the job's outcome. */
  async tell(record: RunRecord): Promise<void> {
    const { command, instance, errorCode } = record;
    // A later success of that command would never replace it.
    if (command !== "serve") this.last.set(`${command} ${instance}`, record);
    if (errorCode === undefined) this.jobs.succeeded++;
    else this.jobs.failed.set(errorCode, (this.jobs.failed.get(errorCode) ?? 0) + 1);
    this.warn(await writeMetrics(this.files, record, [...this.last.values()], this.jobs));
  }

  private warn(failures: BlockferryError[]): void {
    for (const { message, remedy, code } of failures) this.log.warn(`${message} ${remedy}`, { code });
  }
}

/** The reports of a service about its backups, in addition to the results. */
export class ServiceReports {
  private constructor(
    private readonly folder: string | undefined,
    private readonly metrics: "written" | "none",
  ) {}

  /**
   * Warns if pages cannot be written, before there are any.
   * @param folder folder for a page per job; undefined for no pages
   * @param metrics whether metrics are written
   */
  static async prepare(
    folder: string | undefined,
    metrics: "written" | "none",
    log: ServiceLog,
  ): Promise<ServiceReports> {
    try {
      if (folder !== undefined) await pageFile(folder, "JOB");
    } catch (error) {
      const { message, code } = asBlockferryError(error);
      log.warn(message, { code });
    }
    return new ServiceReports(folder, metrics);
  }

  /**
   * Starts the report of a job. Never throws: a failed page does not fail the job.
   * @param control where the job's documents are written
   * @param replies signs them
   */
  async begin(
    job: BackupJob,
    { control, replies, notice }: { control: Storage; replies: Replies; notice: (message: string) => void },
  ): Promise<BackupReport> {
    const targets: FiguresTarget[] = [];
    if (job.options.report === true)
      targets.push((figures) => writeFigures(control, job.id, figures, replies));
    if (this.folder !== undefined) {
      try {
        targets.push(pageIn(await pageFile(this.folder, job.id)));
      } catch (error) {
        notice(asBlockferryError(error).message);
      }
    }
    if (targets.length > 0) return figuresReport(targets, notice);
    return this.metrics === "written" ? outcomeReport(notice) : NO_REPORT;
  }
}

/** @throws ReportNotWritable */
function pageFile(folder: string, job: string): Promise<ReportFile> {
  return ReportFile.prepare(join(folder, `${job}.html`));
}
