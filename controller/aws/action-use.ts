export type PartyName = "source" | "worker";

/** What an action is about; iam-policy/resources.ts gives the ARNs and conditions. */
export type ResourceKind =
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

/** One action that a step takes, by whom and on what: the steps run by it, and the policies are made of it. */
export interface ActionUse {
  party: PartyName;
  action: `${"ec2" | "kms" | "iam"}:${string}`;
  on: ResourceKind;
  /** For `ec2:CreateTags`: the action that makes what is tagged, in the same call. */
  creating?: ActionUse["action"];
  /** `check` says more with it; a backup does without. */
  optional?: true;
}

export function use(party: PartyName, action: ActionUse["action"], ...on: ResourceKind[]): ActionUse[] {
  return on.map((kind) => ({ party, action, on: kind }));
}

/** An action that makes something, and gives it its tags. */
export function making(party: PartyName, action: ActionUse["action"], on: ResourceKind): ActionUse[] {
  return [
    { party, action, on },
    { party, action: "ec2:CreateTags", on, creating: action },
  ];
}

/** What EBS does with a key in the name of who copies a snapshot or makes a volume. AWS: "Requirements for Amazon EBS encryption". */
export const EBS_KEY_ACTIONS = [
  "kms:DescribeKey",
  "kms:CreateGrant",
  "kms:Decrypt",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
  "kms:GenerateDataKeyWithoutPlaintext",
] as const;

export function useKeys(party: PartyName, ...on: ResourceKind[]): ActionUse[] {
  return EBS_KEY_ACTIONS.flatMap((action) => use(party, action, ...on));
}
