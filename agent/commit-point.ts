import { asBlockferryError, BlockferryError } from "../foundation/blockferry-error.js";
import type { Lease } from "../repository/lease.js";
import { type RecoveryPoint, removePoint, writePoint } from "../repository/recovery-point.js";
import type { Storage } from "../repository/storage/storage.js";

/**
 * Writes a point when all that it names is durable. A prune that takes a run for dead removes its lease before it looks which points there are. So either that prune sees
 * this point and keeps what it needs, or the lease is found missing here.
 * @throws LeaseLost: there is no point
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
}

/** @throws the same error, naming the point, where the run may not delete */
async function takeBack(storage: Storage, { id }: RecoveryPoint, error: BlockferryError): Promise<void> {
  try {
    await removePoint(storage, id);
  } catch {
    const message = `${error.message} Recovery point ${id} may lack data, and this run may not remove it.`;
    const remedy = `Run \`blockferry-agent forget ${id}\` with a role that may, and run the backup again.`;
    throw new BlockferryError({ ...error.toRecord(), message, remedy }, error);
  }
}
