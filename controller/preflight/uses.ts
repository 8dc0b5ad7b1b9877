import { type ActionUse, type PartyName, use } from "../aws/action-use.js";
import type { Plan } from "../plan.js";
import { ROUTE_TABLE } from "../route.js";

/** The actions of the preflight itself; every other action of `check` is a dry run of a step's. */
export function preflightUses({ request, route }: Plan): ActionUse[] {
  const { shares, bridges } = ROUTE_TABLE[route];
  return [
    ...use("source", "ec2:DescribeInstances", "any"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "kms:DescribeKey", "source-keys"),
    ...(bridges === "none" ? [] : use("source", "kms:DescribeKey", "copy-key")),
    ...(request.workerInstance.kind === "existing"
      ? use("worker", "ec2:DescribeInstances", "any")
      : [...use("worker", "ec2:DescribeSubnets", "any"), ...use("worker", "ec2:DescribeImages", "any")]),
    ...use("worker", "ec2:DescribeInstanceTypes", "any"),
    ...(request.volumeKey === null ? use("worker", "ec2:GetEbsDefaultKmsKeyId", "any") : []),
    ...use("worker", "kms:DescribeKey", "volume-key"),
    ...(shares ? use("worker", "kms:DescribeKey", "shared-keys") : []),
    ...readingKeyPolicies("source"),
    ...readingKeyPolicies("worker"),
  ];
}

function readingKeyPolicies(party: PartyName): ActionUse[] {
  return [
    { party, action: "kms:GetKeyPolicy", on: "own-keys", optional: true },
    { party, action: "kms:ListGrants", on: "own-keys", optional: true },
  ];
}
