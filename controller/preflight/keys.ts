import { GetEbsDefaultKmsKeyIdCommand } from "@aws-sdk/client-ec2";
import {
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  type KeyMetadata,
  ListGrantsCommand,
} from "@aws-sdk/client-kms";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { EBS_KEY_ACTIONS, type PartyName } from "../aws/action-use.js";
import { howToAllow } from "../aws/instances.js";
import { listRepeats, type Party, type PlannedParty } from "../aws/party.js";
import { isKeyResource, keysOf } from "../iam-policy/keys.js";
import type { Parties } from "../plan/parties.js";
import type { JobPlan } from "../plan/plan.js";
import type { KeyKind } from "../plan/route.js";
import { stepsOf } from "../run/workflow.js";
import type { PreflightFindings } from "./dry-runs.js";

/**
 * Returns whether snapshots under a key can be shared.
 * @param key ARN, or null for an unencrypted volume
 */
export async function keyKindOf(source: Party, key: string | null): Promise<KeyKind> {
  if (key === null) return "none";
  const { KeyManager } = await usableKey(source, key);
  return KeyManager === "AWS" ? "aws-managed" : "customer";
}

/** Returns the default EBS key of a party's account and Region, as `alias/aws/ebs` or an ARN. */
export async function defaultEbsKey(party: Party): Promise<string> {
  const { KmsKeyId } = await party.ec2(
    new GetEbsDefaultKmsKeyIdCommand({}),
    `the default EBS key of ${party.region}`,
  );
  return KmsKeyId ?? "alias/aws/ebs";
}

/**
 * Returns the metadata of a key that a party needs.
 * @throws KeyNotUsable when the party may not describe the key, or when the key is not enabled
 */
export async function usableKey(party: Party, key: string): Promise<KeyMetadata & { Arn: string }> {
  const region = key.startsWith("arn:") ? key.split(":")[3] : party.region;
  const metadata = await describe(party, key, region ?? party.region);
  if (metadata.KeyState !== "Enabled") {
    throw new BlockferryError({
      code: "KeyNotUsable",
      message: `Key ${metadata.Arn ?? key} is ${metadata.KeyState}, so EBS cannot use it.`,
      remedy: `Enable it (aws kms enable-key), or cancel its deletion first; or name another key.`,
      object: metadata.Arn ?? key,
    });
  }
  return { ...metadata, Arn: metadata.Arn ?? key };
}

async function describe(party: Party, key: string, region: string): Promise<KeyMetadata> {
  try {
    const { KeyMetadata } = await party.kms(new DescribeKeyCommand({ KeyId: key }), key, region);
    return KeyMetadata ?? { KeyId: key };
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
    if (error.code !== "AwsAccessDenied" && error.code !== "AwsResourceNotFound") throw error;
    throw new BlockferryError(
      {
        code: "KeyNotUsable",
        message: `${party.principalArn} cannot use key ${key}: ${error.message}`,
        remedy: howToAllow(party, [key]),
        object: key,
      },
      error,
    );
  }
}

/**
 * Checks the key for copies of snapshots.
 * @throws SnapshotNotShareable when copies under the key cannot be shared; KeyNotUsable when it is in another
 * Region
 */
export function checkBridgeKey(key: KeyMetadata & { Arn: string }, region: string, isShared: boolean): void {
  if (key.Arn.split(":")[3] !== region) {
    throw new BlockferryError({
      code: "KeyNotUsable",
      message: `The bridge key ${key.Arn} is not in ${region}, where the copies are made.`,
      remedy: "Name a key of the worker's Region.",
      object: key.Arn,
    });
  }
  if (!isShared || key.KeyManager !== "AWS") return;
  throw new BlockferryError({
    code: "SnapshotNotShareable",
    message: `The bridge key ${key.Arn} is managed by AWS; snapshots under it cannot be shared.`,
    remedy: "Name a customer-managed key with --bridge-key.",
    object: key.Arn,
  });
}

