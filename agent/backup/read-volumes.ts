import { type ByteRange, mergeRanges } from "../../native-free-io/data-ranges.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import { MAX_BAD_RANGES } from "../../repository/format/object-bounds.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { Repository } from "../../repository/open/repository.js";
import { type Counters, ExtentQueue, type RunWatcher } from "../threads/shared-memory.js";
import type { ThreadPool } from "../threads/thread-pool.js";
import type { BackupMessage, BackupTask, BackupThreadResult, VolumeTask } from "./chunk-pipeline.js";
import type { IndexCheckpoints } from "./index-checkpoints.js";
import { totalSourceBytes, type VolumePlan } from "./plan-volumes.js";
import type { BackupRecorder } from "./recorder.js";
import { tooManyBadRanges } from "./salvage-chunk.js";

export type BackupPool = ThreadPool<BackupTask, BackupThreadResult, BackupMessage>;

interface ReadOptions {
  /** Reads in flight per thread. */
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
  index: ChunkIndex;
  checkpoints: IndexCheckpoints;
  counters: Counters;
  recorder: BackupRecorder;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Reads all volumes on the threads of a pool, and stores new chunks.
 * @returns the bad blocks that were skipped, per volume
 * @throws SourceUnreadable, SourceShrunk, StorageFull, StorageDenied, Interrupted
 */
export async function readVolumes(
  pool: BackupPool,
  repository: Repository,
  volumes: VolumePlan[],
  options: ReadOptions,
): Promise<ByteRange[][]> {
  const { index, checkpoints, counters, recorder, queueDepth, compression, badBlocks } = options;
  const stages = recorder.reading(pool.threads, () => counters.totals());
  const task: BackupTask = {
    storage: repository.location,
    volumes: volumes.map(describeVolume),
    index: index.memory,
    extents: ExtentQueue.create(volumes.map(({ chunks }) => chunks.count)).memory,
    counters: counters.memory,
    stages: stages?.memory,
    ...{ queueDepth, compression, badBlocks },
  };
  const results = await pool.run({
    task,
    onMessage: ({ id, sizeBytes, footer }) => checkpoints.add({ id, sizeBytes, footer: Buffer.from(footer) }),
    signal: options.signal,
    progress: {
      watcher: options.watcher,
      watched: {
        label: "Backing up",
        totalBytes: totalSourceBytes(volumes),
        totals: () => counters.totals(),
      },
    },
  });
  return mergeBadRanges(
    volumes.map(({ source }) => source.path),
    results,
  );
}

/**
 * Merges the unreadable ranges of all threads.
 * @returns the ranges of each volume, in order, with adjacent ranges joined
 * @throws SourceUnreadable if there are more ranges than a recovery point can hold
 */
export function mergeBadRanges(
  paths: readonly string[],
  results: readonly BackupThreadResult[],
): ByteRange[][] {
  const merged = paths.map((_, volume) =>
    mergeRanges(results.flatMap(({ badRanges }) => badRanges[volume] ?? [])),
  );
  const count = merged.reduce((sum, ranges) => sum + ranges.length, 0);
  const most = Math.max(...merged.map(({ length }) => length));
  const worst = paths[merged.findIndex(({ length }) => length === most)];
  if (worst !== undefined && count > MAX_BAD_RANGES) throw tooManyBadRanges(worst, count);
  return merged;
}

function describeVolume({ source, chunks, data }: VolumePlan): VolumeTask {
  const { path, fd, sizeBytes } = source;
  return { path, fd, sizeBytes, chunks: chunks.memory, data: data?.memory };
}
