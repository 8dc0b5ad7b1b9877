import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { backupPage } from "../../report/backup-page.js";
import { readFigures } from "../../report/job-figures.js";
import { ReportFile } from "../../report/report-file.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { Display } from "../display.js";
import type { JournalRecord } from "../journal-record.js";

/** A page about a job's backup, if one is asked for. */
export class JobReport {
  private constructor(private readonly file: ReportFile | undefined) {}

  /** @throws ReportNotWritable, before anything is made */
  static async prepare(report: string | undefined): Promise<JobReport> {
    return new JobReport(report === undefined ? undefined : await ReportFile.prepare(report));
  }

  /** Draws what the agent has left of a backup that is stored. Never fails: it is stored whether it can be told or not. */
  async write({ job, outcome }: JournalRecord, storage: Storage, display: Display): Promise<void> {
    if (this.file === undefined || outcome?.ok !== true) return;
    try {
      const figures = await readFigures(storage, job, outcome.point);
      if (figures === undefined) display.note(`no report: ${NO_FIGURES}`);
      else await this.file.write(backupPage(figures));
    } catch (error) {
      display.note(`the report could not be written: ${asBlockferryError(error).message}`);
    }
  }
}

const NO_FIGURES =
  "the agent has left no figures. It does for backups that were begun with --report; if this one was, its log says why (journalctl -u blockferry-agent).";
