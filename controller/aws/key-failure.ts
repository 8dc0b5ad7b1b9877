import { DescribeKeyCommand } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { EBS_KEY_ACTIONS } from "./action-use.js";
import type { Party } from "./party.js";

/**
 * Returns the error for a resource that EBS could not create because of a key.
 * EBS uses keys long after its API call has succeeded, and the resource then fails or vanishes without a
 * reason. So this function finds the key, the role and the missing permission.
 * AWS: "CreateVolume", "Requirements for Amazon EBS encryption".
 * @param what sentence that describes the failure
 */
export async function keyNotUsable(
  party: Party,
  what: string,
  object: string,
  keys: string[],
): Promise<BlockferryError> {
  const findings = await Promise.all(keys.map((key) => findingOn(party, key)));
  const known = findings.filter((finding) => finding !== undefined);
  const suspects = known.length > 0 ? known : [`EBS could not use one of the keys ${keys.join(", ")}`];
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `${what} ${suspects.join("; ")}.`,
    remedy: `${howToAllow(party, keys)} The key must be enabled.`,
    object,
  });
}

/**
 * Returns the remedy: the policies that must let EBS use keys for a party.
 * These are the party's own policies, and the key policies of keys in other accounts.
 * AWS: "Allowing users in other accounts to use a KMS key"
 */
export function howToAllow(
  { name, accountId, principalArn }: Pick<Party, "name" | "accountId" | "principalArn">,
  keys: string[],
): string {
  const foreign = keys.filter((key) => ![undefined, accountId].includes(key.split(":")[4]));
  const own = `in the role's policy, as \`blockferry iam-policy --for ${name}\` prints it (kms:CreateGrant with kms:GrantIsForAWSResource)`;
  const others = `Of ${foreign.join(" and ")}, of another account, the key's policy must allow it too: \`blockferry iam-policy --for key-policy\` prints the statements.`;
  return [
    `Allow ${principalArn} the actions ${EBS_KEY_ACTIONS.join(", ")} on ${keys.join(" and ")} ${own}.`,
    ...(foreign.length < keys.length
      ? [
          `The policy of a key of account ${accountId} must leave that to the account's policies, or allow the role itself.`,
        ]
      : []),
    ...(foreign.length > 0 ? [others] : []),
  ].join(" ");
}

/** Returns the visible problem of a key, or undefined when the key looks usable. */
async function findingOn(party: Party, key: string): Promise<string | undefined> {
  try {
    const { KeyMetadata } = await party.kms(new DescribeKeyCommand({ KeyId: key }), key);
    const state = KeyMetadata?.KeyState;
    return state === "Enabled" ? undefined : `Key ${key} is ${state}`;
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
    return `${party.principalArn} may not describe key ${key} (${error.message})`;
  }
}
