import type { ActionUse, PartyName } from "../aws/action-use.js";
import { EBS_KEY_ACTIONS } from "../aws/action-use.js";
import type { JobPlan } from "../plan.js";
import { preflightUses } from "../preflight/uses.js";
import { ROUTE_TABLE } from "../route.js";
import { stepsOf } from "../workflow.js";
import { groupStatements } from "./group-statements.js";
import { jobKeyStatements } from "./job-key-statements.js";
import { keysOf } from "./keys.js";
import type { Policy, Statement } from "./policy-document.js";
import { repositoryKeyStatements } from "./repository-key-statements.js";
import { repositoryStatements } from "./repository-statements.js";
import { type PolicyPlan, scopeOf } from "./resources.js";

export const POLICY_PARTIES = ["controller", "source", "worker", "agent", "key-policy"] as const;
export type PolicyParty = (typeof POLICY_PARTIES)[number];

/** All that a plan's preflight and steps do, as they declare it. */
export function usesOf(plan: JobPlan): ActionUse[] {
  return [...preflightUses(plan), ...stepsOf(plan).flatMap((step) => step.uses(plan))];
}

/** The least that a party of a route needs. */
export function policyFor(party: PolicyParty, plan: PolicyPlan): Policy {
  return { Version: "2012-10-17", Statement: statementsFor(party, plan) };
}

function statementsFor(party: PolicyParty, plan: PolicyPlan): Statement[] {
  if (party === "source" || party === "worker") return partyStatements(party, plan);
  if (party === "key-policy") return keyPolicyStatements(plan);
  return [
    ...repositoryStatements(plan, party),
    ...repositoryKeyStatements(plan),
    ...jobKeyStatements(plan, party),
    ...(party === "controller" ? ownStatements(plan) : []),
  ];
}

/** The controller assumes the roles that it is given, and acts itself where it is given none. */
function ownStatements(plan: PolicyPlan): Statement[] {
  const { request } = plan;
  const oneAccess = request.workerAccount === "source";
  const roles = [request.source.roleArn, oneAccess ? null : request.worker.roleArn].filter(
    (arn) => arn !== null,
  );
  const assume: Statement[] =
    roles.length === 0
      ? []
      : [{ Effect: "Allow", Action: ["sts:AssumeRole"], Resource: [...new Set(roles)] }];
  return [
    ...assume,
    ...(request.source.roleArn === null ? partyStatements("source", plan) : []),
    ...((oneAccess ? request.source : request.worker).roleArn === null
      ? partyStatements("worker", plan)
      : []),
  ];
}

/** Mark what a policy may leave out; no two statements of a policy may have the same. */
const OPTIONAL_SIDS: Record<PartyName, string> = {
  source: "BlockferryChecksSourceKeys",
  worker: "BlockferryChecksWorkerKeys",
};

function partyStatements(party: PartyName, plan: PolicyPlan): Statement[] {
  const uses = usesOf(plan).filter((use) => use.party === party);
  const permissions = uses.flatMap((use) => {
    const { resources, condition } = scopeOf(use, plan);
    const sid = use.optional ? { Sid: OPTIONAL_SIDS[party] } : {};
    const rest = condition === undefined ? sid : { ...sid, Condition: condition };
    return resources.map((resource) => ({ action: use.action, resource, ...rest }));
  });
  return groupStatements(permissions);
}

/** For the policy of the key under which snapshots are shared: what the role in the other account needs, from there. */
function keyPolicyStatements(plan: PolicyPlan): Statement[] {
  if (!ROUTE_TABLE[plan.route].shares || keysOf("shared-keys", plan).length === 0) return [];
  const Principal = { AWS: plan[plan.kind === "backup" ? "worker" : "source"].principalArn };
  const use = EBS_KEY_ACTIONS.filter((action) => action !== "kms:CreateGrant");
  return [
    { Sid: "BlockferryUsesTheKey", Effect: "Allow", Principal, Action: use, Resource: ["*"] },
    {
      Sid: "BlockferryLetsEbsUseTheKey",
      ...{ Effect: "Allow", Principal, Action: ["kms:CreateGrant"], Resource: ["*"] },
      Condition: { Bool: { "kms:GrantIsForAWSResource": "true" } },
    },
  ];
}
