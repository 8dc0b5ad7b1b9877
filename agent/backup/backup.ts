import { hostname } from "node:os";
import { BlockferryError } from "../../errors/blockferry-error.js";
import type { Compression } from "../../repository/chunk-codec.js";
import { loadIndex } from "../../repository/load-index.js";
import { newPointId, type RecoveryPoint, writePoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { Counters, type CounterTotals } from "../counters.js";
import { EXTENT_CHUNKS, ExtentQueue } from "../extent-queue.js";
import { interrupted } from "../interrupted.js";
import type { RunWatcher } from "../run-watcher.js";
import { StopFlag } from "../stop-flag.js";
import { runThreads } from "../thread-pool.js";
import { IndexCheckpoints } from "./index-checkpoints.js";
import type { BackupMessage, BackupTask, BackupThreadResult } from "./messages.js";
import { type DeviceRequest, planVolumes, type VolumePlan } from "./plan-volumes.js";
import { mergeRanges } from "./salvage-chunk.js";
import { storeBlockMaps } from "./store-block-maps.js";

export interface BackupOptions {
  devices: DeviceRequest[];
  threads: number;
  /** Reads in flight, for each thread. */
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
  tags: Record<string, string>;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Backs up block devices or image files into one recovery point. What it stored before it failed or was interrupted
 * stays, and the next backup does not store it again; a recovery point appears only when everything it names is durable.
 * @throws SourceNotFound, SourceUnreadable, SourceShrunk, StorageFull, StorageDenied, Interrupted
 */
export async function backup(repository: Repository, options: BackupOptions): Promise<RecoveryPoint> {
  const startedAt = new Date();
  const { storage } = repository;
  const volumes = await planVolumes(options.devices, options.watcher);
  await storage.removeStaleUploads();
  const loaded = await loadIndex(storage);
  for (const problem of loaded.problems) options.watcher.notice(`${problem.message} ${problem.remedy}`);

  const newChunks = volumes.reduce((sum, volume) => sum + volume.maxNewChunks, 0);
  const index = loaded.index.withRoomFor(newChunks + options.threads + 1);
  const checkpoints = new IndexCheckpoints(storage);
  for (const pack of loaded.unindexedPacks) checkpoints.add(pack);

  const threads = usefulThreads(volumes, options.threads);
  const counters = Counters.create(threads + 1);
  const task: BackupTask = {
    storage: repository.location,
    volumes: volumes.map(({ source, chunks, data }) => ({
      path: source.path,
      direct: source.direct,
      sizeBytes: source.sizeBytes,
      chunks: chunks.memory,
      data: data?.memory,
    })),
    index: index.memory,
    extents: ExtentQueue.create(volumes.map(({ chunks }) => chunks.count)).memory,
    counters: counters.memory,
    queueDepth: options.queueDepth,
    compression: options.compression,
    badBlocks: options.badBlocks,
  };
  const stop = StopFlag.create();
  const onAbort = () => stop.set();
  options.signal.addEventListener("abort", onAbort);
  const sourceBytes = volumes.reduce((sum, { source }) => sum + source.sizeBytes, 0);
  options.watcher.start({ label: "Backing up", totalBytes: sourceBytes, totals: () => counters.totals() });
  try {
    if (options.signal.aborted) throw interrupted();
    const results = await runThreads<BackupTask, BackupThreadResult, BackupMessage>({
      module: new URL("./backup-thread.js", import.meta.url),
      threads,
      task,
      stop,
      onMessage: ({ id, sizeBytes, footer }) =>
        checkpoints.add({ id, sizeBytes, footer: Buffer.from(footer) }),
    });
    if (options.signal.aborted) throw interrupted();
    const mapCounters = counters.row(threads);
    const roots = await storeBlockMaps(volumes, {
      storage,
      index,
      counters: mapCounters,
      checkpoints,
      ...options,
    });
    await checkpoints.flush();
    const createdAt = new Date();
    const point: RecoveryPoint = {
      version: 1,
      id: newPointId(createdAt),
      repository: repository.config.id,
      startedAt: startedAt.toISOString(),
      createdAt: createdAt.toISOString(),
      hostname: hostname(),
      tags: options.tags,
      volumes: volumes.map(({ name, source }, number) => ({
        name,
        source: source.path,
        sizeBytes: source.sizeBytes,
        root: (roots[number] as Buffer).toString("hex"),
        badRanges: mergeRanges(results.flatMap(({ badRanges }) => badRanges[number] ?? [])),
      })),
      stats: pointStats(sourceBytes, counters.totals()),
    };
    if (options.signal.aborted) throw interrupted();
    await writePoint(storage, point);
    return point;
  } catch (error) {
    await keepWhatIsStored(checkpoints);
    throw error;
  } finally {
    options.signal.removeEventListener("abort", onAbort);
    options.watcher.stop();
  }
}

/** No more threads than there are extents to hand out. */
function usefulThreads(volumes: VolumePlan[], threads: number): number {
  const extents = volumes.reduce((sum, { chunks }) => sum + Math.ceil(chunks.count / EXTENT_CHUNKS), 0);
  return Math.max(1, Math.min(threads, extents));
}

/** After a failure, so that the next run finds it fast. Not being able to is no failure of its own. */
async function keepWhatIsStored(checkpoints: IndexCheckpoints): Promise<void> {
  try {
    await checkpoints.flush();
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
  }
}

function pointStats(sourceBytes: number, totals: CounterTotals): RecoveryPoint["stats"] {
  const { zeroBytes, duplicateBytes, newBytes, storedBytes } = totals;
  return { sourceBytes, zeroBytes, duplicateBytes, newBytes, storedBytes };
}
