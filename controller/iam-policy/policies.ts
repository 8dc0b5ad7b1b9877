import { type ActionUse, EBS_KEY_ACTIONS, type PartyName } from "../aws/action-use.js";
import type { Access } from "../aws/clients.js";
import type { JobPlan } from "../plan/plan.js";
import { ROUTE_TABLE } from "../plan/route.js";
import { stepsOf } from "../run/workflow.js";
import { bucketStatements } from "./bucket-policy.js";
import { keysOf } from "./keys.js";
import { type Condition, heldTo, literal, type Policy, type Statement } from "./policy-document.js";
import { repositoryStatements } from "./repository-statements.js";
import { ebsAlone, type PolicyPlan, scopesOf } from "./resources.js";
import { preflightUses } from "./uses.js";

export const POLICY_PARTIES = [
  ...["controller", "source", "worker", "agent", "key-policy"],
  ...["verify", "maintenance", "bucket"],
] as const;
export type PolicyParty = (typeof POLICY_PARTIES)[number];

/** Returns every action that a plan's preflight and steps declare. */
export function usesOf(plan: JobPlan): ActionUse[] {
  return [...preflightUses(plan), ...stepsOf(plan).flatMap((step) => step.uses(plan))];
}

/** Returns the minimal policy of a party. */
export function policyFor(party: PolicyParty, plan: PolicyPlan): Policy {
  return { Version: "2012-10-17", Statement: statementsFor(party, plan) };
}

function statementsFor(party: PolicyParty, plan: PolicyPlan): Statement[] {
  if (party === "source" || party === "worker") return partyStatements(party, plan);
  if (party === "key-policy") return keyPolicyStatements(plan);
  if (party === "bucket") return bucketStatements(plan);
  const isRestoring = party === "agent" && plan.kind === "restore";
  return [
    ...repositoryStatements(plan, isRestoring ? "restoring-agent" : party),
    ...repositoryKeyStatements(plan),
    ...(party === "controller" || party === "agent" ? jobKeyStatements(plan, party) : []),
    ...(party === "verify" || party === "maintenance" ? tombstoneKeyStatements(plan, party) : []),
    ...(party === "controller" ? ownStatements(plan) : []),
  ];
}

/**
 * Returns the controller's own statements.
 * The controller assumes the given roles, and uses its own permissions for a party without a role.
 */
function ownStatements(plan: PolicyPlan): Statement[] {
  const { request } = plan;
  const oneAccess = request.workerAccount === "source";
  const accesses = oneAccess ? [request.source] : [request.source, request.worker];
  return [
    ...groupStatements(accesses.flatMap(assumption)),
    ...(request.source.roleArn === null ? partyStatements("source", plan) : []),
    ...((oneAccess ? request.source : request.worker).roleArn === null
      ? partyStatements("worker", plan)
      : []),
  ];
}

/**
 * Returns the permission to assume a role, only with the given external id.
 * So a role that asks for another external id is not assumed by mistake.
 */
function assumption({ roleArn, externalId }: Access): Permission[] {
  if (roleArn === null) return [];
  const condition: Condition =
    externalId === null ? {} : { StringEquals: { "sts:ExternalId": literal(externalId) } };
  return [{ action: "sts:AssumeRole", resource: roleArn, ...heldTo(condition) }];
}

/** Marks statements that a policy may leave out; a Sid must be unique in a policy. */
const OPTIONAL_SIDS: Record<PartyName, string> = {
  source: "BlockferryChecksSourceKeys",
  worker: "BlockferryChecksWorkerKeys",
};

function partyStatements(party: PartyName, plan: PolicyPlan): Statement[] {
  const uses = usesOf(plan).filter((use) => use.party === party);
  const permissions = uses.flatMap((use) => {
    const sid = use.optional ? { Sid: OPTIONAL_SIDS[party] } : {};
    return scopesOf(use, plan).flatMap(({ resources, condition }) =>
      resources.map((resource) => ({ action: use.action, resource, ...sid, ...heldTo(condition) })),
    );
  });
  return groupStatements(permissions);
}

/**
 * Returns statements for the policy of the key under which snapshots are shared.
 * They give the role in the other account its permissions.
 */
