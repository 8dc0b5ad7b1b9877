import { BlockferryError } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import type { PartyName } from "../aws/action-use.js";
import type { Access } from "../aws/clients.js";
import { openParty, type Party } from "../aws/party.js";
import type { JobPlan } from "./plan.js";
import { type JobRequest, ROLE_ARN } from "./request.js";
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

/**
 * Returns how to reach a party's account.
 * With `--worker-account source` both parties use the access of the source.
 */
function accessOf({ workerAccount, ...access }: JobRequest, name: PartyName): Access {
  return access[sideOf(workerAccount, name)];
}

function sideOf(workerAccount: JobRequest["workerAccount"], name: PartyName): PartyName {
  return workerAccount === "source" ? "source" : name;
}

/**
 * Refuses a role that differs from the one that the job was started with.
 * Runs before the role is assumed. Without a role there is nothing to compare here; the accounts are compared
 * after STS has named them.
 * @param given the access that the operator gives
 * @throws CredentialsInvalid
 */
function refuseOtherRole(plan: JobPlan, name: PartyName, given: Access): void {
  const claimed = accessOf(plan.request, name);
  if (given.roleArn === null) return;
  const isOther = claimed.roleArn !== null && claimed.roleArn !== given.roleArn;
  if (!isOther && ROLE_ARN.exec(given.roleArn)?.[1] === plan[name].accountId) return;
  throw notItsAccess(plan, name, `${given.roleArn} is given`);
}

/**
 * Refuses credentials of another account than the plan's.
 * @param party opened with the operator's credentials
 * @throws CredentialsInvalid
 */
function refuseOtherAccount(plan: JobPlan, name: PartyName, party: Party): void {
  if (party.accountId === plan[name].accountId) return;
  throw notItsAccess(plan, name, `these credentials are of ${party.principalArn}`);
}

function notItsAccess({ jobId, request, ...plan }: JobPlan, name: PartyName, given: string): BlockferryError {
  const { accountId } = plan[name];
  const side = sideOf(request.workerAccount, name);
  const { profile, role } = OPTIONS[side];
  const claimed = accessOf(request, name);
  const started = optionsOf(side, claimed);
  const claim =
    started === ""
      ? "Its journal names no role and no profile."
      : `Its journal claims that it was started with ${started}: give that only if it is yours.${doubt(claimed, accountId)}`;
  return new BlockferryError({
    code: "CredentialsInvalid",
    message: `The journal of ${jobId} has its ${name} in account ${accountId}${roleIn(claimed)}, but ${given}.`,
    remedy: `Give credentials of account ${accountId}, with ${profile} or ${role}. Nothing was changed. ${claim}`,
    object: jobId,
  });
}

const OPTIONS = {
  source: { profile: "--source-profile", role: "--source-role", externalId: "--source-external-id" },
  worker: { profile: "--worker-aws-profile", role: "--worker-role", externalId: "--worker-external-id" },
} as const;

/**
 * Returns the options of an access as the operator would type them.
 * Values are quoted for a shell, so that a pasted claim stays one argument.
 */
function optionsOf(side: PartyName, { profile, roleArn, externalId }: Access): string {
  const options = OPTIONS[side];
  return [
    ...(profile === null ? [] : [`${options.profile} ${shellWord(profile)}`]),
    ...(roleArn === null ? [] : [`${options.role} ${shellWord(roleArn)}`]),
    ...(externalId === null ? [] : [`${options.externalId} ${shellWord(externalId)}`]),
  ].join(" ");
}

function roleIn({ roleArn }: Access): string {
  return roleArn === null ? "" : `, reached by ${roleArn}`;
}

/**
 * Returns a warning when the claimed role is not in the claimed account.
 * A role always belongs to the account that it acts in.
 */
function doubt({ roleArn }: Access, accountId: string): string {
  if (roleArn === null) return "";
  const account = ROLE_ARN.exec(roleArn)?.[1];
  if (account === accountId) return "";
  return ` That role belongs to account ${account ?? "none"}, not ${accountId}: the journal may be forged.`;
}
