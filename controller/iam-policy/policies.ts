import type { ActionUse, PartyName } from "../aws/action-use.js";
import { EBS_KEY_ACTIONS } from "../aws/action-use.js";
import type { JobPlan } from "../plan.js";
import { preflightUses } from "../preflight/uses.js";
import type { Access } from "../request.js";
import { ROUTE_TABLE } from "../route.js";
import { stepsOf } from "../workflow.js";
import { bucketStatements } from "./bucket-policy.js";
import { groupStatements, type Permission } from "./group-statements.js";
import { keysOf } from "./keys.js";
import { jobKeyStatements, tombstoneKeyStatements } from "./mac-key-statements.js";
import { type Condition, heldTo, literal, type Policy, type Statement } from "./policy-document.js";
import { repositoryKeyStatements } from "./repository-key-statements.js";
import { repositoryStatements } from "./repository-statements.js";
import { ebsAlone, type PolicyPlan, scopesOf } from "./resources.js";

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
