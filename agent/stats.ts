import type { RecoveryPoint } from "../repository/recovery-point.js";
import type { Repository } from "../repository/repository.js";
import { type Survey, survey } from "./survey.js";

/** Figures of a repository, in bytes where nothing else is said. */
export interface RepositoryStats {
  points: number;
  packs: number;
  /** Distinct chunks and block-map nodes that recovery points need. */
  chunks: number;
  /** Of all volumes of all points. */
  logicalBytes: number;
  /** Of the needed chunks, each counted once, before compression. */
  uniqueBytes: number;
  /** The same as they are stored. */
  compressedBytes: number;
  /** Of all packs. */
  storedBytes: number;
  /** Of what no point needs in them: what `prune` can free in the end. */
  deadBytes: number;
  /** Oldest first. */
  perPoint: PointStats[];
}

interface PointStats {
  id: string;
  createdAt: string;
  logicalBytes: number;
  /** Logical bytes for each byte that the backup found new; null when it found none. */
  deduplication: number | null;
  /** New bytes for each byte that they were stored in; null when there were none. */
  compression: number | null;
  /** Stored bytes that this point alone needs: what forgetting it would free. */
  freedBytes: number;
}

/** Adds up what a repository holds. @throws what `survey` throws for a damaged one; Interrupted */
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
