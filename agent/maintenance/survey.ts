import type { BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { CHUNK_RECORD_BYTES, PACK_HEADER_BYTES } from "../../repository/format/chunk.js";
import { PACK_TRAILER_BYTES } from "../../repository/format/pack.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { type ChunkOwners, findOwners } from "../../repository/index/chunk-owners.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { listPoints } from "../../repository/points/points.js";
import type { Storage } from "../../repository/storage/storage.js";

/** A pack, and how much of it recovery points need. */
export interface PackUsage {
  id: string;
  /** Size of the object. */
  sizeBytes: number;
  /** Stored bytes of the needed chunks that this pack keeps. If several packs list a chunk, one keeps it. */
  liveBytes: number;
  /** Bytes of chunks that no point needs, or that another pack keeps. */
  deadBytes: number;
  isCondemned: boolean;
  /** Whether the pack's chunks are known. A pack with unknown chunks is never removed. */
  isKnown: boolean;
}

/** The contents of a repository, and the chunks that points need. */
export interface Survey {
  stored: StoredChunks;
  points: RecoveryPoint[];
  /** Every pack that exists. */
  packs: PackUsage[];
  /** The points that need each chunk; an owner is the index of a point in `points`. */
  owners: ChunkOwners;
  /** Problems that do not prevent finding the needed chunks. */
  problems: BlockferryError[];
  /** Errors of objects with names that blockferry never writes. */
  strange: BlockferryError[];
}

/**
 * Marks the chunks that all points need, and chooses their packs.
 * Each chunk is kept by one pack. Damage that leaves every needed chunk with a place is tolerated. A point
 * that cannot be read is an error, because its needs are unknown.
 * @param leaving ids of packs that should keep nothing if possible, such as packs that an earlier run has
 * noticed
 * @throws ObjectCorrupt and the like for such a point, ChunkMissing, ChunkCorrupt; IndexFalse if packs hold
 * chunks that segments deny; Interrupted
 */
export async function survey(
  storage: Storage,
  signal: AbortSignal,
  leaving: ReadonlySet<string> = new Set(),
): Promise<Survey> {
  const { points, damaged, strange } = await listPoints(storage);
  const [unreadable] = damaged;
  if (unreadable !== undefined) throw unreadable;
  const stored = await StoredChunks.load(storage, { condemned: "last" });
  const owners = await stored.search({
    attempt: () => findOwners(stored, points, signal),
    onFalseSegment: (problem) => {
      throw problem;
    },
  });
  chooseKeepers(stored, owners, leaving);
  const problems = stored.problems.filter(({ code }) => code !== "PackMissing");
  const packs = usageOf(stored, owners);
  return { stored, points, packs, owners, problems, strange: [...strange, ...stored.strange] };
}

/**
 * Makes the pack that will keep a chunk its first place.
 * A pack that must stay for chunks only it has is preferred to one that may be removed. The next run chooses
 * the same, so that a pack noticed now can be removed then. This proves nothing: `proveElsewhere` does,
 * before a pack is removed.
 */
function chooseKeepers(
  { index, packs, condemnedPacks }: StoredChunks,
  owners: ChunkOwners,
  leaving: ReadonlySet<string>,
): void {
  const soleBytes = new Float64Array(packs.count);
  const several = NumberSet.below(index.size);
  for (let entry = 0; entry < index.size; entry++) {
    if (!owners.isNeeded(entry)) continue;
    const pack = index.packNumber(entry);
    if (index.nextPlace(entry) >= 0) several.add(entry);
    else soleBytes[pack] = (soleBytes[pack] as number) + index.record(entry).storedBytes;
  }
  const rank = ranksOf(packs.count, (a, b) => {
    const [idA, idB] = [packs.id(a), packs.id(b)];
    return (
      Number(condemnedPacks.has(idA)) - Number(condemnedPacks.has(idB)) ||
      Number(leaving.has(idA)) - Number(leaving.has(idB)) ||
      (soleBytes[b] as number) - (soleBytes[a] as number) ||
      (idA < idB ? -1 : 1)
    );
  });
  for (const entry of several) {
    let keeper = entry;
    for (const place of index.places(entry)) {
      const isBefore = (rank[index.packNumber(place)] as number) < (rank[index.packNumber(keeper)] as number);
      if (isBefore) keeper = place;
    }
    index.prefer(entry, keeper);
  }
}

/** Returns the rank of each number below `count` in the order of `compare`. */
function ranksOf(count: number, compare: (a: number, b: number) => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, number) => number).sort(compare);
  const ranks = new Uint32Array(count);
  for (const [rank, number] of order.entries()) ranks[number] = rank;
  return ranks;
}

function usageOf(stored: StoredChunks, owners: ChunkOwners): PackUsage[] {
  const { index, packs, packBytes, condemnedPacks } = stored;
  const { tagBytes } = stored.storage.cipher.layout;
  const frameBytes = PACK_HEADER_BYTES + PACK_TRAILER_BYTES + tagBytes;
  const liveBytes = new Float64Array(packs.count);
  const entryCounts = new Uint32Array(packs.count);
  for (let entry = 0; entry < index.size; entry++) {
    const pack = index.packNumber(entry);
    entryCounts[pack] = (entryCounts[pack] as number) + 1;
    if (!owners.isNeeded(entry)) continue;
    liveBytes[pack] = (liveBytes[pack] as number) + index.record(entry).storedBytes;
  }
  const numbers = new Map(Array.from(liveBytes, (_, number) => [packs.id(number), number]));
  return [...packBytes].map(([id, sizeBytes]) => {
    const number = numbers.get(id) ?? -1;
    const live = liveBytes[number] ?? 0;
    const overhead = frameBytes + (entryCounts[number] ?? 0) * CHUNK_RECORD_BYTES;
    return {
      ...{ id, sizeBytes, liveBytes: live, isCondemned: condemnedPacks.has(id), isKnown: number >= 0 },
      deadBytes: live === 0 ? sizeBytes : sizeBytes - overhead - live,
    };
  });
}

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

function addUpChunks({ stored: { index }, owners, points }: Survey) {
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
