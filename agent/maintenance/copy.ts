import { isDeepStrictEqual } from "node:util";
import { BlockferryError } from "../../foundation/errors.js";
import { packKey } from "../../repository/format/pack.js";
import { type RecoveryPoint, versionFields } from "../../repository/format/recovery-point.js";
import { findOwners } from "../../repository/index/chunk-owners.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { findPredecessor, listPoints } from "../../repository/points/points.js";
import { applyPolicy } from "../../repository/points/retention.js";
import { forgottenIds, type TombstoneKey } from "../../repository/points/tombstone.js";
import { commitPoint } from "../../repository/protocol/commit.js";
import { Lease, withReadLease } from "../../repository/protocol/lease.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import { copyChunks, RenamingCopy } from "./copy-chunks.js";

interface CopyPointsOptions {
  /** Chooses points of the source repository, in any order. */
  choosePoints: (storage: Storage) => Promise<RecoveryPoint[]>;
  /**
   * Whether the user named the point by its id: then it is copied even if the target repository has forgotten
   * it.
   */
  isNamedById: (id: string) => boolean;
  /** If given, only tombstones of the target that it has signed count; otherwise all do. */
  tombstoneKey?: TombstoneKey | undefined;
  watcher: RunWatcher;
  signal: AbortSignal;
}

export interface CopyReport {
  /** Ids of the points that were copied, oldest first. */
  copied: string[];
  /** Ids of the points that the target already had. */
  present: string[];
  /** Ids of the points that the target had forgotten, and that were not copied. */
  forgotten: string[];
  /** Chunks and block-map nodes that the target did not have. */
  chunks: number;
  /** Bytes that these take in the target. */
  storedBytes: number;
}

/**
 * Copies recovery points into another repository under the same ids.
 * Either repository may be encrypted. Only chunks that the target lacks are transferred, each proven on the
 * way. A point appears once everything it needs is durable, so the next copy continues where a killed one
 * stopped.
 * @throws the errors of `choosePoints`, of damaged points or data they need, and of either storage;
 * Interrupted
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
  { choosePoints, isNamedById, tombstoneKey, watcher, signal }: CopyPointsOptions,
): Promise<CopyReport> {
  const points = (await choosePoints(from.storage)).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  const there = new Set((await to.storage.list("points/")).map(({ key }) => key));
  const isThere = ({ id }: RecoveryPoint) => there.has(`points/${id}.json`);
  const tombstones = await forgottenIds(to.storage, tombstoneKey);
  const isForgotten = ({ id }: RecoveryPoint) => tombstones.has(id) && !isNamedById(id);
  const absent = points.filter((point) => !isThere(point));
  const missing = absent.filter((point) => !isForgotten(point));
  const source = await StoredChunks.load(from.storage, { condemned: "last" });
  const target = await StoredChunks.load(to.storage, { condemned: "exclude" });
  await to.storage.makeDurable(target.unindexedPacks.map(({ id }) => packKey(id)));
  const present = points.filter(isThere);
  const onFalseSegment = ({ message, remedy }: BlockferryError) => watcher.notice(`${message} ${remedy}`);
  const job = { source, to, target, lease, signal, onFalseSegment };
  const copied = namesAgree(from, to)
    ? await copyAsNamed(missing, job)
    : await copyRenamed(missing, present, job);
  const idsOf = (of: RecoveryPoint[]) => of.map(({ id }) => id);
  const forgotten = idsOf(absent.filter(isForgotten));
  return { copied: idsOf(missing), present: idsOf(present), forgotten, ...copied };
}

interface CopyJob {
  source: StoredChunks;
  to: Repository;
  target: StoredChunks;
  lease: Lease;
  signal: AbortSignal;
  /** Called with each index segment of the source that hid chunks. */
  onFalseSegment(problem: BlockferryError): void;
}

/** Whether a chunk has the same id in both. Ids that depend on a key are the same in no other repository. */
function namesAgree(from: Repository, to: Repository): boolean {
  return from.config.encryption.mode === "none" && to.config.encryption.mode === "none";
}

async function copyAsNamed(missing: RecoveryPoint[], job: CopyJob) {
  const { source, to, target, lease, signal, onFalseSegment } = job;
  const entries = await source.search({
    attempt: () => missingEntries(missing, source, target, signal),
    onFalseSegment,
  });
  const storedBytes = await copyChunks(entries, {
    ...{ from: source, to: to.storage, unindexed: target.unindexedPacks },
    ...{ compression: "lz4", signal },
  });
  for (const point of missing) await commitUnlessThere(to, point, lease);
  return { chunks: entries.length, storedBytes };
}

async function copyRenamed(missing: RecoveryPoint[], present: RecoveryPoint[], job: CopyJob) {
  const { source, to, target, lease, signal, onFalseSegment } = job;
  const renaming = new RenamingCopy(source, target, { signal, onFalseSegment });
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

/** Learns ids from the newest point of each machine, which shares the most chunks with its next one. */
async function learnNames(renaming: RenamingCopy, present: RecoveryPoint[], to: Storage): Promise<void> {
  const { points } = await listPoints(to);
  const verdicts = applyPolicy(present, NEWEST).flatMap((group) => group.verdicts);
  for (const { point, keptBy } of verdicts) {
    const there = points.find(({ id }) => id === point.id);
    if (keptBy.length > 0 && there !== undefined && isCopyOf(there, point))
      await renaming.learn(point, there);
  }
}

/** Whether two points differ only in their block-map roots, like a copy and its original. */
function isCopyOf(there: RecoveryPoint, here: RecoveryPoint): boolean {
  const essence = ({
    id,
    startedAt,
    createdAt,
    hostname,
    tags,
    job,
    instance,
    stats,
    volumes,
  }: RecoveryPoint) => ({
    ...{ id, startedAt, createdAt, hostname, tags, job, instance, stats },
    volumes: volumes.map(({ root: __, ...volume }) => volume),
  });
  return isDeepStrictEqual(essence(there), essence(here));
}

/**
 * Commits a point, unless another copy was faster. Drops `lock`: only the source repository has the objects
 * locked.
 */
async function commitUnlessThere(
  to: Repository,
  { lock: _, previous: __, requires: ___, ...point }: RecoveryPoint,
  lease: Lease,
): Promise<void> {
  const previous = to.config.version === 3 ? await findPredecessor(to.storage) : null;
  const copy = { ...point, ...versionFields(to.config, previous), repository: to.config.id };
  try {
    await commitPoint(copy, lease);
  } catch (error) {
    if (!(error instanceof BlockferryError && error.code === "ObjectExists")) throw error;
  }
}

/** Returns the index entries of the chunks that the points need and the target lacks. */
async function missingEntries(
  points: RecoveryPoint[],
  source: StoredChunks,
  target: StoredChunks,
  signal: AbortSignal,
): Promise<number[]> {
  const together = { volumes: points.flatMap(({ volumes }) => volumes) };
  const owners = await findOwners(source, [together], signal);
  const { index } = source;
  const entries: number[] = [];
  for (let entry = 0; entry < index.size; entry++) {
    if (!owners.isNeeded(entry)) continue;
    const { id, rawBytes } = index.record(entry);
    const known = target.index.find(id);
    if (known < 0 || !target.index.hasLength(known, rawBytes)) entries.push(entry);
  }
  return entries;
}
