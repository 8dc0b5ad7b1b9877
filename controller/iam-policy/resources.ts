import type { ActionUse } from "../aws/action-use.js";
import { JOB_TAG } from "../aws/tags.js";
import type { JobPlan, RestorePlan } from "../plan.js";
import { ROUTE_TABLE } from "../route.js";
import { keysOf, keysOwnedBy } from "./keys.js";

/** A plan, and what only its policies need to know. */
export type PolicyPlan = JobPlan & {
  /** ARN of the role that a launched worker gets; null when none is launched. */
  workerRole: string | null;
  /** ARNs of the KMS keys that open the repository; none where it is not encrypted, or with a passphrase alone. */
  repositoryKeys: string[];
  /** The same of an instance that is restored. */
  restoredRole?: string | null;
};

type Condition = Record<string, Record<string, string>>;

export interface Scope {
  resources: string[];
  condition?: Condition;
}

/** The ARNs and conditions of a use. Empty `resources`: the plan has none. */
export function scopeOf(use: ActionUse, plan: PolicyPlan): Scope {
  const scope = placesOf(use, plan);
  const condition = { ...scope.condition, ...conditionOf(use) };
  return Object.keys(condition).length === 0 ? scope : { ...scope, condition };
}

const ANY_JOB = "job-*";
/** What the job makes carries the tag from the first moment; what is changed or removed must carry it. */
const MAKES_TAGGED = { StringLike: { [`aws:RequestTag/${JOB_TAG}`]: ANY_JOB } };
const IS_TAGGED = { StringLike: { [`aws:ResourceTag/${JOB_TAG}`]: ANY_JOB } };
/** Tags of a snapshot are seen in its owner's account alone; others can only be held to the owner. */
const ownedBy = (accountId: string) => ({ StringEquals: { "ec2:Owner": accountId } });
const PASSED_TO_EC2 = { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } };

/** What an action is held to, whatever it is about. */
function conditionOf({ action, creating }: ActionUse): Condition {
  // AWS services may be granted the key, and nobody else.
  if (action === "kms:CreateGrant") return { Bool: { "kms:GrantIsForAWSResource": "true" } };
  // Whoever could tag what exists could then remove it.
  if (creating !== undefined) return { StringEquals: { "ec2:CreateAction": creating.replace("ec2:", "") } };
  return {};
}

/**
 * An asterisk itself, which EC2 asks for where a copy has no id yet; a plain `*` would match the snapshot to be copied, too.
 * AWS: "Example IAM policies for Amazon EBS", copying snapshots.
 */
// biome-ignore lint/suspicious/noTemplateCurlyInString: IAM's own placeholder
const COPY_WITHOUT_ID = "${*}";

