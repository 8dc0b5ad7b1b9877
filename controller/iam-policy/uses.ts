import { type ActionUse, type PartyName, use } from "../aws/action-use.js";
import type { JobPlan, Plan, RestorePlan } from "../plan/plan.js";
import { ROUTE_TABLE } from "../plan/route.js";

/**
 * Returns the actions of the preflight itself.
 * All other actions of `check` are dry runs of the steps' actions.
 */
export function preflightUses(plan: JobPlan): ActionUse[] {
  const { request } = plan;
  const { shares } = ROUTE_TABLE[plan.route];
  return [
    ...(plan.kind === "backup" ? sourceUses(plan) : targetUses(plan)),
    ...(request.workerInstance.kind === "existing"
      ? use("worker", "ec2:DescribeInstances", "any")
      : [...use("worker", "ec2:DescribeSubnets", "any"), ...use("worker", "ec2:DescribeImages", "any")]),
    ...use("worker", "ec2:DescribeInstanceTypes", "any"),
    ...(request.volumeKey === null ? use("worker", "ec2:GetEbsDefaultKmsKeyId", "any") : []),
    ...use("worker", "kms:DescribeKey", "volume-key"),
    ...(shares && plan.kind === "backup" ? use("worker", "kms:DescribeKey", "shared-keys") : []),
    ...readingKeyPolicies("source"),
    ...readingKeyPolicies("worker"),
  ];
}

function sourceUses({ route }: Plan): ActionUse[] {
  return [
    ...use("source", "ec2:DescribeInstances", "any"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "kms:DescribeKey", "source-keys"),
    ...(ROUTE_TABLE[route].bridges === "none" ? [] : use("source", "kms:DescribeKey", "copy-key")),
  ];
}

const ATTACH_LOOKS = ["ec2:DescribeInstances", "ec2:DescribeInstanceTypes"] as const;

const LAUNCH_LOOKS = [
  "ec2:DescribeImages",
  "ec2:DescribeInstanceTypes",
  "ec2:DescribeSecurityGroups",
  "ec2:DescribeSubnets",
] as const;

function targetUses(plan: RestorePlan): ActionUse[] {
  const { request } = plan;
  const places = [
    ...(request.attachTo === null ? [] : ATTACH_LOOKS.flatMap((action) => use("source", action, "any"))),
    ...(plan.launch === null ? [] : LAUNCH_LOOKS.flatMap((action) => use("source", action, "any"))),
  ];
  if (plan.route === "same-account") return places;
  return [
    ...places,
    ...(request.targetKey === null ? use("source", "ec2:GetEbsDefaultKmsKeyId", "any") : []),
    ...use("source", "kms:DescribeKey", "shared-keys", "copy-key"),
  ];
}

function readingKeyPolicies(party: PartyName): ActionUse[] {
  return [
    { party, action: "kms:GetKeyPolicy", on: "own-keys", optional: true },
    { party, action: "kms:ListGrants", on: "own-keys", optional: true },
  ];
}
