import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/byte-range.js";
import { loadIndex } from "../../repository/load-index.js";
import { listPoints, type RecoveryPoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import { withReadLease } from "../read-lease.js";
import type { RunWatcher } from "../run-watcher.js";
import { type DamagedRange, walkPointsInPacks } from "../verify/walk-points.js";

/** The losses of recovery points that the index and block maps show. */
export interface PointLosses {
  /** Ids of the complete points, oldest first. */
  whole: string[];
  /** Points that lack data, oldest first. */
  incomplete: IncompletePoint[];
  /** Errors of points that cannot be read at all. */
  unreadable: BlockferryError[];
}

interface IncompletePoint {
  id: string;
  /** The volumes that lack data. */
  volumes: IncompleteVolume[];
}

interface IncompleteVolume {
  name: string;
  sizeBytes: number;
  lostBytes: number;
  /** In order, with adjacent ranges joined. */
  lost: ByteRange[];
}

/**
 * Finds the data that recovery points have lost; changes nothing.
 * @throws LeaseLost, Interrupted, StorageUnavailable, StorageDenied
 */
export function findPointLosses(
  repository: Repository,
  options: { watcher: RunWatcher; signal: AbortSignal },
): Promise<PointLosses> {
  return withReadLease(repository.storage, options, async () => {
    const storage = repository.storage.until(options.signal);
    const { points, damaged: unreadable } = await listPoints(storage);
    const loaded = await loadIndex(storage, { condemned: "last" });
    const onFalseSegment = ({ message, remedy }: BlockferryError) =>
      options.watcher.notice(`${message} ${remedy}`);
    const { damaged, problems } = await walkPointsInPacks(points, { storage, loaded, onFalseSegment });
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
