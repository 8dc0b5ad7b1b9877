import { GetRoleCommand } from "@aws-sdk/client-iam";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Party } from "../aws/party.js";

/**
 * Returns a party's user or role with its path.
 * KMS refuses a role without its path. Only `iam-policy` needs the permission to ask IAM.
 * @returns undefined when IAM may not be asked
 */
export async function principalWithPath(party: Party): Promise<string | undefined> {
  const { principalArn, rolePath } = party;
  if (rolePath === "known") return principalArn;
  try {
    const command = new GetRoleCommand({ RoleName: principalArn.split("/").at(-1) });
    const { Role } = await party.iam(command, principalArn);
    return Role?.Arn;
  } catch (error) {
    if (error instanceof BlockferryError) return undefined;
    throw error;
  }
}
