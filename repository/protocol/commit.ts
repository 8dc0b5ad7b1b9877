import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { pointKey, type RecoveryPoint } from "../format/recovery-point.js";
import { writePoint } from "../points/points.js";
import { forgetPoint } from "../points/tombstone.js";
import type { Storage } from "../storage/storage.js";
import type { Lease } from "./lease.js";

/**
 * Writes a point once everything it names is durable.
 * A prune that considers a run dead removes its lease before it lists the points. So either that prune sees
 * this point and keeps the packs it needs, or this function finds the lease missing.
 * @throws LeaseLost: the point is not in the repository, unless this run may not remove it; the message then
 * names it. ListIncomplete: it is stored, but a list does not show it, so `prune` would not see its needs
 */
export async function commitPoint(point: RecoveryPoint, lease: Lease): Promise<void> {
  await lease.assertHeld();
  await writePoint(lease.storage, point);
  try {
    await lease.assertHeld();
  } catch (error) {
    await takeBack(lease.storage, point, asBlockferryError(error));
    throw error;
  }
  const key = pointKey(point.id);
  if (!(await lease.storage.isListed(key))) throw notListed(lease.storage, key);
}

function notListed(storage: Storage, key: string): BlockferryError {
  return new BlockferryError({
    code: "ListIncomplete",
    message: `${key} was stored, but a list of ${storage.name} does not show it.`,
    remedy:
      "Do not run `prune` there: it would remove packs of this recovery point. Use another server or file system: one that changes names, such as to lower case, or lists old states cannot hold a repository.",
    object: key,
  });
}

/**
 * Removes the point.
 * @throws the given error, naming the point, if the run may not delete it
 */
async function takeBack(
  storage: Storage,
  { id, version }: RecoveryPoint,
  error: BlockferryError,
): Promise<void> {
  try {
    await forgetPoint(storage, { version: version === 3 ? 3 : 1 }, id);
  } catch {
    const message = `${error.message} Recovery point ${id} may lack data, and this run is not allowed to remove it.`;
    const remedy = `Run \`blockferry-agent forget ${id}\` with a role that may remove it, and run the backup again.`;
    throw new BlockferryError({ ...error.toRecord(), message, remedy }, error);
  }
}
