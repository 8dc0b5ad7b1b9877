import { type ActionUse, EBS_KEY_ACTIONS, type PartyName } from "../aws/action-use.js";
import { JOB_TAG, ROLE_TAG, SOURCE_VOLUME_TAG } from "../aws/job-resources.js";
import type { JobPlan, RestorePlan } from "../plan/plan.js";
import { ROUTE_TABLE } from "../plan/route.js";
import { keysOf, keysOwnedBy } from "./keys.js";
import { allOf, type Condition, literal, viaService } from "./policy-document.js";

/** A plan, with the facts that only its policies need. */
export type PolicyPlan = JobPlan & {
  /** ARN of the role that a launched worker gets; null when no worker is launched. */
  workerRole: string | null;
  /** ARNs of the KMS keys that open the repository; empty without encryption, or with a passphrase only. */
  repositoryKeys: string[];
  /** ARN of the role that a restored instance gets. */
  restoredRole?: string | null;
  /** ARN of the key that signs tombstones, from the command line only. */
  tombstoneKey?: string | undefined;
  /** Account of the controller's credentials for the bucket; only the bucket policy needs it. */
  bucketUser?: string;
};

interface Scope {
  resources: string[];
  condition?: Condition;
}

/**
 * Returns the ARNs of a use, with the conditions of each group.
 * Empty `resources` mean that the plan has none.
 */
export function scopesOf(use: ActionUse, plan: PolicyPlan): Required<Scope>[] {
  return placesOf(use, plan).map(({ resources, condition }) => ({
    resources,
    condition: allOf(condition, conditionOf(use, plan)),
  }));
}

const ANY_JOB = "job-*";
/**
 * Every resource of a job carries the tag from its creation.
 * A resource without the tag may not be changed or removed.
 */
const MAKES_TAGGED: Condition = { StringLike: { [`aws:RequestTag/${JOB_TAG}`]: ANY_JOB } };
const IS_TAGGED: Condition = { StringLike: { [`aws:ResourceTag/${JOB_TAG}`]: ANY_JOB } };
/** Tags of a snapshot are visible only in its owner's account, so shared snapshots are limited by owner. */
const ownedBy = (accountId: string): Condition => ({ StringEquals: { "ec2:Owner": accountId } });
const PASSED_TO_EC2: Condition = { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } };
/** Other tags could give access through the tag conditions of other policies. */
const OWN_TAGS: Condition = {
  "ForAllValues:StringEquals": { "aws:TagKeys": [JOB_TAG, "Name", ROLE_TAG, SOURCE_VOLUME_TAG] },
};

/** Actions that EBS performs with a key for a caller; the controller itself also calls DescribeKey. */
const EBS_USES_KEY = EBS_KEY_ACTIONS.filter((action) => action !== "kms:DescribeKey");

/** Returns the condition of an action on any resource. */
function conditionOf({ action, creating }: ActionUse, plan: PolicyPlan): Condition {
  const isByEbs = (EBS_USES_KEY as readonly string[]).includes(action);
  // A principal that could tag existing resources could then remove them.
  if (creating !== undefined)
    return allOf({ StringEquals: { "ec2:CreateAction": creating.replace("ec2:", "") } }, OWN_TAGS);
  // A call without tags would remove all tags.
  if (action === "ec2:DeleteTags") return allOf(OWN_TAGS, { Null: { "aws:TagKeys": "false" } });
  return isByEbs ? ebsAlone(action, plan) : {};
}

/** Limits a key to uses through EBS, and its grants to AWS services. */
export function ebsAlone(action: string, { source, worker }: JobPlan): Condition {
  const via = viaService("ec2", worker.partition, [source.region, worker.region]);
  return action === "kms:CreateGrant" ? allOf(via, { Bool: { "kms:GrantIsForAWSResource": "true" } }) : via;
}

/**
 * A literal asterisk, which EC2 checks for a copy that has no id yet.
 * A plain `*` would also match the snapshot that is copied.
 * AWS: "Example IAM policies for Amazon EBS", copying snapshots.
 */
const COPY_WITHOUT_ID = literal("*");

