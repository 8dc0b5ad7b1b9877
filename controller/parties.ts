import { openParty, type Party } from "./aws/party.js";
import type { BackupRequest } from "./request.js";

/** Both parties of a route; with `--worker-account source` one account is both. */
export interface Parties {
  source: Party;
  worker: Party;
}

/** @throws CredentialsInvalid */
export async function openParties(request: BackupRequest): Promise<Parties> {
  const source = await openParty("source", request.source);
  const workerRegion = request.worker.region ?? source.region;
  const access = request.workerAccount === "source" ? request.source : request.worker;
  return { source, worker: await openParty("worker", { ...access, region: workerRegion }) };
}
