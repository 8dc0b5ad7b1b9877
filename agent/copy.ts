import { isDeepStrictEqual } from "node:util";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../foundation/interrupted.js";
import { chunkCount } from "../repository/chunk-id.js";
import { ChunkOwners } from "../repository/chunk-owners.js";
import { Lease } from "../repository/lease.js";
import { type LoadedIndex, loadIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import { findPoint, listPoints, type RecoveryPoint } from "../repository/recovery-point.js";
import type { Repository } from "../repository/repository.js";
import { applyPolicy } from "../repository/retention.js";
import type { Storage } from "../repository/storage/storage.js";
import { commitPoint } from "./commit-point.js";
import { copyChunks } from "./copy-chunks.js";
import { RenamingCopy } from "./copy-renamed.js";
import { withReadLease } from "./read-lease.js";
import type { RunWatcher } from "./run-watcher.js";

export interface CopyPointsOptions {
  /** Ids, or the beginnings of them, or `latest`; all points when there are none. */
  points: string[];
  watcher: RunWatcher;
  signal: AbortSignal;
}

export interface CopyReport {
  /** Ids of the points that are in the other repository now, oldest first. */
  copied: string[];
  /** Ids of those that were there already. */
  present: string[];
  /** Chunks and block-map nodes that the other repository did not have. */
  chunks: number;
  /** What these take there, in bytes. */
  storedBytes: number;
}

/**
 * Copies recovery points from one repository into another, where they keep their ids, whether either is encrypted or not. Only chunks that are
 * missing there travel, each proven on its way. A point appears when all that it needs is durable, so a copy that is killed is
 * taken up by the next one.
 * @throws PointNotFound; what is wrong with a point, or with what it needs; what either storage throws; Interrupted
 */
export async function copyPoints(
  from: Repository,
  to: Repository,
  options: CopyPointsOptions,
): Promise<CopyReport> {
  return withReadLease(from.storage, options, async () => {
    const lease = await Lease.acquire(to.storage, "backup", options.signal);
    try {
      const source = { ...from, storage: from.storage.until(options.signal) };
      const target = { ...to, storage: to.storage.until(options.signal) };
      const uploads = await target.storage.beginUploads();
      try {
        return await copyLeased(source, target, lease, options);
      } finally {
        await uploads.end();
      }
    } finally {
      await lease.release();
    }
  });
}

async function copyLeased(
  from: Repository,
  to: Repository,
  lease: Lease,
  { points: wanted, signal }: CopyPointsOptions,
): Promise<CopyReport> {
  const points = await choosePoints(from.storage, wanted);
  const there = new Set((await to.storage.list("points/")).map(({ key }) => key));
  const isThere = ({ id }: RecoveryPoint) => there.has(`points/${id}.json`);
  const missing = points.filter((point) => !isThere(point));
  const loaded = await loadIndex(from.storage, { condemned: "last" });
  const target = await loadIndex(to.storage, { condemned: "exclude" });
  await to.storage.makeDurable(target.unindexedPacks.map(({ id }) => packKey(id)));
  const present = points.filter(isThere);
  const job = { from, loaded, to, target, lease, signal };
  const copied = namesAgree(from, to)
    ? await copyAsNamed(missing, job)
    : await copyRenamed(missing, present, job);
  return { copied: missing.map(({ id }) => id), present: present.map(({ id }) => id), ...copied };
}

interface CopyJob {
  from: Repository;
  loaded: LoadedIndex;
  to: Repository;
  target: LoadedIndex;
  lease: Lease;
  signal: AbortSignal;
}

/** Whether a chunk has one id in both. Where a key goes into the ids, no other repository has the same. */
function namesAgree(from: Repository, to: Repository): boolean {
  return from.config.encryption.mode === "none" && to.config.encryption.mode === "none";
}

async function copyAsNamed(missing: RecoveryPoint[], job: CopyJob) {
  const { from, loaded, to, target, lease, signal } = job;
  const entries = await missingEntries(missing, { storage: from.storage, loaded, target, signal });
  const storedBytes = await copyChunks(entries, {
    ...{ from: from.storage, loaded, to: to.storage, unindexed: target.unindexedPacks },
    ...{ compression: "lz4", signal },
  });
  for (const point of missing) await commitUnlessThere(to, point, lease);
  return { chunks: entries.length, storedBytes };
}

async function copyRenamed(missing: RecoveryPoint[], present: RecoveryPoint[], job: CopyJob) {
  const { from, loaded, to, target, lease, signal } = job;
  const renaming = new RenamingCopy(
    { storage: from.storage, loaded },
    { storage: to.storage, loaded: target },
    signal,
  );
  if (missing.length > 0) await learnNames(renaming, present, to.storage);
  const total = { chunks: 0, storedBytes: 0 };
  for (const original of missing) {
    const { point, chunks, storedBytes } = await renaming.copy(original);
    await commitUnlessThere(to, point, lease);
    total.chunks += chunks;
    total.storedBytes += storedBytes;
  }
  return total;
}

const NEWEST = { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

/** From the newest point of each machine: its next one has most chunks in common with that. */
async function learnNames(renaming: RenamingCopy, present: RecoveryPoint[], to: Storage): Promise<void> {
  const { points } = await listPoints(to);
  const verdicts = applyPolicy(present, NEWEST).flatMap((group) => group.verdicts);
  for (const { point, keptBy } of verdicts) {
    const there = points.find(({ id }) => id === point.id);
    if (keptBy.length > 0 && there !== undefined && isCopyOf(there, point))
      await renaming.learn(point, there);
  }
}

/** A point has other roots in another repository, and is otherwise the same to the last figure. */
function isCopyOf(there: RecoveryPoint, here: RecoveryPoint): boolean {
  const essence = ({ repository: _, lock: ___, volumes, ...rest }: RecoveryPoint) => ({
    ...rest,
    volumes: volumes.map(({ root: __, ...volume }) => volume),
  });
  return isDeepStrictEqual(essence(there), essence(here));
}

/** Another copy may have been faster. What it needs is locked in the repository that it comes from, and not here. */
async function commitUnlessThere(
  to: Repository,
  { lock: _, ...point }: RecoveryPoint,
  lease: Lease,
): Promise<void> {
  try {
    await commitPoint({ ...point, repository: to.config.id }, lease);
  } catch (error) {
    if (!(error instanceof BlockferryError && error.code === "ObjectExists")) throw error;
  }
}

/** Oldest first. @throws PointNotFound; the first damaged one that is wanted */
async function choosePoints(storage: Storage, wanted: string[]): Promise<RecoveryPoint[]> {
  if (wanted.length > 0) {
    const found = new Map<string, RecoveryPoint>();
    for (const reference of wanted) {
      const point = await findPoint(storage, reference);
      found.set(point.id, point);
    }
    return [...found.values()].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }
  const { points, damaged } = await listPoints(storage);
  const [problem] = damaged;
  if (problem !== undefined) throw problem;
  return points;
}

interface Search {
  storage: Storage;
  loaded: LoadedIndex;
  target: LoadedIndex;
  signal: AbortSignal;
}

/** Index entries of the chunks that the points need and the target lacks. */
async function missingEntries(points: RecoveryPoint[], search: Search): Promise<number[]> {
  const { storage, loaded, target, signal } = search;
  const owners = new ChunkOwners({
    index: loaded.index,
    readChunk: (entry) => {
      throwIfInterrupted(signal);
      return readChunk(storage, loaded.index, loaded.packs, entry);
    },
  });
  for (const { volumes } of points) {
    for (const { root, sizeBytes } of volumes) {
      await owners.add(Buffer.from(root, "hex"), chunkCount(sizeBytes), 0);
    }
  }
  const entries: number[] = [];
  for (let entry = 0; entry < loaded.index.size; entry++) {
    if (owners.isNeeded(entry) && target.index.find(loaded.index.id(entry)) < 0) entries.push(entry);
  }
  return entries;
}