/** Returns the error for an AWS-managed key across accounts, before any resource is created. */
export function notShareable(volumeId: string, key: string | null): BlockferryError {
  return new BlockferryError({
    code: "SnapshotNotShareable",
    message: `Volume ${volumeId} is encrypted with ${key}, which AWS manages: its snapshots cannot be shared with another account.`,
    remedy:
      "Give --worker-account source with a worker in the instance's account, or --bridge-key ARN of a customer-managed key, under which a copy is made and shared.",
    object: volumeId,
  });
}

/**
 * Checks that EBS may use each key for the parties that need it.
 * The key's policy or a grant must allow it. DescribeKey alone does not prove this: EBS uses the key only
 * after CreateVolume has succeeded. A policy that may not be read becomes a note.
 */
export async function checkKeyAccess(
  plan: JobPlan,
  parties: Parties,
  findings: PreflightFindings,
): Promise<void> {
  for (const { key, user } of keyUsers(plan)) {
    const owner = [parties.source, parties.worker].find(({ accountId }) => accountId === accountOf(key));
    await findings.attempt(async () => {
      const lacking = await actionsLacking(key, parties[user], owner);
      if (lacking === undefined) findings.notes.push(unknown(key, parties[user]));
      else if (lacking.length > 0) findings.explain(leftOut(key, parties[user], lacking));
    });
  }
}

/**
 * Returns each key with the party for which EBS uses it.
 * AWS-managed keys are left out: every principal in their account may use them.
 */
function keyUsers(plan: JobPlan): { key: string; user: PartyName }[] {
  const grants = stepsOf(plan)
    .flatMap((step) => step.uses(plan))
    .filter(({ action }) => action === "kms:CreateGrant");
  const users = grants.flatMap(({ party, on }) =>
    isKeyResource(on) ? keysOf(on, plan).map((key) => ({ key, user: party })) : [],
  );
  const needed = users.filter(({ key }) => !plan.awsManagedKeys.includes(key));
  return [...new Map(needed.map((one) => [JSON.stringify(one), one])).values()];
}

/** @returns undefined when the permissions cannot be determined */
async function actionsLacking(key: string, user: Party, owner: Party | undefined) {
  if (owner === undefined) return undefined;
  const command = new GetKeyPolicyCommand({ KeyId: key, PolicyName: "default" });
  const { Policy = "{}" } = (await unlessForbidden(() => owner.kms(command, key))) ?? {};
  const statements = parseKeyPolicy(Policy);
  if (statements === undefined) return undefined;
  const leftOut = actionsLeftOut(statements, EBS_KEY_ACTIONS, user);
  if (leftOut.length === 0) return leftOut;
  const granted = await unlessForbidden(() => grantedActions(key, user, owner));
  return granted === undefined ? undefined : leftOut.filter((action) => !granted.has(action));
}

async function grantedActions(key: string, user: Party, owner: Party): Promise<Set<string>> {
  const actions = new Set<string>();
  let Marker: string | undefined;
  do {
    // KMS compares the whole ARN, which is unknown for a role without its path.
    const grantee = user.rolePath === "known" ? { GranteePrincipal: user.principalArn } : {};
    const request = { KeyId: key, ...grantee, Marker };
    const { Grants = [], Truncated, NextMarker } = await owner.kms(new ListGrantsCommand(request), key);
    const own = Grants.filter(({ GranteePrincipal = "" }) => isPrincipal(GranteePrincipal, user));
    for (const operation of own.flatMap(({ Operations = [] }) => Operations)) actions.add(`kms:${operation}`);
    const isStuck = NextMarker === undefined ? Truncated === true : NextMarker === Marker;
    if (isStuck) throw listRepeats("KMS", `the grants of ${key}`);
    Marker = NextMarker;
  } while (Marker !== undefined);
  return actions;
}

async function unlessForbidden<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "AwsAccessDenied") return undefined;
    throw error;
  }
}

function accountOf(key: string): string | undefined {
  return key.split(":")[4];
}

function unknown(key: string, { principalArn }: Party): string {
  return `Whether EBS may use key ${key} for ${principalArn} is not known: none of the parties may read its policy and grants (kms:GetKeyPolicy, kms:ListGrants, in account ${accountOf(key)}).`;
}

