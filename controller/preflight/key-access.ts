import { GetKeyPolicyCommand, ListGrantsCommand } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { EBS_KEY_ACTIONS, type PartyName } from "../aws/action-use.js";
import type { Party } from "../aws/party.js";
import { isKeyResource, keysOf } from "../iam-policy/keys.js";
import type { Parties } from "../parties.js";
import type { JobPlan } from "../plan.js";
import { stepsOf } from "../workflow.js";
import type { Findings } from "./findings.js";
import { actionsLeftOut, isPrincipal, parseKeyPolicy } from "./key-policy.js";

/**
 * Checks that EBS may use each key for the parties that need it.
 * The key's policy or a grant must allow it. DescribeKey alone does not prove this: EBS uses the key only
 * after CreateVolume has succeeded. A policy that may not be read becomes a note.
 */
export async function checkKeyAccess(plan: JobPlan, parties: Parties, findings: Findings): Promise<void> {
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
    const { Grants = [], NextMarker } = await owner.kms(new ListGrantsCommand(request), key);
    const own = Grants.filter(({ GranteePrincipal = "" }) => isPrincipal(GranteePrincipal, user));
    for (const operation of own.flatMap(({ Operations = [] }) => Operations)) actions.add(`kms:${operation}`);
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
  return `Whether EBS may use key ${key} for ${principalArn} is not known: nobody here may read its policy and grants (kms:GetKeyPolicy, kms:ListGrants, in account ${accountOf(key)}).`;
}

function leftOut(key: string, user: Party, actions: string[]): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `The policy of key ${key} does not allow ${user.principalArn} ${actions.join(", ")}.`,
    remedy:
      accountOf(key) === user.accountId
        ? `Let the key's policy leave that to the policies of account ${user.accountId}, or allow the role itself.`
        : "Add to the key's policy what `blockferry iam-policy --for key-policy` prints with the same options.",
    object: key,
  });
}
