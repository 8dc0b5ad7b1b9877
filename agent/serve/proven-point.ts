import { BlockferryError } from "../../foundation/blockferry-error.js";
import { Lease } from "../../repository/lease.js";
import { loadIndex } from "../../repository/load-index.js";
import { listPoints, type RecoveryPoint, removePoint } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { walkPoints } from "../verify/walk-points.js";
import type { ServiceLog } from "./service-log.js";

interface ProofOptions {
  log: ServiceLog;
  signal: AbortSignal;
}

/**
 * The point that an agent made for a job before it was killed: then nothing is left to do. While that agent was dead, `prune`
 * may have removed its lease and what it had stored, so the point counts only when every chunk is where later backups would
 * find it, too. The lease held meanwhile makes `prune` keep these, as for any backup. A point that lacks data is taken back.
 * @returns its id, or undefined when there is none
 * @throws LeaseLost, StorageUnavailable, Interrupted
 */
export async function provenPointOf(
  storage: Storage,
  job: string,
  options: ProofOptions,
): Promise<string | undefined> {
  const bound = storage.until(options.signal);
  if ((await pointsOf(bound, job)).length === 0) return undefined;
  const lease = await Lease.acquire(storage, "backup", options.signal);
  try {
    const whole = await firstWhole(bound, job, options);
    await lease.assertHeld();
    return whole;
  } finally {
    await lease.release();
  }
}

/** The points are listed again under the lease: what is seen there, `prune` keeps. */
async function firstWhole(storage: Storage, job: string, { log }: ProofOptions): Promise<string | undefined> {
  const loaded = await loadIndex(storage, { condemned: "exclude" });
  for (const point of await pointsOf(storage, job)) {
    const { damaged, problems } = await walkPoints([point], { storage, loaded, causeOf: () => undefined });
    if (damaged.length === 0 && problems.length === 0) return point.id;
    await takeBack(storage, point.id, job, log);
  }
  return undefined;
}

/** A role that may not delete points leaves it; then it is named, and stays for `verify` to find. */
async function takeBack(storage: Storage, point: string, job: string, log: ServiceLog): Promise<void> {
  try {
    await removePoint(storage, point);
    log.warn(`Recovery point ${point} lacks data and is taken back; the job is done again.`, { job, point });
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code !== "StorageDenied") throw error;
    const remedy = `Run \`blockferry-agent forget ${point}\` with a role that may.`;
    log.warn(`Recovery point ${point} lacks data, and may not be removed. ${remedy}`, { job, point });
  }
}

async function pointsOf(storage: Storage, job: string): Promise<RecoveryPoint[]> {
  return (await listPoints(storage)).points.filter((point) => point.job === job);
}