function leftOut(key: string, user: Party, actions: string[]): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `The policy of key ${key} does not allow ${user.principalArn} ${actions.join(", ")}.`,
    remedy:
      accountOf(key) === user.accountId
        ? `Let the key's policy delegate this to the IAM policies of account ${user.accountId}, or allow the role itself.`
        : "Add the statements that `blockferry iam-policy --for key-policy` prints with the same options to the key's policy.",
    object: key,
  });
}

const oneOrMore = z.union([z.string(), z.array(z.string())]);

const StatementSchema = z.object({
  Effect: z.enum(["Allow", "Deny"]),
  /** Absent in a statement with NotPrincipal, which may apply to any principal. */
  Principal: z.optional(z.union([z.literal("*"), z.record(z.string(), oneOrMore)])),
  /** Absent in a statement with NotAction. */
  Action: z.optional(oneOrMore),
  Condition: z.optional(z.record(z.string(), z.record(z.string(), oneOrMore))),
});

const KeyPolicySchema = z.object({ Statement: z.union([StatementSchema, z.array(StatementSchema)]) });

type KeyPolicyStatement = z.infer<typeof StatementSchema>;

/**
 * Parses a key policy.
 * @param policy as KMS returns it
 * @returns undefined when the policy has an unknown form
 */
function parseKeyPolicy(policy: string): KeyPolicyStatement[] | undefined {
  const parsed = z.safeParse(KeyPolicySchema, JSON.parse(policy));
  return parsed.success ? listed(parsed.data.Statement) : undefined;
}

/**
 * Returns the actions that a key's policy evidently does not allow a user.
 * Only KMS can evaluate all conditions, and permissions that the policy delegates to an account. Both count
 * as allowed.
 */
function actionsLeftOut(
  statements: KeyPolicyStatement[],
  actions: readonly string[],
  user: PlannedParty,
): string[] {
  const about = (action: string, effect: "Allow" | "Deny") =>
    statements.filter(
      (statement) =>
        statement.Effect === effect && mayMeanAction(statement, action) && mayMeanUser(statement, user),
    );
  return actions.filter(
    (action) =>
      !about(action, "Allow").some((statement) => mayHold(statement, user)) ||
      about(action, "Deny").some(({ Principal, Action, Condition }) => Principal && Action && !Condition),
  );
}

/**
 * Returns whether a principal stands for the user.
 * The principal of a policy or grant may be the user, its role or its account.
 */
function isPrincipal(principal: string, { accountId, principalArn }: PlannedParty): boolean {
  if (principal === "*" || principal === accountId) return true;
  const [, , , , account, resource = ""] = principal.split(":");
  if (account !== accountId) return false;
  return resource === "root" || nameOf(resource) === nameOf(principalArn);
}

/**
 * Returns the name of a user or role without its path.
 * STS does not return the path of roles. Names are unique in an account, even across paths.
 * AWS: "IAM identifiers", friendly names and paths.
 */
function nameOf(resource: string): string | undefined {
  const parts = resource.split("/");
  return resource.startsWith("assumed-role/") ? parts[1] : parts.at(-1);
}

function mayMeanUser({ Principal }: KeyPolicyStatement, user: PlannedParty): boolean {
  if (Principal === undefined || Principal === "*") return true;
  return listed(Principal.AWS ?? []).some((principal) => isPrincipal(principal, user));
}

function mayMeanAction({ Action }: KeyPolicyStatement, action: string): boolean {
  if (Action === undefined) return true;
  return listed(Action).some((pattern) => {
    const escaped = pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    return new RegExp(`^${escaped}$`, "i").test(action);
  });
}

/** Checks the only condition that can be evaluated here: the account of the caller. */
function mayHold({ Condition }: KeyPolicyStatement, { accountId }: PlannedParty): boolean {
  return Object.entries(Condition?.StringEquals ?? {}).every(
    ([key, accounts]) =>
      !/^(kms:CallerAccount|aws:PrincipalAccount)$/i.test(key) || listed(accounts).includes(accountId),
  );
}

function listed<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
