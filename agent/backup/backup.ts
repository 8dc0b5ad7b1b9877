import { hostname } from "node:os";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import type { ByteRange } from "../../native-free-io/byte-range.js";
import type { Compression } from "../../repository/chunk-codec.js";
import { chunkCount } from "../../repository/chunk-id.js";
import type { ChunkIndex } from "../../repository/chunk-index.js";
import type { Instance } from "../../repository/instance.js";
import { Lease } from "../../repository/lease.js";
import { loadIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import { newPointId, pointKey, type RecoveryPoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { type ObjectLock, toLockRecord } from "../../repository/storage/object-lock.js";
import type { Storage } from "../../repository/storage/storage.js";
import { commitPoint } from "../commit-point.js";
import { Counters, type CounterTotals } from "../counters.js";
import { EXTENT_CHUNKS } from "../extent-queue.js";
import { lockNeeds } from "../lock-needs.js";
import type { RunWatcher } from "../run-watcher.js";
import { ThreadPool } from "../thread-pool.js";
import { IndexCheckpoints } from "./index-checkpoints.js";
import {
  closeSources,
  type DeviceRequest,
  type NamedSource,
  openSources,
  planVolumes,
  refuseShrunk,
  totalBytes,
  type VolumePlan,
  warnOfChanges,
} from "./plan-volumes.js";
import { type BackupPool, readVolumes } from "./read-volumes.js";
import { type BackupRecorder, NO_RECORDER } from "./recorder.js";
import { storeBlockMaps } from "./store-block-maps.js";

/** After a failure nobody is kept waiting longer than this for what is stored to be put on record. */
const KEEP_MS = 10_000;

export interface BackupOptions {
  devices: DeviceRequest[];
  threads: number;
  /** Reads in flight, for each thread. */
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
  tags: Record<string, string>;
  /** Keeps all that the point needs from being removed (S3 Object Lock). */
  lock?: ObjectLock | undefined;
  /** The EC2 instance that the devices are copies of, and the job that says so. */
  origin?: { instance: Instance; job: string };
  /** Writes down how it goes. */
  recorder?: BackupRecorder;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Backs up block devices or image files into one recovery point. What it stored before it failed or was interrupted
 * stays, and the next backup does not store it again; a recovery point appears only when everything it names is durable.
 * @throws SourceNotFound, SourceUnreadable, SourceShrunk, StorageFull, StorageDenied, Interrupted
 */
export async function backup(repository: Repository, options: BackupOptions): Promise<RecoveryPoint> {
  options.recorder?.begin("prepare");
  if (options.lock !== undefined) await repository.storage.proveLockable();
  const sources = await openSources(options.devices, options.watcher);
  const pool: BackupPool = new ThreadPool(
    new URL("./backup-thread.js", import.meta.url),
    usefulThreads(sources, options.threads),
    repository.location.kind,
  );
  try {
    const point = await backupSources(pool, repository, sources, options);
    await warnOfChanges(sources, options.watcher);
    return point;
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
): Promise<RecoveryPoint> {
  const startedAt = new Date();
  const lease = await Lease.acquire(repository.storage, "backup", options.signal);
  try {
    const storage = repository.storage.until(options.signal);
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

async function storeSources(
  pool: BackupPool,
  repository: Repository,
  sources: NamedSource[],
  options: BackupOptions & { startedAt: Date; lease: Lease },
): Promise<RecoveryPoint> {
  const { storage } = repository;
  const { recorder = NO_RECORDER } = options;
  recorder.begin("index");
  const loaded = await loadIndex(storage, { condemned: "exclude" });
  for (const { message, remedy } of loaded.problems) options.watcher.notice(`${message} ${remedy}`);
  recorder.begin("holes");
  const volumes = await planVolumes(sources);
  const knownEntries = loaded.index.size;
  const index = roomForVolumes(loaded.index, volumes, pool.threads);
  const failed = new AbortController();
  const working = AbortSignal.any([options.signal, failed.signal]);
  const checkpoints = new IndexCheckpoints(storage.until(working));
  await storage.makeDurable(loaded.unindexedPacks.map(({ id }) => packKey(id)));
  for (const pack of loaded.unindexedPacks) checkpoints.add(pack);
  const counters = Counters.create(pool.threads + 1);
  const target = { storage, index, checkpoints, compression: options.compression };
  try {
    recorder.begin("read");
    const reading = { ...options, ...target, counters, recorder };
    const badRanges = await readVolumes(pool, repository, volumes, reading);
    await refuseShrunk(volumes);
    recorder.begin("maps");
    const roots = await storeBlockMaps(volumes, { ...target, counters: counters.row(pool.threads) });
    recorder.begin("commit");
    await checkpoints.flush();
    throwIfInterrupted(options.signal);
    const point = describePoint(repository, volumes, {
      ...{ startedAt: options.startedAt, badRanges, roots },
      ...{ tags: options.tags, origin: options.origin, totals: counters.totals(), lock: options.lock },
    });
    await lockAndCommit(storage, point, options);
    await recorder.stored({ point, storage, loaded, knownEntries, index, volumes });
    return point;
  } catch (error) {
    failed.abort();
    await keepWhatIsStored(checkpoints, storage.until(AbortSignal.timeout(KEEP_MS)));
    throw error;
  }
}

/** A point that says that it is locked comes after the locks of all that it needs. */
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
    version: 1,
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
    stats: { sourceBytes: totalBytes(volumes), zeroBytes, duplicateBytes, newBytes, storedBytes },
    ...(facts.lock === undefined ? {} : { lock: toLockRecord(facts.lock) }),
  };
}

/** Room for every chunk that the volumes can add, and for the spare entry of each thread. */
function roomForVolumes(index: ChunkIndex, volumes: VolumePlan[], threads: number): ChunkIndex {
  const newChunks = volumes.reduce((sum, volume) => sum + volume.maxNewChunks, 0);
  return index.withRoomFor(newChunks + threads + 1);
}

/** No more threads than there are extents to hand out. */
function usefulThreads(sources: NamedSource[], threads: number): number {
  const extentsOf = ({ source }: NamedSource) => Math.ceil(chunkCount(source.sizeBytes) / EXTENT_CHUNKS);
  const extents = sources.reduce((sum, source) => sum + extentsOf(source), 0);
  return Math.max(1, Math.min(threads, extents));
}

/** After a failure, so that the next run finds it fast. Not being able to is no failure of its own. */
async function keepWhatIsStored(checkpoints: IndexCheckpoints, storage: Storage): Promise<void> {
  try {
    await checkpoints.flush(storage);
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
  }
}
