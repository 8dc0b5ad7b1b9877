import { join } from "node:path";
import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { writeFigures } from "../../report/job-figures.js";
import { ReportFile } from "../../report/report-file.js";
import type { BackupJob } from "../../repository/jobs/job.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import type { Storage } from "../../repository/storage/storage.js";
import {
  type BackupReport,
  type FiguresTarget,
  figuresReport,
  NO_REPORT,
  outcomeReport,
  pageIn,
} from "../report/backup-report.js";
import type { ServiceLog } from "./service-log.js";

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
