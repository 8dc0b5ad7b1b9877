import { BlockferryError } from "../../foundation/blockferry-error.js";
import { BlockTarget } from "../../native-free-io/block-target.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/byte-range.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import type { RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { Counters } from "../counters.js";
import { ExtentQueue } from "../extent-queue.js";
import type { RunWatcher } from "../run-watcher.js";
import { ThreadPool } from "../thread-pool.js";
import { chunkLength } from "./decode-group.js";
import { type LoadedVolume, loadVolume, type MissingData } from "./load-volume.js";
import type { LostChunk, RestoreTask } from "./messages.js";

export interface RestoreOptions {
  /** The volumes to restore, and where to. */
  targets: { volume: RecoveryPointVolume; path: string }[];
  /** What to do with a file that already holds data. */
  existing: "refuse" | "replace";
  missing: MissingData;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/** Bytes that were lost in the repository, and stand as zeros in the target. */
export interface LostRange extends ByteRange {
  /** Name of the volume. */
  volume: string;
}

interface VolumeRestore extends LoadedVolume {
  volume: RecoveryPointVolume;
  target: BlockTarget;
}

/**
 * Restores volumes of a recovery point to files or devices. Every chunk is proven against its id before it is written.
 * A file appears under its name only when it is complete; a device that was being written when this throws is incomplete.
 * @returns what is lost, in order; nothing where missing data are refused
 * @throws ChunkMissing before anything is written when data are known to be missing; ChunkCorrupt, TargetNotUsable,
 * TargetTooSmall, TargetInUse, TargetNotEmpty, TargetWriteFailed, Interrupted
 */
export async function restore(repository: Repository, options: RestoreOptions): Promise<LostRange[]> {
  const pool: RestorePool = new ThreadPool(
    new URL("./restore-thread.js", import.meta.url),
    options.threads,
    repository.location.kind,
  );
  try {
    const storage = repository.storage.until(options.signal);
    return await restoreWith(pool, { ...repository, storage }, options);
  } finally {
    await pool.close();
  }
}

type RestorePool = ThreadPool<RestoreTask, LostChunk[]>;

async function restoreWith(
  pool: RestorePool,
  repository: Repository,
  options: RestoreOptions,
): Promise<LostRange[]> {
  const loaded = await loadIndex(repository.storage, { condemned: "last" });
  const maps: LoadedVolume[] = [];
  for (const { volume } of options.targets)
    maps.push(await loadVolume(repository.storage, loaded, volume, options.missing));
  const restores: VolumeRestore[] = [];
  let writing = false;
  try {
    for (const [number, { volume, path }] of options.targets.entries()) {
      const target = await BlockTarget.prepare(path, {
        sizeBytes: volume.sizeBytes,
        existing: options.existing,
      });
      restores.push({ volume, target, ...(maps[number] as LoadedVolume) });
    }
    refuseSharedTargets(restores);
    writing = true;
    await copyChunks(pool, repository, loaded, restores, options);
    for (const { target } of restores) await target.commit();
    return restores.flatMap(lostRanges);
  } catch (error) {
    await Promise.all(restores.map(({ target }) => target.discard()));
    if (writing) warnOfIncompleteDevices(restores, options.watcher);
    throw error;
  }
}

/** Chunks that prove lost only when they are read are added to what their volumes have lost. */
async function copyChunks(
  pool: RestorePool,
  repository: Repository,
  { index, packs }: LoadedIndex,
  restores: VolumeRestore[],
  options: RestoreOptions,
): Promise<void> {
  const counters = Counters.create(options.threads);
  const task: RestoreTask = {
    storage: repository.location,
    volumes: restores.map(({ volume, chunks, target }) => ({
      target: target.description,
      sizeBytes: volume.sizeBytes,
      chunks: chunks.memory,
    })),
    index: index.memory,
    packs: packs.memory,
    extents: ExtentQueue.create(restores.map(({ chunks }) => chunks.count)).memory,
    counters: counters.memory,
    missing: options.missing,
  };
  const lost = await pool.run({
    task,
    signal: options.signal,
    watcher: options.watcher,
    watched: {
      label: "Restoring",
      totalBytes: restores.reduce((sum, { volume }) => sum + volume.sizeBytes, 0),
      totals: () => counters.totals(),
    },
  });
  for (const { volume: number, position } of lost.flat()) {
    const { volume, lost: ranges } = restores[number] as VolumeRestore;
    ranges.push({ offset: position * CHUNK_BYTES, length: chunkLength(volume.sizeBytes, position) });
  }
}

function lostRanges({ volume, lost }: VolumeRestore): LostRange[] {
  return mergeRanges(lost).map((range) => ({ volume: volume.name, ...range }));
}

/** Two volumes in one file would overwrite each other, however the path was spelled. A device is claimed by the first. */
function refuseSharedTargets(restores: VolumeRestore[]): void {
  const paths = restores.map(({ target }) => target.path);
  const twice = paths.find((path, number) => paths.indexOf(path) !== number);
  if (twice === undefined) return;
  throw new BlockferryError({
    code: "Usage",
    message: `Two volumes are to be restored to ${twice}.`,
    remedy: "Give each volume a target of its own.",
    object: twice,
  });
}

/** A file that was not finished is gone, but a device cannot be put back as it was. */
function warnOfIncompleteDevices(restores: VolumeRestore[], watcher: RunWatcher): void {
  for (const { target } of restores) {
    if (target.description.kind !== "block-device") continue;
    watcher.notice(
      `${target.path} was not restored completely. Do not use it before a restore has succeeded.`,
    );
  }
}
