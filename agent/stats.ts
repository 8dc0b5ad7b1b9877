import type { RecoveryPoint } from "../repository/recovery-point.js";
import type { Repository } from "../repository/repository.js";
import { type Survey, survey } from "./survey.js";

/** Figures of a repository, in bytes unless noted otherwise. */
export interface RepositoryStats {
  points: number;
  packs: number;
  /** Distinct chunks and block-map nodes that recovery points need. */
  chunks: number;
  /** Total size of all volumes of all points. */
  logicalBytes: number;
  /** Size of the needed chunks, each counted once, before compression. */
  uniqueBytes: number;
  /** Their size as stored. */
  compressedBytes: number;
  /** Size of all packs. */
  storedBytes: number;
  /** Bytes of the packs that no point needs, which `prune` can eventually free. */
  deadBytes: number;
  /** Oldest first. */
  perPoint: PointStats[];
}

interface PointStats {
  id: string;
  createdAt: string;
  logicalBytes: number;
  /** Logical bytes per new byte of the backup; null if nothing was new. */
  deduplication: number | null;
  /** New bytes per stored byte; null if nothing was stored. */
  compression: number | null;
  /** Stored bytes that only this point needs, which forgetting it would free. */
  freedBytes: number;
}

/**
 * Adds up the figures of a repository.
 * @throws the errors of `survey` for a damaged repository; Interrupted
 */
export async function repositoryStats(
  { storage }: Repository,
  signal: AbortSignal,
): Promise<RepositoryStats> {
  const found = await survey(storage.until(signal), signal);
  const { chunks, uniqueBytes, compressedBytes, freedBytes } = addUpChunks(found);
  const storedBytes = found.packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const perPoint = found.points.map((point, number) => describePoint(point, freedBytes[number] as number));
  return {
    points: found.points.length,
    packs: found.packs.length,
    ...{ chunks, uniqueBytes, compressedBytes, storedBytes },
    logicalBytes: perPoint.reduce((sum, { logicalBytes }) => sum + logicalBytes, 0),
    deadBytes: found.packs.reduce((sum, { deadBytes }) => sum + deadBytes, 0),
    perPoint,
  };
}

function addUpChunks({ loaded: { index }, owners, points }: Survey) {
  const freedBytes = new Float64Array(points.length);
  let chunks = 0;
  let uniqueBytes = 0;
  let compressedBytes = 0;
  for (let entry = 0; entry < index.size; entry++) {
    if (!owners.isNeeded(entry)) continue;
    const { rawBytes, storedBytes } = index.record(entry);
    chunks += 1;
    uniqueBytes += rawBytes;
    compressedBytes += storedBytes;
    const owner = owners.soleOwner(entry);
    if (owner !== undefined) freedBytes[owner] = (freedBytes[owner] as number) + storedBytes;
  }
  return { chunks, uniqueBytes, compressedBytes, freedBytes };
}

function describePoint({ id, createdAt, stats }: RecoveryPoint, freedBytes: number): PointStats {
  const { sourceBytes, newBytes, storedBytes } = stats;
  return {
    ...{ id, createdAt, freedBytes, logicalBytes: sourceBytes },
    deduplication: ratio(sourceBytes, newBytes),
    compression: ratio(newBytes, storedBytes),
  };
}

function ratio(bytes: number, to: number): number | null {
  return to === 0 ? null : bytes / to;
}
