import { hostname } from "node:os";
import { BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import { chunkCount } from "../../repository/format/chunk.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import { packKey } from "../../repository/format/pack.js";
import {
  type Instance,
  newPointId,
  type ObjectLock,
  type PointReference,
  pointKey,
  type RecoveryPoint,
  toLockRecord,
  versionFields,
} from "../../repository/format/recovery-point.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Reliance } from "../../repository/jobs/job-replies.js";
import type { Repository } from "../../repository/open/repository.js";
import { CLOCK_TOLERANCE_MS } from "../../repository/points/point-dates.js";
import { findPredecessor } from "../../repository/points/points.js";
import { commitPoint } from "../../repository/protocol/commit.js";
import { Lease } from "../../repository/protocol/lease.js";
import type { Storage } from "../../repository/storage/storage.js";
import { Counters, type CounterTotals, EXTENT_CHUNKS, type RunWatcher } from "../threads/shared-memory.js";
import { ThreadPool } from "../threads/thread-pool.js";
import { lockNeeds } from "../verify/prove-places.js";
import { IndexCheckpoints } from "./index-checkpoints.js";
import {
  closeSources,
  type DeviceRequest,
  type NamedSource,
  openSources,
  planVolumes,
  refuseShrunk,
  totalSourceBytes,
  type VolumePlan,
  warnOfChanges,
} from "./plan-volumes.js";
import { type BackupPool, readVolumes } from "./read-volumes.js";
import { type BackupRecorder, NO_RECORDER } from "./recorder.js";
import { type ProveKnown, RelianceCheck } from "./relied-on.js";
import { storeBlockMaps } from "./store-block-maps.js";

/** The most time spent writing an index after a failure. */
const KEEP_MS = 10_000;

export interface BackupOptions {
  devices: DeviceRequest[];
  threads: number;
  /** Reads in flight per thread. */
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
  tags: Record<string, string>;
  /** Which known chunks to read and prove; none if undefined. */
  proveKnown?: ProveKnown | undefined;
  /** Whether a verification on this machine has read a pack. By default none has. */
  hasRead?: (packId: string) => boolean;
  /** Protects every object the point needs from removal (S3 Object Lock). */
  lock?: ObjectLock | undefined;
  /** The EC2 instance that the devices are copies of, and the job that requested the backup. */
  origin?: { instance: Instance; job: string };
  /** Records the steps and figures of the run. */
  recorder?: BackupRecorder;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/** A committed recovery point, and the stored data it relies on. */
export interface StoredPoint {
  point: RecoveryPoint;
  reliance: Reliance;
}

/**
 * Backs up block devices or image files into one recovery point.
 * Data that a failed or interrupted run stored stays in the repository, and the next backup does not store it
 * again. A recovery point appears only when everything it names is durable.
 * @throws SourceNotFound, SourceUnreadable, SourceShrunk, StorageFull, StorageDenied, Interrupted
 */
export async function backup(repository: Repository, options: BackupOptions): Promise<StoredPoint> {
  options.recorder?.begin("prepare");
  if (options.lock !== undefined) await repository.storage.proveLockable();
  const sources = await openSources(options.devices, options.watcher);
  const pool: BackupPool = new ThreadPool(
    new URL("./backup-thread.js", import.meta.url),
    usefulThreads(sources, options.threads),
    repository.location.kind,
  );
  try {
    const stored = await backupSources(pool, repository, sources, options);
    await warnOfChanges(sources, options.watcher);
    return stored;
  } finally {
    await pool.close();
    await closeSources(sources);
  }
}

async function backupSources(
  pool: BackupPool,
  repository: Repository,
  sources: NamedSource[],
  options: BackupOptions,
): Promise<StoredPoint> {
  const startedAt = new Date();
  const lease = await Lease.acquire(repository.storage, "backup", options.signal);
  try {
    const storage = repository.storage.until(options.signal);
    await warnOfClock(lease, options.watcher);
    const uploads = await storage.beginUploads();
    try {
      return await storeSources(pool, { ...repository, storage }, sources, { ...options, startedAt, lease });
    } finally {
      await uploads.end();
    }
  } finally {
    await lease.release();
  }
}

/**
 * Warns if the clock differs by more than the tolerance: such a point is never `latest`, and no retention
 * rule counts it.
 */
async function warnOfClock(lease: Lease, watcher: RunWatcher): Promise<void> {
  const leadMs = (await lease.storageClockLeadMs()) ?? 0;
  if (Math.abs(leadMs) <= CLOCK_TOLERANCE_MS) return;
  const hours = (Math.abs(leadMs) / 3_600_000).toFixed(1);
  watcher.notice(
    `The clock of this machine is ${hours} hours ${leadMs > 0 ? "behind" : "ahead of"} the storage's: the recovery point will have a wrong date. Set the clock.`,
  );
}

async function storeSources(
  pool: BackupPool,
  repository: Repository,
  sources: NamedSource[],
  options: BackupOptions & { startedAt: Date; lease: Lease },
): Promise<StoredPoint> {
  const { storage } = repository;
  const { recorder = NO_RECORDER } = options;
  recorder.begin("index");
  const known = await StoredChunks.load(storage, { condemned: "exclude" });
  for (const { message, remedy } of [...known.problems, ...known.unreadable])
    options.watcher.notice(`${message} ${remedy}`);
  recorder.begin("holes");
  const volumes = await planVolumes(sources);
  const knownEntries = known.index.size;
  const index = roomForVolumes(known.index, volumes, pool.threads);
  const failed = new AbortController();
  const working = AbortSignal.any([options.signal, failed.signal]);
  const checkpoints = new IndexCheckpoints(storage.until(working));
  await storage.makeDurable(known.unindexedPacks.map(({ id }) => packKey(id)));
  for (const pack of known.unindexedPacks) checkpoints.add(pack);
  const counters = Counters.create(pool.threads + 1);
  const target = { storage, index, checkpoints, compression: options.compression };
  try {
    recorder.begin("read");
    const reading = { ...options, ...target, counters, recorder };
    const badRanges = await readVolumes(pool, repository, volumes, reading);
    await refuseShrunk(volumes);
    recorder.begin("maps");
    const row = counters.row(pool.threads);
    const check = new RelianceCheck({
      ...{ known, knownEntries, checkpoints, counters: row, prove: options.proveKnown },
      ...{ compression: options.compression, badBlocks: options.badBlocks, signal: options.signal },
      hasRead: options.hasRead ?? (() => false),
    });
    await check.checkVolumes(volumes);
    const isGoodNode = check.isGoodNode.bind(check);
    const roots = await storeBlockMaps(volumes, { ...target, counters: row, isGoodNode });
    for (const alarm of check.reliance.alarms) options.watcher.notice(wrongInRepository(alarm));
    recorder.begin("commit");
    await checkpoints.flush();
    throwIfInterrupted(options.signal);
    const previous =
      repository.config.version === 3 ? await findPredecessor(storage, options.watcher.notice) : null;
    const point = describePoint(repository, volumes, {
      previous,
      ...{ startedAt: options.startedAt, badRanges, roots },
      ...{ tags: options.tags, origin: options.origin, totals: counters.totals(), lock: options.lock },
    });
    await lockAndCommit(storage, point, options);
    const { reliance, storedAgain } = check;
    await recorder.stored({ point, known, knownEntries, storedAgain, index, volumes });
    return { point, reliance };
  } catch (error) {
    failed.abort();
    await keepWhatIsStored(checkpoints, storage.until(AbortSignal.timeout(KEEP_MS)));
    throw error;
  }
}

function wrongInRepository(alarm: string): string {
  return `WRONG IN THE REPOSITORY: ${alarm} This backup does not rely on it. Other recovery points may: run \`blockferry-agent verify --read-data\`, and find out who wrote it.`;
}

/** Locks the needed objects, then commits the point: a point that claims a lock must have one. */
async function lockAndCommit(
  storage: Storage,
  point: RecoveryPoint,
  { lease, lock, signal }: Pick<BackupOptions, "lock" | "signal"> & { lease: Lease },
): Promise<void> {
  if (lock !== undefined) await lockNeeds(storage, point.volumes, lock, signal);
  await commitPoint(point, lease);
  if (lock !== undefined) await storage.lock([pointKey(point.id)], lock);
}

interface PointFacts {
  previous: PointReference | null;
  startedAt: Date;
  badRanges: ByteRange[][];
  /** Root ids of the volumes' block maps. */
  roots: Buffer[];
  tags: Record<string, string>;
  origin: BackupOptions["origin"];
  totals: CounterTotals;
  lock: ObjectLock | undefined;
}

function describePoint(repository: Repository, volumes: VolumePlan[], facts: PointFacts): RecoveryPoint {
  const createdAt = new Date();
  const { zeroBytes, duplicateBytes, newBytes, storedBytes } = facts.totals;
  return {
    ...versionFields(repository.config, facts.previous),
    id: newPointId(createdAt),
    repository: repository.config.id,
    startedAt: facts.startedAt.toISOString(),
    createdAt: createdAt.toISOString(),
    hostname: hostname(),
    tags: facts.tags,
    ...facts.origin,
    volumes: volumes.map(({ name, source, ebs }, volume) => ({
      name,
      source: source.path,
      sizeBytes: source.sizeBytes,
      root: (facts.roots[volume] as Buffer).toString("hex"),
      badRanges: facts.badRanges[volume] as ByteRange[],
      ...(ebs === undefined ? {} : { ebs }),
    })),
    stats: { sourceBytes: totalSourceBytes(volumes), zeroBytes, duplicateBytes, newBytes, storedBytes },
    ...(facts.lock === undefined ? {} : { lock: toLockRecord(facts.lock) }),
  };
}

/** Makes room for every chunk the volumes can add, plus one spare entry per thread. */
function roomForVolumes(index: ChunkIndex, volumes: VolumePlan[], threads: number): ChunkIndex {
  const newChunks = volumes.reduce((sum, volume) => sum + volume.maxNewChunks, 0);
  return index.withRoomFor(newChunks + threads + 1);
}

/** Returns at most as many threads as there are extents. */
function usefulThreads(sources: NamedSource[], threads: number): number {
  const extentsOf = ({ source }: NamedSource) => Math.ceil(chunkCount(source.sizeBytes) / EXTENT_CHUNKS);
  const extents = sources.reduce((sum, source) => sum + extentsOf(source), 0);
  return Math.max(1, Math.min(threads, extents));
}

/** Writes the index after a failure. The next run then finds the packs fast. Ignores storage errors. */
async function keepWhatIsStored(checkpoints: IndexCheckpoints, storage: Storage): Promise<void> {
  try {
    await checkpoints.flush(storage);
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
  }
}
