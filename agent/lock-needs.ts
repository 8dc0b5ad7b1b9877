import { throwIfInterrupted } from "../foundation/interrupted.js";
import { chunkCount } from "../repository/chunk-id.js";
import { ChunkOwners } from "../repository/chunk-owners.js";
import { loadIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import type { RecoveryPoint } from "../repository/recovery-point.js";
import type { ObjectLock } from "../repository/storage/object-lock.js";
import type { Storage } from "../repository/storage/storage.js";
import { preferProven } from "./prove-places.js";

/**
 * Locks every object that a point needs, except the point itself.
 * These are packs, including old ones, `config.json` and the keys. Index segments are not locked: `prune`
 * rewrites them, and a pack lists its own chunks. If several packs list a chunk, the locked one was read and
 * proven to hold it.
 * @throws ChunkMissing, ChunkCorrupt: the volumes cannot be restored; LockUnsupported, StorageDenied;
 * Interrupted
 */
export async function lockNeeds(
  storage: Storage,
  volumes: RecoveryPoint["volumes"],
  lock: ObjectLock,
  signal: AbortSignal,
): Promise<void> {
  // `prune` keeps packs condemned during this run if the point will need them.
  const loaded = await loadIndex(storage, { condemned: "last" });
  const { index, packs } = loaded;
  const owners = new ChunkOwners({
    index,
    readChunk: (entry) => {
      throwIfInterrupted(signal);
      return readChunk(storage, index, packs, entry);
    },
  });
  for (const { root, sizeBytes } of volumes)
    await owners.add(Buffer.from(root, "hex"), chunkCount(sizeBytes), 0);
  await preferProven({ storage, loaded, isNeeded: (entry) => owners.isNeeded(entry), signal });
  const needed = new Set<number>();
  for (let entry = 0; entry < index.size; entry++) {
    if (owners.isNeeded(entry)) needed.add(index.packNumber(entry));
  }
  const keys = (await storage.list("keys/")).map(({ key }) => key);
  await storage.lock(["config.json", ...keys, ...[...needed].map((pack) => packKey(packs.id(pack)))], lock);
}
