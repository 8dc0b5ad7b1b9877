import { BlockferryError } from "../foundation/blockferry-error.js";
import { isLeaseAlive, Lease, listLeases } from "../repository/lease.js";
import type { Storage } from "../repository/storage/storage.js";

/**
 * Acquires the lease of a run that rewrites the index or removes packs.
 * Only one such run exists at a time; other operations may run alongside. If two start at once, each may see
 * the other, and then neither runs. A lease that cannot be read does not stop this: `prune` then removes
 * nothing, in case it belongs to such a run.
 * @throws PruneRunning
 */
export async function acquireExclusive(storage: Storage, signal: AbortSignal): Promise<Lease> {
  const lease = await Lease.acquire(storage, "prune", signal);
  try {
    for (const other of (await listLeases(storage)).leases) {
      if (other.purpose !== "prune" || other.id === lease.record.id) continue;
      if (await isLeaseAlive(storage, other)) throw pruneRunning(other.owner);
    }
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

function pruneRunning(owner: string): BlockferryError {
  return new BlockferryError({
    code: "PruneRunning",
    message: `Another process (${owner}) prunes this repository, or repairs its index.`,
    remedy:
      "Wait until it has ended. One that was killed on another machine counts as dead six hours after its last sign.",
  });
}
