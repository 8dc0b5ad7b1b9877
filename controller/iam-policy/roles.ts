import { GetInstanceProfileCommand, GetRoleCommand } from "@aws-sdk/client-iam";
import { BlockferryError } from "../../foundation/errors.js";
import type { Party } from "../aws/party.js";
import type { JobPlan, RestorePlan } from "../plan/plan.js";

/**
 * Returns the role in the instance profile of a worker that is launched.
 * The request names the profile, but `iam:PassRole` applies to the role. A backup does not need the role, so
 * only `iam-policy` needs permission to read it.
 * @returns ARN of the role, or null when no worker is launched
 * @throws WorkerNotUsable
 */
export async function passedRole({ request }: JobPlan, worker: Party): Promise<string | null> {
  if (request.workerInstance.kind !== "launch") return null;
  return roleOf(request.workerInstance.profile, worker);
}

/**
 * Returns the role in the instance profile of a restored instance.
 * @returns ARN of the role, or null when the instance has no profile
 * @throws WorkerNotUsable
 */
export async function restoredRole({ launch }: RestorePlan, target: Party): Promise<string | null> {
  const profile = launch?.profile ?? null;
  return profile === null ? null : roleOf(profile, target);
}

async function roleOf(profile: string, party: Party): Promise<string> {
  const command = new GetInstanceProfileCommand({ InstanceProfileName: profile.split("/").at(-1) });
  const { InstanceProfile } = await party.iam(command, profile);
  const role = InstanceProfile?.Roles?.[0]?.Arn;
  if (role !== undefined) return role;
  throw new BlockferryError({
    code: "WorkerNotUsable",
    message: `Instance profile ${profile} has no role, so an instance with it could do nothing.`,
    remedy:
      "Add a role to it (aws iam add-role-to-instance-profile), with the policy of `iam-policy --for agent`.",
    object: profile,
  });
}

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
