import { GetInstanceProfileCommand } from "@aws-sdk/client-iam";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Party } from "../aws/party.js";
import type { JobPlan, RestorePlan } from "../plan.js";

/**
 * The role in the instance profile of a worker that is launched: the request names the profile, and `iam:PassRole` is about
 * the role. A backup need not know it, so only who prints policies must be allowed to ask.
 * @returns its ARN, or null when no worker is launched @throws WorkerNotUsable
 */
export async function passedRole({ request }: JobPlan, worker: Party): Promise<string | null> {
  if (request.workerInstance.kind !== "launch") return null;
  return roleOf(request.workerInstance.profile, worker);
}

/** The same of an instance that is restored. */
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
