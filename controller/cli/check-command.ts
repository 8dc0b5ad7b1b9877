import type { Argv } from "yargs";
import { formatBytes } from "../../command-line/format.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import type { ActionUse } from "../aws/action-use.js";
import { usesOf } from "../iam-policy/policies.js";
import { type CostEstimate, estimateCost } from "../plan/cost.js";
import { openParties } from "../plan/parties.js";
import type { Plan } from "../plan/plan.js";
import { isBridged, ROUTE_TABLE } from "../plan/route.js";
import { openSigning } from "../plan/signing.js";
import { type Preflight, preflight } from "../preflight/preflight.js";
import { stepsOf } from "../run/workflow.js";
import { JobReport, queueNotes } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import { parseRequest, type RequestArguments, requestOptions } from "./request-options.js";

interface CheckArguments extends RequestArguments {
  json: boolean;
}

export const checkCommand: Command<CheckArguments> = {
  command: "check",
  describe: "Check whether a backup would work, by which route, and what it needs; creates nothing",
  builder: (parser: Argv) =>
    parser
      .options({ ...requestOptions })
      .example(
        "$0 check --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker i-0f1e2d3c4b5a69788",
        "with the options of the backup to come",
      ) as unknown as Argv<CheckArguments>,
  handler: async (args) => {
    const request = parseRequest(args);
    await JobReport.prepare(args.report);
    const location = storageLocation(args);
    const repository = await openRepository(location);
    const signing = openSigning(repository, request, { profile: profileOf(location) });
    const parties = await openParties(request, signing);
    const result = await preflight(request, parties);
    if (result.plan !== undefined)
      result.findings.notes.push(...(await queueNotes(repository.storage, result.plan, signing)));
    if (result.findings.problems.length > 0) process.exitCode = EXIT.failed;
    printResult<ControllerOutput<"check">>(args.json, checkResult(result), describeCheck(result));
  },
};

/** Returns the output of `check --json`. */
function checkResult({ plan, findings }: Preflight): ControllerOutput<"check"> {
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
function describeCheck({ plan, findings }: Preflight): string[] {
  const problems = findings.problems.flatMap(({ code, message, remedy }) => [
    `✗ ${code}: ${message}`,
    `  ${remedy}`,
  ]);
  const verdict =
    problems.length === 0
      ? ["No problems were found; nothing was created."]
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
    `not included: ${notIncluded.join("; ")}`,
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