function placesOf(use: ActionUse, plan: PolicyPlan): Scope[] {
  const { party, action, on } = use;
  const { partition, accountId, region } = plan[party];
  const arn = (resource: string, account = accountId, where = region) =>
    `arn:${partition}:ec2:${where}:${account}:${resource}`;
  const snapshots = (id: string) =>
    snapshotRegions(use, plan).map((where) => arn(`snapshot/${id}`, "", where));
  const { request } = plan;
  const isRun = action === "ec2:RunInstances";
  switch (on) {
    case "any":
      return [{ resources: ["*"] }];
    case "source-instance":
      return [{ resources: plan.kind === "backup" ? [arn(`instance/${plan.instance.instanceId}`)] : [] }];
    case "source-volumes":
      return [
        {
          resources:
            plan.kind === "backup"
              ? plan.volumes.map(({ origin }) => arn(`volume/${literal(origin.volumeId)}`))
              : [],
        },
      ];
    case "new-snapshot":
      return [
        {
          resources: snapshots(action === "ec2:CopySnapshot" ? COPY_WITHOUT_ID : "*"),
          condition: MAKES_TAGGED,
        },
      ];
    case "job-snapshot": {
      const ours = { resources: snapshots("snap-*"), condition: IS_TAGGED };
      return action === "ec2:ModifySnapshotAttribute" ? sharingScopes(ours, use, plan) : [ours];
    }
    case "shared-snapshot":
      return [{ resources: snapshots("snap-*"), condition: ownedBy(sharingAccount(plan)) }];
    case "new-volume":
      return [
        {
          resources: [arn("volume/*")],
          condition: action === "ec2:CreateVolume" ? allOf(MAKES_TAGGED, ENCRYPTED) : MAKES_TAGGED,
        },
      ];
    case "job-volume":
      return [{ resources: [arn("volume/*")], condition: IS_TAGGED }];
    case "new-instance":
      return [
        {
          resources: [arn("instance/*")],
          condition: isRun ? allOf(MAKES_TAGGED, launchedAs(party, plan)) : MAKES_TAGGED,
        },
      ];
    case "worker-instance":
      return request.workerInstance.kind === "existing"
        ? [{ resources: [arn(`instance/${literal(request.workerInstance.instanceId)}`)] }]
        : [{ resources: [arn("instance/*")], condition: IS_TAGGED }];
    case "launch-inputs":
      return launchInputs(plan, arn);
    case "restored-inputs":
      return [{ resources: plan.kind === "restore" ? restoredInputs(plan, arn) : [] }];
    case "restored-instance":
      return [{ resources: [arn("instance/*")], condition: IS_TAGGED }];
    case "restored-role":
      return [{ resources: plan.restoredRole ? [plan.restoredRole] : [], condition: PASSED_TO_EC2 }];
    case "attach-instance":
      return [
        {
          resources: plan.kind === "restore" ? [arn(`instance/${literal(plan.request.attachTo ?? "")}`)] : [],
        },
      ];
    case "worker-role":
      return [{ resources: plan.workerRole === null ? [] : [plan.workerRole], condition: PASSED_TO_EC2 }];
    case "own-keys":
      return [{ resources: keysOwnedBy(accountId, plan) }];
    default:
      return [{ resources: keysOf(on, plan).filter((key) => isNeeded(action, key, plan)) }];
  }
}

/**
 * Limits sharing to the other party of the plan: no third account and no group, because `all` means everyone.
 * AWS: "Actions, resources, and condition keys for Amazon EC2", ModifySnapshotAttribute
 */
function sharingScopes({ resources, condition }: Scope, { party }: ActionUse, plan: PolicyPlan): Scope[] {
  const { accountId } = plan[party === "source" ? "worker" : "source"];
  return (["Add", "Remove"] as const).map((change) => ({
    resources,
    condition: allOf(condition, {
      "ForAllValues:StringEquals": { [`ec2:${change}/userId`]: accountId },
      Null: { [`ec2:${change}/userId`]: "false", "ec2:Add/group": "true", "ec2:Remove/group": "true" },
    }),
  }));
}

/**
 * Returns the account that shares snapshots.
 * A backup shares the instance's snapshots with the worker's account. A restore shares snapshots of the
 * volumes that the worker filled.
 */
function sharingAccount({ kind, source, worker }: JobPlan): string {
  return kind === "backup" ? source.accountId : worker.accountId;
}

/**
 * Returns the Regions of the snapshots of an action.
 * Snapshots are taken in the instance's Region and copied into the worker's. The nearest ones are shared, and
 * volumes are created from them.
 */
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

/**
 * Returns whether an action on a key needs a statement.
 * The policy of an AWS-managed key lets EBS use it, but leaves DescribeKey to IAM.
 */
function isNeeded(action: string, key: string, { awsManagedKeys }: JobPlan): boolean {
  return action === "kms:DescribeKey" || !awsManagedKeys.includes(key);
}

const ENCRYPTED: Condition = { BoolIfExists: { "ec2:Encrypted": "true" } };

/** Limits a worker to a network interface without a public address and an encrypted root volume. */
function launchInputs(plan: JobPlan, arn: (resource: string, account?: string) => string): Scope[] {
  const { workerInstance } = plan.request;
  if (workerInstance.kind !== "launch") return [];
  const { imageId, subnetId, securityGroupIds } = workerInstance;
  return [
    {
      resources: [
        arn(`image/${literal(imageId)}`, ""),
        arn(`subnet/${literal(subnetId)}`),
        ...groupsOf(securityGroupIds).map((id) => arn(`security-group/${id}`)),
      ],
    },
    {
      resources: [arn("network-interface/*")],
      condition: { BoolIfExists: { "ec2:AssociatePublicIpAddress": "false" } },
    },
    { resources: [arn("volume/*")], condition: ENCRYPTED },
  ];
}

/**
 * Returns the security groups; any group if none is given.
 * EC2 then uses the default group of the VPC, whose id is not known here.
 */
function groupsOf(securityGroupIds: string[]): string[] {
  return securityGroupIds.length === 0 ? ["*"] : securityGroupIds.map(literal);
}

function restoredInputs(
  { launch }: RestorePlan,
  arn: (resource: string, account?: string) => string,
): string[] {
  if (launch === null) return [];
  const { imageId, subnetId, securityGroupIds, keyName } = launch;
  return [
    arn(`image/${literal(imageId)}`, ""),
    arn(`subnet/${subnetId === null ? "*" : literal(subnetId)}`),
    ...groupsOf(securityGroupIds).map((id) => arn(`security-group/${id}`)),
    ...(keyName === null ? [] : [arn(`key-pair/${literal(keyName)}`)]),
    arn("network-interface/*"),
  ];
}

/**
 * Returns the conditions on an instance that a party launches.
 * They require IMDSv2, the planned instance type, and the planned profile or none. Another profile would lend
 * its role to the users of the instance.
 * AWS: "Actions, resources, and condition keys for Amazon EC2", RunInstances
 */
function launchedAs(party: PartyName, plan: JobPlan): Condition {
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
