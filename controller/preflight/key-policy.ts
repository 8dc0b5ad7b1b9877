import * as z from "zod/mini";
import type { PlannedParty } from "../plan.js";

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
export function parseKeyPolicy(policy: string): KeyPolicyStatement[] | undefined {
  const parsed = z.safeParse(KeyPolicySchema, JSON.parse(policy));
  return parsed.success ? listed(parsed.data.Statement) : undefined;
}

/**
 * Returns the actions that a key's policy evidently does not allow a user.
 * Only KMS can evaluate all conditions, and permissions that the policy delegates to an account. Both count
 * as allowed.
 */
export function actionsLeftOut(
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
export function isPrincipal(principal: string, { accountId, principalArn }: PlannedParty): boolean {
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