function placesOf(use: ActionUse, plan: PolicyPlan): Scope {
  const { party, action, on } = use;
  const { partition, accountId, region } = plan[party];
  const arn = (resource: string, account = accountId, where = region) =>
    `arn:${partition}:ec2:${where}:${account}:${resource}`;
  const snapshots = (id: string) =>
    snapshotRegions(use, plan).map((where) => arn(`snapshot/${id}`, "", where));
  const { request } = plan;
  switch (on) {
    case "any":
      return { resources: ["*"] };
    case "source-instance":
      return { resources: plan.kind === "backup" ? [arn(`instance/${plan.instance.instanceId}`)] : [] };
    case "source-volumes":
      return {
        resources:
          plan.kind === "backup" ? plan.volumes.map(({ origin }) => arn(`volume/${origin.volumeId}`)) : [],
      };
    case "new-snapshot":
      return {
        resources: snapshots(action === "ec2:CopySnapshot" ? COPY_WITHOUT_ID : "*"),
        condition: MAKES_TAGGED,
      };
    case "job-snapshot":
      return { resources: snapshots("snap-*"), condition: IS_TAGGED };
    case "shared-snapshot":
      return { resources: snapshots("snap-*"), condition: ownedBy(sharingAccount(plan)) };
    case "new-volume":
      return { resources: [arn("volume/*")], condition: MAKES_TAGGED };
    case "job-volume":
      return { resources: [arn("volume/*")], condition: IS_TAGGED };
    case "new-instance":
      return { resources: [arn("instance/*")], condition: MAKES_TAGGED };
    case "worker-instance":
      return request.workerInstance.kind === "existing"
        ? { resources: [arn(`instance/${request.workerInstance.instanceId}`)] }
        : { resources: [arn("instance/*")], condition: IS_TAGGED };
    case "launch-inputs":
      return { resources: launchInputs(plan, arn) };
    case "restored-inputs":
      return { resources: plan.kind === "restore" ? restoredInputs(plan, arn) : [] };
    case "restored-instance":
      return { resources: [arn("instance/*")], condition: IS_TAGGED };
    case "restored-role":
      return { resources: plan.restoredRole ? [plan.restoredRole] : [], condition: PASSED_TO_EC2 };
    case "attach-instance":
      return { resources: plan.kind === "restore" ? [arn(`instance/${plan.request.attachTo}`)] : [] };
    case "worker-role":
      return { resources: plan.workerRole === null ? [] : [plan.workerRole], condition: PASSED_TO_EC2 };
    case "own-keys":
      return { resources: keysOwnedBy(accountId, plan) };
    default:
      return { resources: keysOf(on, plan).filter((key) => isNeeded(action, key, plan)) };
  }
}

/** Backups share the instance's snapshots with the worker's account, restores those of what the worker has filled. */
function sharingAccount({ kind, source, worker }: JobPlan): string {
  return kind === "backup" ? source.accountId : worker.accountId;
}

/** Snapshots are taken where the instance is, copied into the worker's Region, and shared and made volumes of as they are nearest. */
function snapshotRegions({ party, action, creating, on }: ActionUse, plan: JobPlan): string[] {
  const { source, worker, route } = plan;
  const { bridges } = ROUTE_TABLE[route];
  switch (creating ?? action) {
    case "ec2:CreateSnapshots":
      return [source.region];
    case "ec2:CopySnapshot":
      return [on === "new-snapshot" ? worker.region : source.region];
    case "ec2:ModifySnapshotAttribute":
      return [bridges === "all" ? worker.region : source.region];
    default:
      if (party === "worker") return [worker.region];
      return bridges === "none" ? [source.region] : [...new Set([source.region, worker.region])];
  }
}

/** The policy of a key that AWS manages lets EBS use it, but leaves it to IAM who may look at it. */
function isNeeded(action: string, key: string, { awsManagedKeys }: JobPlan): boolean {
  return action === "kms:DescribeKey" || !awsManagedKeys.includes(key);
}

function launchInputs(plan: JobPlan, arn: (resource: string, account?: string) => string): string[] {
  const { workerInstance } = plan.request;
  if (workerInstance.kind !== "launch") return [];
  const { imageId, subnetId, securityGroupIds } = workerInstance;
  // Where none is given it is the default one of the VPC, whose id nobody has asked for.
  const groups = securityGroupIds.length === 0 ? ["*"] : securityGroupIds;
  return [
    arn(`image/${imageId}`, ""),
    arn(`subnet/${subnetId}`),
    ...groups.map((id) => arn(`security-group/${id}`)),
    arn("network-interface/*"),
    arn("volume/*"),
  ];
}

function restoredInputs(
  { launch }: RestorePlan,
  arn: (resource: string, account?: string) => string,
): string[] {
  if (launch === null) return [];
  const { imageId, subnetId, securityGroupIds, keyName } = launch;
  const groups = securityGroupIds.length === 0 ? ["*"] : securityGroupIds;
  return [
    arn(`image/${imageId}`, ""),
    arn(`subnet/${subnetId ?? "*"}`),
    ...groups.map((id) => arn(`security-group/${id}`)),
    ...(keyName === null ? [] : [arn(`key-pair/${keyName}`)]),
    arn("network-interface/*"),
  ];
}
