import { GetInstanceProfileCommand } from "@aws-sdk/client-iam";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Party } from "../aws/party.js";
import type { JobPlan } from "../plan.js";

/**
 * The role in the instance profile of a worker that is launched: the request names the profile, and `iam:PassRole` is about
 * the role. A backup need not know it, so only who prints policies must be allowed to ask.
 * @returns its ARN, or null when no worker is launched @throws WorkerNotUsable
 */
export async function passedRole({ request }: JobPlan, worker: Party): Promise<string | null> {
  if (request.workerInstance.kind !== "launch") return null;
  const { profile } = request.workerInstance;
  const command = new GetInstanceProfileCommand({ InstanceProfileName: profile.split("/").at(-1) });
  const { InstanceProfile } = await worker.iam(command, profile);
  const role = InstanceProfile?.Roles?.[0]?.Arn;
  if (role !== undefined) return role;
  throw new BlockferryError({
    code: "WorkerNotUsable",
    message: `Instance profile ${profile} has no role, so a worker with it could not reach the repository.`,
    remedy:
      "Add a role to it (aws iam add-role-to-instance-profile), with the policy of `iam-policy --for agent`.",
    object: profile,
  });
}
