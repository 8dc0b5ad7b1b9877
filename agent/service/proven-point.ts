import { BlockferryError } from "../../foundation/errors.js";
import { type ObjectLock, pointKey, type RecoveryPoint } from "../../repository/format/recovery-point.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import { listPoints } from "../../repository/points/points.js";
import { forgetPoint } from "../../repository/points/tombstone.js";
import { Lease } from "../../repository/protocol/lease.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { lockNeeds } from "../verify/prove-places.js";
import { type Findings, walkPoints, walkPointsInPacks } from "../verify/walk-points.js";
import type { ServiceLog } from "./service-log.js";

interface ProofOptions {
  /** The lock that the job requests for the point. */
  lock: ObjectLock | undefined;
  log: ServiceLog;
  signal: AbortSignal;
}

/**
 * Finds the point that a killed agent committed for a job.
 * If there is one, nothing is left to do. While that agent was dead, `prune` may have removed its lease and
 * the data it stored, so the point counts only if later backups would find every chunk. This function holds a
 * lease, which makes `prune` keep these chunks, as for any backup. A point that lacks data is removed; a
 * point that has them only in condemned packs stays, and is not relied on.
 * @returns its id, or undefined if there is none
 * @throws LeaseLost, Interrupted; storage errors that leave the state of the data unknown, and the errors of
 * locking
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

/** Lists the points again under the lease: `prune` keeps the points seen there. */
async function firstWhole(
  storage: Storage,
  job: string,
  { log }: ProofOptions,
): Promise<RecoveryPoint | undefined> {
  const points = await pointsOf(storage, job);
  const reliable = await StoredChunks.load(storage, { condemned: "exclude" });
  for (const point of points) {
    if (isWhole(reliable, await walkPoints([point], reliable))) return point;
  }
  const readable = await StoredChunks.load(storage, { condemned: "last" });
  const onFalseSegment = ({ message, remedy }: BlockferryError) => log.warn(`${message} ${remedy}`, { job });
  for (const point of points) {
    if (!isWhole(readable, await walkPointsInPacks([point], readable, onFalseSegment)))
      await takeBack(storage, point, job, log);
  }
  return undefined;
}

/** @throws an error that proves no loss: a failed request must not remove a point */
function isWhole(stored: StoredChunks, { damaged, problems }: Findings): boolean {
  if (damaged.length === 0 && problems.length === 0) return true;
  const unclear = [...stored.problems, ...problems].find((problem) => !tellsOfLoss(problem));
  if (unclear !== undefined) throw unclear;
  return false;
}

function tellsOfLoss(problem: BlockferryError): boolean {
  return provesLoss(problem) || problem.code === "ChunkMissing" || problem.code === "PackMissing";
}

/** Locks the point again: the agent may have been killed before it locked it. */
async function lockAnew(
  storage: Storage,
  { id, volumes }: RecoveryPoint,
  lock: ObjectLock,
  { signal }: ProofOptions,
): Promise<void> {
  await lockNeeds(storage, volumes, lock, signal);
  await storage.lock([pointKey(id)], lock);
}

/**
 * Removes the point. If the role may not delete points, logs a warning and leaves it for `verify` to find.
 */
async function takeBack(
  storage: Storage,
  { id: point, version }: RecoveryPoint,
  job: string,
  log: ServiceLog,
): Promise<void> {
  try {
    await forgetPoint(storage, { version: version === 3 ? 3 : 1 }, point);
    log.warn(`Recovery point ${point} lacks data and is removed; the job runs again.`, { job, point });
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code !== "StorageDenied") throw error;
    const remedy = `Run \`blockferry-agent forget ${point}\` with a role that may remove it.`;
    log.warn(`Recovery point ${point} lacks data, but this agent may not remove it. ${remedy}`, {
      job,
      point,
    });
  }
}

async function pointsOf(storage: Storage, job: string): Promise<RecoveryPoint[]> {
  return (await listPoints(storage)).points.filter((point) => point.job === job);
}
