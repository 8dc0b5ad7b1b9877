import type { Argv } from "yargs";
import { type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { once } from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { BlockferryError } from "../../foundation/errors.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import { POLICY_PARTIES, type PolicyParty, usesOf } from "../iam-policy/policies.js";
import { restoredRole } from "../iam-policy/roles.js";
import { openParties, type Parties } from "../plan/parties.js";
import type { RestorePlan } from "../plan/plan.js";
import { openSigning } from "../plan/signing.js";
import { type RestorePreflight, restorePreflight } from "../preflight/restore-preflight.js";
import { startJob } from "../run/start-job.js";
import { stepsOf } from "../run/workflow.js";
import { type PolicyArguments, policyOptions, printPolicy } from "./iam-policy-command.js";
import { describeProblems, queueNotes, restoreResult } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import {
  parseRestoreFilter,
  parseRestoreRequest,
  type RestoreRequestArguments,
  restoreOptions,
} from "./restore-options.js";
import { stepDisplay } from "./step-display.js";

interface RestoreCommandArguments extends RestoreRequestArguments, PolicyArguments {
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
    const signal = interruptSignal();
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
    const result = restoreResult(await startJob(plan, { parties, storage, display, signal }), plan);
    printResult<ControllerOutput<"restore">>(
      json,
      { ...result.json, recoveryPoint: chosen.record },
      result.text,
    );
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
  printResult<ControllerOutput<"restore --check">>(json, report.json, report.text);
}

/** Returns the output of `restore --check`: `json` for `--json`, `text` for people. */
function restoreReport(
  { plan, findings }: RestorePreflight,
  { chosen, role }: { chosen: ChosenPoint; role: string | undefined },
): { json: ControllerOutput<"restore --check">; text: string[] } {
  const problems = findings.problems.map((problem) => problem.toRecord());
  const { notes } = findings;
  const verdict =
    problems.length === 0 ? ["No problems were found; nothing was created."] : describeProblems(problems);
  return {
    json: {
      ...{ ok: problems.length === 0, problems, notes, recoveryPoint: chosen.record, role: role ?? null },
      ...(plan === undefined ? {} : planned(plan)),
    },
    text: [
      `Recovery point ${chosen.point.id} of ${chosen.origin}`,
      ...(plan === undefined ? [] : describePlan(plan, role)),
      ...notes.map((note) => `note: ${note}`),
      ...verdict,
    ],
  };
}

function planned(plan: RestorePlan) {
  const { route, point, source, worker, volumes, launch, volumeKey, targetKey, targetZone } = plan;
  return {
    ...{ route, point, source, worker, volumes, launch, volumeKey, targetKey, zone: targetZone },
    steps: stepsOf(plan).map(({ name, title, makes }) => ({ name, title, makes })),
    permissions: { source: actionsOf(plan, "source"), worker: actionsOf(plan, "worker") },
  };
}

function describePlan(plan: RestorePlan, role: string | undefined): string[] {
  const { source, worker, volumes, launch, volumeKey, targetKey, targetZone } = plan;
  return [
    `  to account ${source.accountId}, ${targetZone} (as ${source.principalArn})`,
    `  by a worker in account ${worker.accountId}, ${plan.availabilityZone} (as ${worker.principalArn})`,
    "Volumes:",
    ...volumes.map(({ name, type, sizeGib }) => `  ${name}  ${sizeGib} GiB ${type}`),
    `Key: ${volumeKey}${targetKey === null ? "" : `, and then ${targetKey}`}`,
    ...(launch === null ? [] : describeLaunch(launch, role)),
    "Steps; until the last one everything is temporary:",
    ...stepsOf(plan).map(({ name, makes }, number) => `  ${number + 1}. ${name}: ${makes}`),
    "Permissions (`--policy-for PARTY` prints the policies):",
    `  in the target account: ${actionsOf(plan, "source").join(", ")}`,
    `  in the worker's account: ${actionsOf(plan, "worker").join(", ")}`,
  ];
}

/**
 * Returns one line for each property of the launched instance.
 * @param role ARN of the role in the instance profile, where IAM returns it
 */
function describeLaunch(launch: NonNullable<RestorePlan["launch"]>, role?: string): string[] {
  const { imageId, instanceType, subnetId, securityGroupIds, profile, keyName } = launch;
  const groups = securityGroupIds.length === 0 ? "the default group of the VPC" : securityGroupIds.join(", ");
  const image = launch.image === undefined ? "" : ` (${launch.image.name}, owned by ${launch.image.owner})`;
  return [
    `Instance: ${instanceType} of ${imageId}${image} in ${subnetId ?? "the default subnet"}`,
    `  security groups: ${groups}`,
    `  instance profile: ${profile ?? "none"}${role === undefined ? "" : ` with role ${role}`}`,
    `  key pair: ${keyName ?? "none"}`,
    "  instance metadata: IMDSv2 only",
  ];
}

function actionsOf(plan: RestorePlan, of: "source" | "worker"): string[] {
  const uses = usesOf(plan).filter(({ party, optional }) => party === of && !optional);
  return [...new Set(uses.map(({ action }) => action))];
}
