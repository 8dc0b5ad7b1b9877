import { openParty, type Party } from "./aws/party.js";
import { accessOf, refuseOtherAccount, refuseOtherRole } from "./claimed-access.js";
import type { JobPlan } from "./plan.js";
import type { JobRequest } from "./request.js";
import type { Signing } from "./signing.js";

const PARTY_NAMES = ["source", "worker"] as const;

/**
 * Both parties of a job, and the signing keys of the controller.
 * With `--worker-account source` both parties are the same account.
 */
export interface Parties {
  source: Party;
  worker: Party;
  /** Signs and verifies documents for the controller. */
  signing: Signing;
}

/**
 * Opens the parties of an existing job in its own accounts and Regions.
 * The Regions of the plan win over the environment. In other Regions no resource of the job would be found,
 * and that would look as if all of them had been removed.
 * @param request roles, profiles and external ids of the operator; the plan's own request is only compared
 * with them
 * @throws CredentialsInvalid
 */
export async function reopenParties(
  plan: JobPlan,
  request: JobRequest,
  signing: Signing,
  signal?: AbortSignal,
): Promise<Parties> {
  const regions = {
    source: { ...request.source, region: plan.source.region },
    worker: { ...request.worker, region: plan.worker.region },
  };
  for (const name of PARTY_NAMES) refuseOtherRole(plan, name, accessOf(request, name));
  const parties = await openParties({ ...request, ...regions }, signing, signal);
  for (const name of PARTY_NAMES) refuseOtherAccount(plan, name, parties[name]);
  return parties;
}

/**
 * Opens both parties of a job.
 * @param signal aborts every wait of the parties
 * @throws CredentialsInvalid
 */
export async function openParties(
  request: JobRequest,
  signing: Signing,
  signal?: AbortSignal,
): Promise<Parties> {
  const source = await openParty("source", request.source, signal);
  const workerRegion = request.worker.region ?? source.region;
  const worker = await openParty("worker", { ...accessOf(request, "worker"), region: workerRegion }, signal);
  return { source, worker, signing };
}
