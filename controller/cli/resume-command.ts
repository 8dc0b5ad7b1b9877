import type { Argv } from "yargs";
import { interruptSignal } from "../../command-line/interrupt.js";
import { text } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import { reopenParties } from "../plan/parties.js";
import { openSigning } from "../plan/signing.js";
import { resumeJob } from "../run/start-job.js";
import { type AccessArguments, accessOptions, findJournal, withAccess } from "./access-options.js";
import { JobReport, jobResult, refuseUnreported } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import { parseRepository } from "./request-options.js";
import { stepDisplay } from "./step-display.js";
import { parseSigning, type SigningArguments, signingOptions } from "./worker-options.js";

interface ResumeArguments extends StorageArguments, AccessArguments, SigningArguments {
  job: string;
  report: string | undefined;
  json: boolean;
}

export const resumeCommand: Command<ResumeArguments> = {
  command: "resume <job>",
  describe: "Continue a job whose controller has died, or finish the removal of its resources",
  builder: (parser: Argv) =>
    parser
      .positional("job", { type: "string", describe: "Id of the job" })
      .options({
        ...storageOptions,
        ...accessOptions,
        ...signingOptions,
        report: text(
          "Backup:",
          "report",
          "HTML file for the report of a backup that was begun with --report",
        ),
      })
      .example(
        "$0 resume job-20261123T112150Z-3f9a1c2b --repo s3://backups/fleet",
        "with the roles and profiles that the job was started with, if there were any",
      ) as unknown as Argv<ResumeArguments>,
  handler: async ({ job, json, ...args }) => {
    const location = storageLocation(args);
    const keys = parseSigning(args);
    const repository = await openRepository(location);
    const { storage } = repository;
    const signal = interruptSignal();
    const signing = openSigning(repository, keys, { profile: profileOf(location), signal });
    const record = await findJournal(storage, job, signing);
    if (args.report !== undefined) refuseUnreported(record);
    const report = await JobReport.prepare(args.report);
    const request = withAccess(record.plan.request, args);
    const parties = await reopenParties(record.plan, request, signing, signal);
    const display = stepDisplay(json);
    const finished = await resumeJob(job, parseRepository(args), { parties, storage, display, signal });
    const result = jobResult(finished);
    printResult<ControllerOutput<"resume">>(json, result.json, result.text);
    await report?.write(finished, storage.until(signal), signing, display.note);
  },
};
