import { BlockferryError } from "../../foundation/blockferry-error.js";
import { BlockTarget } from "../../native-free-io/block-target.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import { readChunk } from "../../repository/read-chunk.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";
import { Counters } from "../counters.js";
import { ExtentQueue } from "../extent-queue.js";
import type { RunWatcher } from "../run-watcher.js";
import { ThreadPool } from "../thread-pool.js";
import type { RestoreTask } from "./messages.js";

export interface RestoreOptions {
  point: RecoveryPoint;
  /** The volumes to restore, and where to. */
  targets: { volume: RecoveryPointVolume; path: string }[];
  /** What to do with a file that already holds data. */
  existing: "refuse" | "replace";
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

interface VolumeRestore {
  volume: RecoveryPointVolume;
  chunks: VolumeChunks;
  target: BlockTarget;
}

/**
 * Restores volumes of a recovery point to files or devices. Every chunk is proven against its id before it is written.
 * A file appears under its name only when it is complete; a device that was being written when this throws is incomplete.
 * @throws ChunkMissing before anything is written when data are known to be missing; ChunkCorrupt, TargetNotUsable,
 * TargetTooSmall, TargetInUse, TargetNotEmpty, TargetWriteFailed, Interrupted
 */
export async function restore(repository: Repository, options: RestoreOptions): Promise<void> {
  const pool: RestorePool = new ThreadPool(
    new URL("./restore-thread.js", import.meta.url),
    options.threads,
    repository.location.kind,
  );
  try {
    const storage = repository.storage.until(options.signal);
    await restoreWith(pool, { ...repository, storage }, options);
  } finally {
    await pool.close();
  }
}

type RestorePool = ThreadPool<RestoreTask, void>;

async function restoreWith(
  pool: RestorePool,
  repository: Repository,
  options: RestoreOptions,
): Promise<void> {
  const loaded = await loadIndex(repository.storage, { condemned: "last" });
  const maps: VolumeChunks[] = [];
  for (const { volume } of options.targets) maps.push(await loadVolume(repository.storage, loaded, volume));
  const restores: VolumeRestore[] = [];
  let writing = false;
  try {
    for (const [number, { volume, path }] of options.targets.entries()) {
      const target = await BlockTarget.prepare(path, {
        sizeBytes: volume.sizeBytes,
        existing: options.existing,
      });
      restores.push({ volume, target, chunks: maps[number] as VolumeChunks });
    }
    refuseSharedTargets(restores);
    writing = true;
    await copyChunks(pool, repository, loaded, restores, options);
    for (const { target } of restores) await target.commit();
  } catch (error) {
    await Promise.all(restores.map(({ target }) => target.discard()));
    if (writing) warnOfIncompleteDevices(restores, options.watcher);
    throw error;
  }
}

/** A volume's block map; refuses when any of its chunks is known to be missing. */
async function loadVolume(
  storage: Storage,
  { index, packs, problems }: LoadedIndex,
  volume: RecoveryPointVolume,
): Promise<VolumeChunks> {
  return loadBlockMap(Buffer.from(volume.root, "hex"), chunkCount(volume.sizeBytes), {
    index,
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    onMissingChunk: (position) => {
      throw dataMissing(volume, position, problems);
    },
    onMissingNode: (_position, _length, error) => {
      throw error;
    },
  });
}

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
  };
  await pool.run({
    task,
    signal: options.signal,
    watcher: options.watcher,
    watched: {
      label: "Restoring",
      totalBytes: restores.reduce((sum, { volume }) => sum + volume.sizeBytes, 0),
      totals: () => counters.totals(),
    },
  });
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

function dataMissing(
  volume: RecoveryPointVolume,
  position: number,
  problems: BlockferryError[],
): BlockferryError {
  const known = problems.map(({ message }) => ` ${message}`).join("");
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Volume ${volume.name} lacks its data at byte ${position * CHUNK_BYTES}; nothing was restored.${known}`,
    remedy:
      "Run `blockferry-agent verify` to see which recovery points are whole, and bring the missing packs back from a replica if there is one.",
    object: volume.name,
    offset: position * CHUNK_BYTES,
  });
}
