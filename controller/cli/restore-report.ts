import { usesOf } from "../iam-policy/policies.js";
import type { RestorePlan } from "../plan.js";
import type { RestorePreflight } from "../preflight/restore-preflight.js";
import { stepsOf } from "../workflow.js";
import { describeProblems } from "./problems.js";

/** What `restore --check` prints: `json` with `--json`, `text` for people. */
export function restoreReport({ plan, findings }: RestorePreflight): { json: object; text: string } {
  const problems = findings.problems.map((problem) => problem.toRecord());
  const { notes } = findings;
  const verdict =
    problems.length === 0 ? ["Nothing stands in the way; nothing was made."] : describeProblems(problems);
  return {
    json: { ok: problems.length === 0, problems, notes, ...(plan === undefined ? {} : planned(plan)) },
    text: [
      ...(plan === undefined ? [] : describePlan(plan)),
      ...notes.map((note) => `note: ${note}`),
      ...verdict,
    ].join("\n"),
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

function describePlan(plan: RestorePlan): string[] {
  const { point, source, worker, volumes, launch, volumeKey, targetKey, targetZone } = plan;
  return [
    `Recovery point ${point} to account ${source.accountId}, ${targetZone} (as ${source.principalArn})`,
    `  by a worker in account ${worker.accountId}, ${plan.availabilityZone} (as ${worker.principalArn})`,
    "Volumes:",
    ...volumes.map(({ name, type, sizeGib }) => `  ${name}  ${sizeGib} GiB ${type}`),
    `Key: ${volumeKey}${targetKey === null ? "" : `, and then ${targetKey}`}`,
    ...(launch === null
      ? []
      : [
          `Instance: ${launch.instanceType} of ${launch.imageId} in ${launch.subnetId ?? "the default subnet"}`,
        ]),
    "Steps; until the last one everything is temporary:",
    ...stepsOf(plan).map(({ name, makes }, number) => `  ${number + 1}. ${name}: ${makes}`),
    "Permissions (`--policy-for PARTY` prints the policies):",
    `  in the account that is restored to: ${actionsOf(plan, "source").join(", ")}`,
    `  in the worker's account: ${actionsOf(plan, "worker").join(", ")}`,
  ];
}

function actionsOf(plan: RestorePlan, of: "source" | "worker"): string[] {
  const uses = usesOf(plan).filter(({ party, optional }) => party === of && !optional);
  return [...new Set(uses.map(({ action }) => action))];
}
