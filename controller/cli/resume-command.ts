import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { text } from "../../command-line/text-option.js";
import { openRepository, profileOf } from "../../repository/repository.js";
import { reopenParties } from "../parties.js";
import { resumeJob } from "../start-job.js";
import { type AccessArguments, accessOptions, withAccess } from "./access-options.js";
import { interruptSignal } from "./interrupt.js";
import { findJournal } from "./job-argument.js";
import { JobReport, refuseUnreported } from "./job-report.js";
import { jobResult } from "./job-result.js";
import { stepDisplay } from "./step-display.js";

interface ResumeArguments extends StorageArguments, AccessArguments {
  job: string;
  report: string | undefined;
  json: boolean;
}

export const resumeCommand: Command<ResumeArguments> = {
  command: "resume <job>",
  describe: "Go on with a job whose controller has died, or finish removing what it made",
  builder: (parser: Argv) =>
    parser
      .positional("job", { type: "string", describe: "Id of the job" })
      .options({
        ...storageOptions,
        ...accessOptions,
        report: text(
          "Backup:",
          "report",
          "HTML file for the report of a backup that was begun with --report",
        ),
      })
      .example(
        "$0 resume job-20261123T112150Z-3f9a1c2b --repo s3://backups/fleet",
        "with the accounts that the job was started with",
      ) as unknown as Argv<ResumeArguments>,
  handler: async ({ job, json, ...args }) => {
    const location = storageLocation(args);
    const { storage } = await openRepository(location);
    const record = await findJournal(storage, job);
    if (args.report !== undefined) refuseUnreported(record);
    const report = await JobReport.prepare(args.report);
    const signal = interruptSignal();
    const parties = await reopenParties(record.plan, withAccess(record.plan.request, args), {
      profile: profileOf(location),
      signal,
    });
    const display = stepDisplay(json);
    const finished = await resumeJob(job, { parties, storage, display, signal });
    const result = jobResult(finished);
    printResult(json, result.json, result.text);
    await report?.write(finished, storage.until(signal), display.note);
  },
};
