import { join } from "node:path";
import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { writeFigures } from "../../report/job-figures.js";
import { ReportFile } from "../../report/report-file.js";
import type { BackupJob } from "../../repository/jobs/job.js";
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

/** What a service tells of each of its backups besides the result. */
export class ServiceReports {
  private constructor(
    private readonly folder: string | undefined,
    private readonly metrics: "written" | "none",
  ) {}

  /**
   * Warns where pages cannot be written, before there is any.
   * @param folder for a page of each job, if there are to be any
   * @param metrics whether they are written
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
   * Never fails: a job is done whether there can be a page of it or not.
   * @param control where the job's documents go
   */
  async begin(
    job: BackupJob,
    { control, notice }: { control: Storage; notice: (message: string) => void },
  ): Promise<BackupReport> {
    const targets: FiguresTarget[] = [];
    if (job.options.report === true) targets.push((figures) => writeFigures(control, job.id, figures));
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
