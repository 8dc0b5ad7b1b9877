import { join } from "node:path";
import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { type BackupReport, NO_REPORT, outcomeReport, pageReport } from "../report/backup-report.js";
import { ReportFile } from "../report/report-file.js";

/** What a service tells of each of its backups besides the result. */
export class ServiceReports {
  /**
   * @param folder for a page of each job, if there are to be any
   * @param metrics whether they are written
   */
  constructor(
    private readonly folder: string | undefined,
    private readonly metrics: "written" | "none",
  ) {}

  /** Never fails: a job is done whether there can be a page of it or not. */
  async begin(job: string, notice: (message: string) => void): Promise<BackupReport> {
    if (this.folder !== undefined) {
      try {
        return pageReport(await ReportFile.prepare(join(this.folder, `${job}.html`)), notice);
      } catch (error) {
        notice(asBlockferryError(error).message);
      }
    }
    return this.metrics === "written" ? outcomeReport(notice) : NO_REPORT;
  }
}
