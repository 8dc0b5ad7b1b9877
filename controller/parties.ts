import { BlockferryError } from "../foundation/blockferry-error.js";
import type { KmsCaller } from "../repository/encryption/ask-kms.js";
import { type JobSigner, jobSigner } from "./aws/job-signer.js";
import { openParty, type Party } from "./aws/party.js";
import type { JobPlan } from "./plan.js";
import type { JobRequest } from "./request.js";

/** Both parties of a route, and who signs; with `--worker-account source` one account is both. */
export interface Parties {
  source: Party;
  worker: Party;
  /** The controller itself, as far as it signs jobs. */
  signer: JobSigner;
}

/**
 * The parties of a job that was begun: the same accounts, and its own Regions whatever the environment names. With others,
 * nothing of the job would be found, and that would look as if all of it were removed.
 * @throws CredentialsInvalid
 */
export async function reopenParties(plan: JobPlan, request: JobRequest, self: KmsCaller): Promise<Parties> {
  const regions = {
    source: { ...request.source, region: plan.source.region },
    worker: { ...request.worker, region: plan.worker.region },
  };
  const parties = await openParties({ ...request, ...regions }, self);
  for (const name of ["source", "worker"] as const) {
    const { accountId, principalArn } = parties[name];
    if (accountId !== plan[name].accountId) throw otherAccount(plan, name, principalArn);
  }
  return parties;
}

/**
 * @param self the controller, as it reaches the repository; its signal ends what the parties wait for
 * @throws CredentialsInvalid
 */
export async function openParties(request: JobRequest, self: KmsCaller): Promise<Parties> {
  const { signal } = self;
  const source = await openParty("source", request.source, signal);
  const workerRegion = request.worker.region ?? source.region;
  const access = request.workerAccount === "source" ? request.source : request.worker;
  const worker = await openParty("worker", { ...access, region: workerRegion }, signal);
  return { source, worker, signer: jobSigner(request.jobKey, self) };
}

function otherAccount(
  { jobId, ...plan }: JobPlan,
  name: "source" | "worker",
  principalArn: string,
): BlockferryError {
  const { accountId } = plan[name];
  const [profile, role] =
    name === "source" ? ["--source-profile", "--source-role"] : ["--worker-aws-profile", "--worker-role"];
  return new BlockferryError({
    code: "CredentialsInvalid",
    message: `${jobId} has its ${name} in account ${accountId}, and these credentials are of ${principalArn}.`,
    remedy: `Give credentials of account ${accountId}, with ${profile} or ${role}. Nothing was changed.`,
    object: jobId,
  });
}
