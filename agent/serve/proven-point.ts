import { BlockferryError } from "../../foundation/blockferry-error.js";
import { Lease } from "../../repository/lease.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import { listPoints, pointKey, type RecoveryPoint, removePoint } from "../../repository/recovery-point.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { ObjectLock } from "../../repository/storage/object-lock.js";
import type { Storage } from "../../repository/storage/storage.js";
import { lockNeeds } from "../lock-needs.js";
import { walkPoints } from "../verify/walk-points.js";
import type { ServiceLog } from "./service-log.js";

interface ProofOptions {
  /** How the job asks the point to be locked. */
  lock: ObjectLock | undefined;
  log: ServiceLog;
  signal: AbortSignal;
}

/**
 * The point that an agent made for a job before it was killed: then nothing is left to do. While that agent was dead, `prune`
 * may have removed its lease and what it had stored, so the point counts only when every chunk is where later backups would
 * find it, too. The lease held meanwhile makes `prune` keep these, as for any backup. A point that lacks data is taken back; one
 * that has them in condemned packs alone stays, and is not relied on.
 * @returns its id, or undefined when there is none
 * @throws LeaseLost, Interrupted; what kept the storage from telling whether data are there, and what locking throws
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
    if (whole !== undefined && options.lock !== undefined)
      await lockAnew(bound, whole, options.lock, options);
    await lease.assertHeld();
    return whole?.id;
  } finally {
    await lease.release();
  }
}

/** The points are listed again under the lease: what is seen there, `prune` keeps. */
async function firstWhole(
  storage: Storage,
  job: string,
  { log }: ProofOptions,
): Promise<RecoveryPoint | undefined> {
  const points = await pointsOf(storage, job);
  const reliable = await loadIndex(storage, { condemned: "exclude" });
  for (const point of points) if (await isWhole(storage, point, reliable)) return point;
  const readable = await loadIndex(storage, { condemned: "last" });
  for (const point of points) {
    if (!(await isWhole(storage, point, readable))) await takeBack(storage, point.id, job, log);
  }
  return undefined;
}

/** @throws what says nothing about the data: a point is not to be taken back for a request that failed */
async function isWhole(storage: Storage, point: RecoveryPoint, loaded: LoadedIndex): Promise<boolean> {
  const { damaged, problems } = await walkPoints([point], { storage, loaded, causeOf: () => undefined });
  if (damaged.length === 0 && problems.length === 0) return true;
  const unclear = [...loaded.problems, ...problems].find((problem) => !tellsOfLoss(problem));
  if (unclear !== undefined) throw unclear;
  return false;
}

function tellsOfLoss(problem: BlockferryError): boolean {
  return saysLost(problem) || problem.code === "ChunkMissing" || problem.code === "PackMissing";
}

/** The agent may have been killed before it had locked the point itself. */
async function lockAnew(
  storage: Storage,
  { id, volumes }: RecoveryPoint,
  lock: ObjectLock,
  { signal }: ProofOptions,
): Promise<void> {
  await lockNeeds(storage, volumes, lock, signal);
  await storage.lock([pointKey(id)], lock);
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
