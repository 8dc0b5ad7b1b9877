import { throwIfInterrupted } from "../foundation/interrupted.js";
import { chunkCount } from "../repository/chunk-id.js";
import { ChunkOwners } from "../repository/chunk-owners.js";
import { loadIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import type { RecoveryPoint } from "../repository/recovery-point.js";
import type { ObjectLock } from "../repository/storage/object-lock.js";
import type { Storage } from "../repository/storage/storage.js";

/**
 * Locks every object that a point with these volumes needs besides itself: packs, old ones too, `config.json` and the keys. Index segments are
 * not among them: `prune` writes them anew, and packs alone tell what is in them.
 * @throws ChunkMissing: then the volumes cannot be restored; LockUnsupported, StorageDenied; Interrupted
 */
export async function lockNeeds(
  storage: Storage,
  volumes: RecoveryPoint["volumes"],
  lock: ObjectLock,
  signal: AbortSignal,
): Promise<void> {
  // Of packs that were condemned while this run was under way, `prune` keeps what the point is going to need.
  const { index, packs } = await loadIndex(storage, { condemned: "last" });
  const owners = new ChunkOwners({
    index,
    readChunk: (entry) => {
      throwIfInterrupted(signal);
      return readChunk(storage, index, packs, entry);
    },
  });
  for (const { root, sizeBytes } of volumes)
    await owners.add(Buffer.from(root, "hex"), chunkCount(sizeBytes), 0);
  const needed = new Set<number>();
  for (let entry = 0; entry < index.size; entry++) {
    if (owners.isNeeded(entry)) needed.add(index.packNumber(entry));
  }
  const keys = (await storage.list("keys/")).map(({ key }) => key);
  await storage.lock(["config.json", ...keys, ...[...needed].map((pack) => packKey(packs.id(pack)))], lock);
}