function keyPolicyStatements(plan: PolicyPlan): Statement[] {
  if (!ROUTE_TABLE[plan.route].shares || keysOf("shared-keys", plan).length === 0) return [];
  const Principal = { AWS: plan[plan.kind === "backup" ? "worker" : "source"].principalArn };
  const use = EBS_KEY_ACTIONS.filter((action) => !/:(DescribeKey|CreateGrant)$/.test(action));
  const statement = (Sid: string, Action: string[], condition: Condition = {}): Statement => ({
    ...{ Sid, Effect: "Allow", Principal, Action, Resource: ["*"], ...heldTo(condition) },
  });
  return [
    statement("BlockferrySeesTheKey", ["kms:DescribeKey"]),
    statement("BlockferryUsesTheKey", use, ebsAlone("kms:Decrypt", plan)),
    statement("BlockferryLetsEbsUseTheKey", ["kms:CreateGrant"], ebsAlone("kms:CreateGrant", plan)),
  ];
}

/** One action on one resource. */
interface Permission extends Pick<Statement, "Sid" | "Condition"> {
  action: string;
  resource: string;
}

/** Merges permissions into as few statements as possible, each permission once. */
function groupStatements(permissions: Permission[]): Statement[] {
  const places = grouped(permissions, ({ resource, Sid, Condition }) => [resource, Sid, Condition]).map(
    ([first, all]) => ({ ...first, actions: [...new Set(all.map(({ action }) => action))] }),
  );
  const alike = grouped(places, ({ actions, Sid, Condition }) => [[...actions].sort(), Sid, Condition]);
  return alike.map(([{ Sid, actions, Condition }, all]) => ({
    ...(Sid === undefined ? {} : { Sid }),
    ...{ Effect: "Allow" as const, Action: actions, Resource: all.map(({ resource }) => resource) },
    ...(Condition === undefined ? {} : { Condition }),
  }));
}

/** Groups items by key, in the order of each key's first item. */
function grouped<T>(items: T[], keyOf: (item: T) => unknown): [first: T, all: T[]][] {
  const groups = new Map<string, [T, T[]]>();
  for (const item of items) {
    const key = JSON.stringify(keyOf(item));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item, [item]]);
    else group[1].push(item);
  }
  return [...groups.values()];
}

/** Returns the permission to open an encrypted repository with its KMS keys, and nothing else. */
function repositoryKeyStatements({ repositoryId, repositoryKeys }: PolicyPlan): Statement[] {
  if (repositoryKeys.length === 0) return [];
  const Condition = { StringEquals: { "kms:EncryptionContext:blockferry:repository": repositoryId } };
  return [{ Effect: "Allow", Action: ["kms:Decrypt"], Resource: repositoryKeys, Condition }];
}

/**
 * Actions on the job key and the reply key.
 * The controller signs jobs, and `check` tests this; the agent can only verify them. The reply key can be
 * used by both, because the controller verifies replies by computing the same MACs.
 */
const ACTIONS = {
  controller: { job: ["kms:DescribeKey", "kms:GenerateMac"], reply: ["kms:DescribeKey", "kms:GenerateMac"] },
  agent: { job: ["kms:VerifyMac"], reply: ["kms:GenerateMac"] },
} as const;

/** Returns the statements for `--job-key` and `--reply-key`. */
function jobKeyStatements(
  { request: { jobKey, replyKey } }: JobPlan,
  who: keyof typeof ACTIONS,
): Statement[] {
  const { job, reply } = ACTIONS[who];
  if (jobKey === undefined) return [];
  const own = allow(jobKey, replyKey === jobKey ? [...job, ...reply] : job);
  return replyKey === undefined || replyKey === jobKey ? [own] : [own, allow(replyKey, reply)];
}

/**
 * `forget` signs tombstones and `verify` verifies them.
 * No other role uses this key, and these roles use no other MAC key.
 */
const TOMBSTONE_ACTIONS = {
  verify: ["kms:VerifyMac"],
  maintenance: ["kms:GenerateMac", "kms:VerifyMac"],
} as const;

/** Returns the statements for `--tombstone-key`. */
function tombstoneKeyStatements(
  { tombstoneKey }: PolicyPlan,
  who: keyof typeof TOMBSTONE_ACTIONS,
): Statement[] {
  return tombstoneKey === undefined ? [] : [allow(tombstoneKey, TOMBSTONE_ACTIONS[who])];
}

function allow(key: string, actions: readonly string[]): Statement {
  return { Effect: "Allow", Action: [...new Set(actions)].sort(), Resource: [key] };
}
