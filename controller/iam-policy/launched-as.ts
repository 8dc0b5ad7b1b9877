import type { PartyName } from "../aws/action-use.js";
import type { JobPlan } from "../plan.js";
import { allOf, type Condition, literal } from "./policy-document.js";

/**
 * Returns the conditions on an instance that a party launches.
 * They require IMDSv2, the planned instance type, and the planned profile or none. Another profile would lend
 * its role to the users of the instance.
 * AWS: "Actions, resources, and condition keys for Amazon EC2", RunInstances
 */
export function launchedAs(party: PartyName, plan: JobPlan): Condition {
  return party === "worker" ? workerLaunch(plan) : restoredLaunch(plan);
}

function workerLaunch({ request: { workerInstance }, worker }: JobPlan): Condition {
  if (workerInstance.kind !== "launch") return {};
  const { instanceType, profile } = workerInstance;
  return allOf(
    { StringEquals: { "ec2:MetadataHttpTokens": "required" } },
    { StringEqualsIfExists: { "ec2:InstanceType": literal(instanceType) } },
    { NumericLessThanEqualsIfExists: { "ec2:MetadataHttpPutResponseHopLimit": "1" } },
    hasProfile(profile, worker),
  );
}

function restoredLaunch(plan: JobPlan): Condition {
  if (plan.kind !== "restore" || plan.launch === null) return {};
  const { instanceType, profile } = plan.launch;
  return allOf(
    { StringEquals: { "ec2:MetadataHttpTokens": "required" } },
    { StringEqualsIfExists: { "ec2:InstanceType": literal(instanceType) } },
    hasProfile(profile, plan.source),
  );
}

/**
 * Returns the condition for an instance profile.
 * A name does not include the profile's path, but names are unique in an account.
 */
function hasProfile(profile: string | null, { partition, accountId }: JobPlan["worker"]): Condition {
  if (profile === null) return { Null: { "ec2:InstanceProfile": "true" } };
  const named = `arn:${partition}:iam::${accountId}:instance-profile`;
  const name = literal(profile);
  const arns = profile.startsWith("arn:") ? name : [`${named}/${name}`, `${named}/*/${name}`];
  return { ArnLike: { "ec2:InstanceProfile": arns } };
}
