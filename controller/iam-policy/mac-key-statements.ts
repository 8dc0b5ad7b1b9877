import type { JobPlan } from "../plan.js";
import type { Statement } from "./policy-document.js";
import type { PolicyPlan } from "./resources.js";

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
export function jobKeyStatements(
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
export function tombstoneKeyStatements(
  { tombstoneKey }: PolicyPlan,
  who: keyof typeof TOMBSTONE_ACTIONS,
): Statement[] {
  return tombstoneKey === undefined ? [] : [allow(tombstoneKey, TOMBSTONE_ACTIONS[who])];
}

function allow(key: string, actions: readonly string[]): Statement {
  return { Effect: "Allow", Action: [...new Set(actions)].sort(), Resource: [key] };
}
