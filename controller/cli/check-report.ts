import { formatBytes } from "../../command-line/format.js";
import type { ActionUse } from "../aws/action-use.js";
import { type CostEstimate, estimateCost } from "../cost.js";
import { usesOf } from "../iam-policy/policies.js";
import type { Plan } from "../plan.js";
import type { Preflight } from "../preflight/preflight.js";
import { isBridged, ROUTE_TABLE } from "../route.js";
import { stepsOf } from "../workflow.js";

/** Returns the output of `check --json`. */
export function checkResult({ plan, findings }: Preflight) {
  return {
    ok: findings.problems.length === 0,
    problems: findings.problems.map((problem) => problem.toRecord()),
    notes: findings.notes,
    ...(plan === undefined
      ? {}
      : {
          ...{ route: plan.route, source: plan.source, worker: plan.worker },
          ...{ availabilityZone: plan.availabilityZone, volumeKey: plan.volumeKey, copyKey: plan.copyKey },
          ...{ instance: plan.instance, volumes: plan.volumes },
          steps: stepsOf(plan).map(({ name, title, makes }) => ({ name, title, makes })),
          permissions: permissionsOf(plan),
          temporary: temporaryOf(plan),
          estimatedCost: estimateCost(plan),
        }),
  };
}

/** Returns the lines of `check` for people. */
export function describeCheck({ plan, findings }: Preflight): string[] {
  const problems = findings.problems.flatMap(({ code, message, remedy }) => [
    `✗ ${code}: ${message}`,
    `  ${remedy}`,
  ]);
  const verdict =
    problems.length === 0
      ? ["Nothing stands in the way; nothing was made."]
      : [`${findings.problems.length} problems:`, ...problems];
  const notes = findings.notes.map((note) => `note: ${note}`);
  return [...(plan === undefined ? [] : describePlan(plan)), ...notes, ...verdict];
}

function describePlan(plan: Plan): string[] {
  const { source, worker, optional } = permissionsOf(plan);
  return [
    `Route: ${ROUTE_TABLE[plan.route].title}`,
    `  instance ${plan.instance.instanceId} in account ${plan.source.accountId}, ${plan.source.region} (as ${plan.source.principalArn})`,
    `  worker in account ${plan.worker.accountId}, ${plan.availabilityZone} (as ${plan.worker.principalArn})`,
    "Volumes:",
    ...plan.volumes.map(
      ({ name, origin, key }) =>
        `  ${name}  ${origin.volumeId}  ${formatBytes(origin.sizeBytes)}  ${key === "none" ? "not encrypted" : `${key} key ${origin.kmsKeyId}`}`,
    ),
    `Key of the temporary volumes: ${plan.volumeKey}`,
    ...(plan.copyKey === null ? [] : [`Key of the copies: ${plan.copyKey}`]),
    "Steps, undone in reverse at the end:",
    ...stepsOf(plan).map(({ name, makes }, number) => `  ${number + 1}. ${name}: ${makes}`),
    "Permissions (`blockferry iam-policy` prints the policies):",
    `  in the instance's account: ${source.join(", ")}`,
    `  in the worker's account: ${worker.join(", ")}`,
    `  optional, for \`check\`: ${optional.join(", ")}`,
    "Temporary resources that cost while they exist:",
    ...temporaryOf(plan).map((line) => `  ${line}`),
    ...describeCost(estimateCost(plan)).map((line) => `  ${line}`),
  ];
}

function describeCost(cost: CostEstimate): string[] {
  const { parts, usdPerHour, keptSnapshotsUsdPerMonth, notIncluded } = cost;
  const sum = parts.map((part) => `${part.what} $${part.usdPerHour.toFixed(4)}`).join(" + ");
  return [
    `at most $${usdPerHour.toFixed(4)} for each hour that they exist: ${sum} (list prices of us-east-1; other Regions differ)`,
    ...(keptSnapshotsUsdPerMonth === 0
      ? []
      : [`at most $${keptSnapshotsUsdPerMonth.toFixed(2)} a month for the snapshots that are kept`]),
    `not in it: ${notIncluded.join("; ")}`,
  ];
}

function permissionsOf(plan: Plan) {
  const actionsOf = (isMeant: (use: ActionUse) => boolean) => [
    ...new Set(usesOf(plan).flatMap((use) => (isMeant(use) ? use.action : []))),
  ];
  return {
    source: actionsOf(({ party, optional }) => party === "source" && !optional),
    worker: actionsOf(({ party, optional }) => party === "worker" && !optional),
    optional: actionsOf(({ optional }) => optional === true),
  };
}

function temporaryOf(plan: Plan): string[] {
  const total = (volumes: Plan["volumes"]) =>
    formatBytes(volumes.reduce((sum, { origin }) => sum + origin.sizeBytes, 0));
  const { workerCopies } = ROUTE_TABLE[plan.route];
  const copied = plan.volumes.filter(({ key }) => workerCopies || isBridged(plan.route, key));
  const { request } = plan;
  const transfer = plan.source.region === plan.worker.region ? "" : ", and the transfer between Regions";
  return [
    `${plan.volumes.length} snapshots of ${total(plan.volumes)} at most${request.snapshots === "keep" ? " (kept)" : ""}`,
    ...(copied.length === 0 ? [] : [`${copied.length} full copies of ${total(copied)} at most${transfer}`]),
    `${plan.volumes.length} ${request.volumeType} volumes of ${total(plan.volumes)}`,
    ...(request.initializationRateMibps === null
      ? []
      : [`volume initialization at ${request.initializationRateMibps} MiB/s, for each GiB of snapshot`]),
    ...(request.workerInstance.kind === "launch"
      ? [`1 instance ${request.workerInstance.instanceType}`]
      : []),
  ];
}
