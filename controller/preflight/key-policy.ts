import * as z from "zod/mini";
import type { PlannedParty } from "../plan.js";

const oneOrMore = z.union([z.string(), z.array(z.string())]);

const StatementSchema = z.object({
  Effect: z.enum(["Allow", "Deny"]),
  /** Missing where there is NotPrincipal, and so may anybody be meant. */
  Principal: z.optional(z.union([z.literal("*"), z.record(z.string(), oneOrMore)])),
  /** Missing where there is NotAction. */
  Action: z.optional(oneOrMore),
  Condition: z.optional(z.record(z.string(), z.record(z.string(), oneOrMore))),
});

const KeyPolicySchema = z.object({ Statement: z.union([StatementSchema, z.array(StatementSchema)]) });

type KeyPolicyStatement = z.infer<typeof StatementSchema>;

/** @param policy as KMS returns it @returns undefined when it is none that is understood here */
export function parseKeyPolicy(policy: string): KeyPolicyStatement[] | undefined {
  const parsed = z.safeParse(KeyPolicySchema, JSON.parse(policy));
  return parsed.success ? listed(parsed.data.Statement) : undefined;
}

/**
 * What a key's policy evidently does not allow somebody. It is for KMS to judge conditions, and what the policy leaves to those
 * of an account, so both count as allowed.
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

/** Whether a principal of a policy or grant is somebody, their role or their account. */
export function isPrincipal(principal: string, { accountId, principalArn }: PlannedParty): boolean {
  if (principal === "*" || principal === accountId) return true;
  const [, , , , account, resource = ""] = principal.split(":");
  if (account !== accountId) return false;
  return resource === "root" || nameOf(resource) === nameOf(principalArn);
}

/**
 * Without its path, which STS does not tell for roles: names are unique in an account whatever the path.
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

/** The account of the caller is what is known here of all that conditions ask for. */
function mayHold({ Condition }: KeyPolicyStatement, { accountId }: PlannedParty): boolean {
  return Object.entries(Condition?.StringEquals ?? {}).every(
    ([key, accounts]) =>
      !/^(kms:CallerAccount|aws:PrincipalAccount)$/i.test(key) || listed(accounts).includes(accountId),
  );
}

function listed<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
