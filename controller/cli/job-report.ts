import { usage } from "../../command-line/options.js";
import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { shellWord } from "../../foundation/shell-word.js";
import { backupPage } from "../../report/backup-page.js";
import { readFigures } from "../../report/job-figures.js";
import { ReportFile } from "../../report/report-file.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JournalRecord } from "../journal-record.js";
import type { Signing } from "../signing.js";
import { workerIdOf } from "../steps/launch-worker.js";

const NO_FIGURES = "the agent has left no figures. Its log says why (journalctl -u blockferry-agent).";

/** The report page of a job's backup, on the controller's machine. */
export class JobReport {
  private constructor(
    private readonly path: string,
    private readonly file: ReportFile,
  ) {}

  /**
   * Checks that the page can be written, before the job creates any resource.
   * @returns undefined when no report is requested
   * @throws ReportNotWritable
   */
  static async prepare(path: string | undefined): Promise<JobReport | undefined> {
    return path === undefined ? undefined : new JobReport(path, await ReportFile.prepare(path));
  }

  /**
   * Writes the page from the agent's figures of a stored backup.
   * Never throws: a failed report does not fail the backup.
   * @param note receives the reason when no page is written
   */
  async write(
    { job, plan, outcome, made }: JournalRecord,
    storage: Storage,
    signing: Signing,
    note: (text: string) => void,
  ) {
    if (plan.kind !== "backup" || outcome?.ok !== true) return;
    try {
      const { instanceId } = plan.instance;
      const replies = await signing.replies(job, workerIdOf({ plan, made }));
      const expected = { point: outcome.point, machine: instanceId };
      const figures = await readFigures(storage, job, expected, replies);
      if (figures === undefined) note(`no report: ${NO_FIGURES}`);
      else await this.file.write(backupPage(figures));
    } catch (error) {
      const { message, remedy } = asBlockferryError(error);
      note(
        `the report could not be written: ${message} ${remedy} Again: blockferry resume ${job} --report ${shellWord(this.path)}`,
      );
    }
  }
}

/** @throws Usage for a job whose agent stores no figures */
export function refuseUnreported({ job, plan }: JournalRecord): void {
  if (plan.kind === "backup" && plan.request.options.report === true) return;
  const what = plan.kind === "backup" ? "a backup that was begun without --report" : "a restore";
  throw usage(`${job} is ${what}: no agent leaves figures of it.`, "Resume it without --report.");
}
