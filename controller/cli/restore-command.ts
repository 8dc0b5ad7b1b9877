import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { EXIT } from "../../command-line/exit-codes.js";
import { once } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { findPoint } from "../../repository/recovery-point.js";
import { inspectRepository, kmsKeysOf, openRepository, profileOf } from "../../repository/repository.js";
import { passedRole, restoredRole } from "../iam-policy/passed-role.js";
import { POLICY_PARTIES, type PolicyParty, policyFor } from "../iam-policy/policies.js";
import { openParties, type Parties } from "../parties.js";
import { type RestorePreflight, restorePreflight } from "../preflight/restore-preflight.js";
import { startJob } from "../start-job.js";
import { interruptSignal } from "./interrupt.js";
import { jobResult } from "./job-result.js";
import { queueNotes } from "./queue-note.js";
import { parseRestoreRequest, type RestoreArguments, restoreOptions } from "./restore-options.js";
import { restoreReport } from "./restore-report.js";
import { stepDisplay } from "./step-display.js";

interface RestoreCommandArguments extends RestoreArguments {
  check: boolean;
  policyFor: PolicyParty | undefined;
  json: boolean;
}

export const restoreCommand: Command<RestoreCommandArguments> = {
  command: "restore",
  describe: "Restore a recovery point to new EBS volumes through a worker; overwrites nothing",
  builder: (parser: Argv) =>
    parser
      .options({
        ...restoreOptions,
        check: {
          type: "boolean",
          default: false,
          describe: "Only find out whether it would work, and what it needs; makes nothing",
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
    const location = storageLocation(args);
    const { storage } = await openRepository(location);
    const display = stepDisplay(args.json);
    const signal = interruptSignal();
    const point = await findPoint(storage.until(signal), request.point);
    const parties = await openParties(request, { profile: profileOf(location), signal });
    display.begin("Checking");
    const checked = await restorePreflight(request, point, parties);
    const { plan, findings } = checked;
    display.end(findings.problems.length === 0 ? "done" : "failed");
    if (args.policyFor !== undefined) return printPolicy(args.policyFor, checked, parties, args);
    if (args.check) return printReport(checked, args.json);
    findings.throwIfAny();
    if (plan === undefined) throw new Error("The preflight found neither a plan nor a problem.");
    display.note(`job ${plan.jobId}, of recovery point ${plan.point}`);
    for (const note of [...findings.notes, ...(await queueNotes(storage, plan))]) display.note(note);
    signal.throwIfAborted();
    const { json, text } = jobResult(await startJob(plan, { parties, storage, display, signal }));
    printResult(args.json, json, text);
  },
};

async function printPolicy(
  party: PolicyParty,
  { plan, findings }: RestorePreflight,
  { source, worker }: Parties,
  args: RestoreCommandArguments,
): Promise<void> {
  if (plan === undefined) return findings.throwIfAny();
  const arns = {
    workerRole: await passedRole(plan, worker),
    restoredRole: await restoredRole(plan, source),
    repositoryKeys: kmsKeysOf(await inspectRepository(storageLocation(args))),
  };
  const policy = policyFor(party, { ...plan, ...arns });
  process.stdout.write(`${JSON.stringify(policy, null, args.json ? 0 : 2)}\n`);
}

function printReport(checked: RestorePreflight, json: boolean): void {
  if (checked.findings.problems.length > 0) process.exitCode = EXIT.failed;
  const report = restoreReport(checked);
  printResult(json, report.json, report.text);
}
