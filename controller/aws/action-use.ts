export type PartyName = "source" | "worker";

/** The resource of an action; iam-policy/resources.ts gives the ARNs and conditions. */
export type ResourceScope =
  | "any"
  | "source-instance"
  | "source-volumes"
  | "new-snapshot"
  | "job-snapshot"
  | "shared-snapshot"
  | "new-volume"
  | "job-volume"
  | "worker-instance"
  | "new-instance"
  | "launch-inputs"
  | "restored-inputs"
  | "restored-instance"
  | "restored-role"
  | "attach-instance"
  | "worker-role"
  | "source-keys"
  | "shared-keys"
  | "copy-key"
  | "volume-key"
  | "own-keys";

/**
 * One action of a step, with its party and resource.
 * The steps are limited to these actions, and the IAM policies are built from them.
 */
export interface ActionUse {
  party: PartyName;
  action: `${"ec2" | "kms" | "iam"}:${string}`;
  on: ResourceScope;
  /** For `ec2:CreateTags`: the action that creates the tagged resource, in the same call. */
  creating?: ActionUse["action"];
  /** `check` reports more with this permission; a backup works without it. */
  optional?: true;
}

export function use(party: PartyName, action: ActionUse["action"], ...on: ResourceScope[]): ActionUse[] {
  return on.map((kind) => ({ party, action, on: kind }));
}

/** Returns the uses of an action that creates a resource and tags it. */
export function making(party: PartyName, action: ActionUse["action"], on: ResourceScope): ActionUse[] {
  return [
    { party, action, on },
    { party, action: "ec2:CreateTags", on, creating: action },
  ];
}

/**
 * Actions that EBS performs with a key on behalf of the caller, who copies a snapshot or creates a volume.
 * AWS: "Requirements for Amazon EBS encryption".
 */
export const EBS_KEY_ACTIONS = [
  "kms:DescribeKey",
  "kms:CreateGrant",
  "kms:Decrypt",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
  "kms:GenerateDataKeyWithoutPlaintext",
] as const;

export function useKeys(party: PartyName, ...on: ResourceScope[]): ActionUse[] {
  return EBS_KEY_ACTIONS.flatMap((action) => use(party, action, ...on));
}
