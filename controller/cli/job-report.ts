import { usage } from "../../command-line/options.js";
import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { backupPage } from "../../report/backup-page.js";
import { readFigures } from "../../report/job-figures.js";
import { ReportFile } from "../../report/report-file.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JournalRecord } from "../journal-record.js";

const NO_FIGURES = "the agent has left no figures. Its log says why (journalctl -u blockferry-agent).";

/** A page about a job's backup, where the controller runs. */
export class JobReport {
  private constructor(
    private readonly path: string,
    private readonly file: ReportFile,
  ) {}

  /** @returns undefined when none is asked for @throws ReportNotWritable, before anything is made */
  static async prepare(path: string | undefined): Promise<JobReport | undefined> {
    return path === undefined ? undefined : new JobReport(path, await ReportFile.prepare(path));
  }

  /**
   * Draws what the agent has left of a backup that is stored. Never fails: it is stored whether it can be told or not.
   * @param note is told why there is no page
   */
  async write({ job, plan, outcome }: JournalRecord, storage: Storage, note: (text: string) => void) {
    if (plan.kind !== "backup" || outcome?.ok !== true) return;
    try {
      const { instanceId } = plan.instance;
      const figures = await readFigures(storage, job, { point: outcome.point, machine: instanceId });
      if (figures === undefined) note(`no report: ${NO_FIGURES}`);
      else await this.file.write(backupPage(figures));
    } catch (error) {
      const { message, remedy } = asBlockferryError(error);
      note(
        `the report could not be written: ${message} ${remedy} Again: blockferry resume ${job} --report ${this.path}`,
      );
    }
  }
}

/** @throws Usage for a job of which an agent leaves no figures */
export function refuseUnreported({ job, plan }: JournalRecord): void {
  if (plan.kind === "backup" && plan.request.options.report === true) return;
  const what = plan.kind === "backup" ? "a backup that was begun without --report" : "a restore";
  throw usage(`${job} is ${what}: no agent leaves figures of it.`, "Resume it without --report.");
}
