import type { Argv } from "yargs";
import { type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import type { Command } from "../../command-line/command.js";
import { EXIT } from "../../command-line/exit-codes.js";
import { interruptSignal, REMOVE_MADE } from "../../command-line/interrupt.js";
import { once } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { openRepository, profileOf } from "../../repository/repository.js";
import { openSigning } from "../aws/signing-key.js";
import { restoredRole } from "../iam-policy/passed-role.js";
import { POLICY_PARTIES, type PolicyParty } from "../iam-policy/policies.js";
import { openParties, type Parties } from "../parties.js";
import type { RestorePlan } from "../plan.js";
import { type RestorePreflight, restorePreflight } from "../preflight/restore-preflight.js";
import { startJob } from "../start-job.js";
import { jobResult } from "./job-result.js";
import { type PolicyArguments, policyOptions, printPolicy } from "./print-policy.js";
import { queueNotes } from "./queue-note.js";
import {
  parseRestoreFilter,
  parseRestoreRequest,
  type RestoreArguments,
  restoreOptions,
} from "./restore-options.js";
import { describeLaunch, restoreReport } from "./restore-report.js";
import { stepDisplay } from "./step-display.js";

interface RestoreCommandArguments extends RestoreArguments, PolicyArguments {
  check: boolean;
  policyFor: PolicyParty | undefined;
}

export const restoreCommand: Command<RestoreCommandArguments> = {
  command: "restore",
  describe: "Restore a recovery point to new EBS volumes through a worker; overwrites nothing",
  builder: (parser: Argv) =>
    parser
      .options({
        ...restoreOptions,
        ...policyOptions,
        check: {
          type: "boolean",
          default: false,
          describe: "Only check whether it would work, and what it needs; create nothing",
        },
        "policy-for": {
          choices: POLICY_PARTIES,
          coerce: once("policy-for"),
          describe:
            "Only print the least-privilege policy of a party, as `iam-policy --for` does for backups",
        },
      })
      .example(
        "$0 restore --repo s3://backups/fleet --point latest --worker i-0f1e2d3c4b5a69788",
        "new volumes in the worker's Availability Zone",
      )
      .example(
        "$0 restore --repo s3://backups/fleet --point latest --to instance --subnet subnet-0123 --worker i-0f1e2d3c4b5a69788",
        "an instance like the one that was backed up, in a subnet for drills",
      ) as unknown as Argv<RestoreCommandArguments>,
  handler: async (args) => {
    const request = parseRestoreRequest(args);
    const filter = parseRestoreFilter(args);
    const location = storageLocation(args);
    const repository = await openRepository(location);
    const { storage } = repository;
    const display = stepDisplay(args.json);
    const signal = interruptSignal(REMOVE_MADE);
    const { json } = args;
    const chosen = await choosePoint(storage.until(signal), request.point, {
      ...{ filter, volumes: request.volumes, json, notice: display.note },
    });
    const signing = openSigning(repository, request, { profile: profileOf(location), signal });
    const parties = await openParties(request, signing, signal);
    display.begin("Checking");
    const checked = await restorePreflight(request, chosen.point, parties);
    const { plan, findings } = checked;
    display.end(findings.problems.length === 0 ? "done" : "failed");
    if (args.policyFor !== undefined) {
      if (plan === undefined) return findings.throwIfAny();
      return printPolicy(args.policyFor, plan, parties, args);
    }
    if (args.check) return printReport(checked, { chosen, role: await roleIfKnown(plan, parties) }, json);
    findings.throwIfAny();
    if (plan === undefined) throw new Error("The preflight found neither a plan nor a problem.");
    display.note(`job ${plan.jobId}, of recovery point ${plan.point} (${chosen.origin})`);
    if (plan.launch !== null) for (const line of describeLaunch(plan.launch)) display.note(line.trim());
    for (const note of [...findings.notes, ...(await queueNotes(storage, plan, signing))]) display.note(note);
    signal.throwIfAborted();
    const result = jobResult(await startJob(plan, { parties, storage, display, signal }));
    printResult(json, { ...result.json, recoveryPoint: chosen.record }, result.text);
  },
};

/**
 * Returns the role of the restored instance.
 * Undefined where the caller may not read it in IAM.
 */
async function roleIfKnown(plan: RestorePlan | undefined, { source }: Parties): Promise<string | undefined> {
  try {
    return plan === undefined ? undefined : ((await restoredRole(plan, source)) ?? undefined);
  } catch (error) {
    if (error instanceof BlockferryError) return undefined;
    throw error;
  }
}

function printReport(
  checked: RestorePreflight,
  named: { chosen: ChosenPoint; role: string | undefined },
  json: boolean,
) {
  if (checked.findings.problems.length > 0) process.exitCode = EXIT.failed;
  const report = restoreReport(checked, named);
  printResult(json, report.json, report.text);
}
