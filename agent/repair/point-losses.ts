import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/byte-range.js";
import { loadIndex } from "../../repository/load-index.js";
import { listPoints, type RecoveryPoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import { withReadLease } from "../read-lease.js";
import type { RunWatcher } from "../run-watcher.js";
import { type DamagedRange, walkPoints } from "../verify/walk-points.js";

/** What recovery points have lost, as far as the index and the block maps tell. */
export interface PointLosses {
  /** Ids of the points that lack nothing, oldest first. */
  whole: string[];
  /** Points that lack something, oldest first. */
  incomplete: IncompletePoint[];
  /** What is wrong with the points that cannot be read at all. */
  unreadable: BlockferryError[];
}

interface IncompletePoint {
  id: string;
  /** Those that lack something. */
  volumes: IncompleteVolume[];
}

interface IncompleteVolume {
  name: string;
  sizeBytes: number;
  lostBytes: number;
  /** In order, and none next to another. */
  lost: ByteRange[];
}

/** Finds what recovery points have lost; changes nothing. @throws LeaseLost, Interrupted, StorageUnavailable, StorageDenied */
export function findPointLosses(
  repository: Repository,
  options: { watcher: RunWatcher; signal: AbortSignal },
): Promise<PointLosses> {
  return withReadLease(repository.storage, options, async () => {
    const storage = repository.storage.until(options.signal);
    const { points, damaged: unreadable } = await listPoints(storage);
    const loaded = await loadIndex(storage, { condemned: "last" });
    const { damaged, problems } = await walkPoints(points, { storage, loaded, causeOf: () => undefined });
    const refused = [...loaded.problems, ...problems].find(saysNothing);
    if (refused !== undefined) throw refused;
    const judged = points.map((point) => ({ id: point.id, volumes: incompleteVolumes(point, damaged) }));
    return {
      whole: judged.filter(({ volumes }) => volumes.length === 0).map(({ id }) => id),
      incomplete: judged.filter(({ volumes }) => volumes.length > 0),
      unreadable,
    };
  });
}

function incompleteVolumes({ id, volumes }: RecoveryPoint, damaged: DamagedRange[]): IncompleteVolume[] {
  return volumes.flatMap(({ name, sizeBytes }) => {
    const lost = mergeRanges(damaged.filter(({ point, volume }) => point === id && volume === name));
    const lostBytes = lost.reduce((sum, { length }) => sum + length, 0);
    return lostBytes === 0 ? [] : [{ name, sizeBytes, lostBytes, lost }];
  });
}
