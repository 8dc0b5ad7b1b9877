import type { ChosenPoint } from "../../command-line/choose-point.js";
import { usesOf } from "../iam-policy/policies.js";
import type { RestorePlan } from "../plan.js";
import type { RestorePreflight } from "../preflight/restore-preflight.js";
import { stepsOf } from "../workflow.js";
import { describeProblems } from "./problems.js";

/** Returns the output of `restore --check`: `json` for `--json`, `text` for people. */
export function restoreReport(
  { plan, findings }: RestorePreflight,
  { chosen, role }: { chosen: ChosenPoint; role: string | undefined },
): { json: object; text: string[] } {
  const problems = findings.problems.map((problem) => problem.toRecord());
  const { notes } = findings;
  const verdict =
    problems.length === 0 ? ["Nothing stands in the way; nothing was made."] : describeProblems(problems);
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
    `  in the account that is restored to: ${actionsOf(plan, "source").join(", ")}`,
    `  in the worker's account: ${actionsOf(plan, "worker").join(", ")}`,
  ];
}

/**
 * Returns one line for each property of the launched instance.
 * @param role ARN of the role in the instance profile, where IAM returns it
 */
export function describeLaunch(launch: NonNullable<RestorePlan["launch"]>, role?: string): string[] {
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
