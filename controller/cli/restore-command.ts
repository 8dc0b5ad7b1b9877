import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { printResult } from "../../command-line/output.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { findPoint } from "../../repository/recovery-point.js";
import { openRepository } from "../../repository/repository.js";
import { startJob } from "../backup-job.js";
import { openParties } from "../parties.js";
import { restorePreflight } from "../preflight/restore-preflight.js";
import { interruptSignal } from "./interrupt.js";
import { jobResult } from "./job-result.js";
import { queueNotes } from "./queue-note.js";
import { parseRestoreRequest, type RestoreArguments, restoreOptions } from "./restore-options.js";
import { stepDisplay } from "./step-display.js";

interface RestoreCommandArguments extends RestoreArguments {
  json: boolean;
}

export const restoreCommand: Command<RestoreCommandArguments> = {
  command: "restore",
  describe: "Restore a recovery point to new EBS volumes through a worker; overwrites nothing",
  builder: (parser: Argv) =>
    parser
      .options({ ...restoreOptions })
      .example(
        "$0 restore --repo s3://backups/fleet --point latest --worker i-0f1e2d3c4b5a69788",
        "new volumes in the worker's Availability Zone",
      ) as unknown as Argv<RestoreCommandArguments>,
  handler: async (args) => {
    const request = parseRestoreRequest(args);
    const { storage } = await openRepository(storageLocation(args));
    const display = stepDisplay(args.json);
    const signal = interruptSignal();
    const point = await findPoint(storage.until(signal), request.point);
    const parties = await openParties(request, signal);
    display.begin("Checking");
    const { plan, findings } = await restorePreflight(request, point, parties);
    display.end(findings.problems.length === 0 ? "done" : "failed");
    findings.throwIfAny();
    if (plan === undefined) throw new Error("The preflight found neither a plan nor a problem.");
    display.note(`job ${plan.jobId}, of recovery point ${plan.point}`);
    for (const note of await queueNotes(storage, plan)) display.note(note);
    signal.throwIfAborted();
    const { json, text } = jobResult(await startJob(plan, { parties, storage, display, signal }));
    printResult(args.json, json, text);
  },
};
