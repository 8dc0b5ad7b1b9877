import { BlockferryError } from "../../foundation/errors.js";
import { BlockTarget } from "../../native-free-io/block-target.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/data-ranges.js";
import type { ClaimedDevice } from "../../native-free-io/devices.js";
import type { DeviceNote } from "../../native-free-io/release-device.js";
import { CHUNK_BYTES, chunkCount, chunkLength } from "../../repository/format/chunk.js";
import type { RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { Counters, ExtentQueue, type RunWatcher } from "../threads/shared-memory.js";
import { ThreadPool } from "../threads/thread-pool.js";
import {
  type LoadedVolume,
  type LostChunk,
  loadVolume,
  type MissingData,
  type RestoreTask,
} from "./load-volume.js";

export interface RestoreOptions {
  /** The volumes to restore, and their targets. */
  targets: RestoreTarget[];
  /** What to do with a file that already holds data, or a device with a file system or similar signature. */
  existing: "refuse" | "replace";
  missing: MissingData;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
  /**
   * The most chunks whose block maps are in memory at once, unless a single volume has more. Default: 2^27
   */
  maxMappedChunks?: number;
}

interface RestoreTarget {
  volume: RecoveryPointVolume;
  path: string;
  /** The device at the path if it is already open; it is closed after the restore. */
  device?: ClaimedDevice;
}

/** Bytes that are lost in the repository, and zeros in the target. */
export interface LostRange extends ByteRange {
  /** Name of the volume. */
  volume: string;
}

/** A task that is left to the user after a restore to a device. */
interface RestoreNote extends DeviceNote {
  /** Name of the volume. */
  volume: string;
  /** Path of the device. */
  target: string;
}

interface Restored {
  /** The lost ranges, in order; none if missing data are refused. */
  lost: LostRange[];
  /** The watcher has reported them, too. */
  notes: RestoreNote[];
}

interface VolumeRestore {
  volume: RecoveryPointVolume;
  target: BlockTarget;
  /** Bytes known to be lost so far, in any order. */
  lost: ByteRange[];
}

/**
 * Restores volumes of a recovery point to files or devices.
 * Every chunk is proven against its id before it is written. A file appears under its name only when it is
 * complete; a device that was being written when this throws is incomplete.
 * @throws ChunkMissing before anything is written if data are known to be missing; ChunkCorrupt,
 * TargetNotUsable, TargetTooSmall, TargetInUse, TargetNotEmpty, TargetHasSignatures, TargetWriteFailed,
 * Interrupted
 */
export async function restore(repository: Repository, options: RestoreOptions): Promise<Restored> {
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

/**
 * Restores volumes together whose block maps are in memory together.
 * If the maps of all volumes do not fit at once, each map is loaded one extra time before anything is
 * written, to find missing data by then.
 */
async function restoreWith(
  pool: RestorePool,
  repository: Repository,
  options: RestoreOptions,
): Promise<Restored> {
  const { targets, missing, maxMappedChunks = MAX_MAPPED_CHUNKS } = options;
  const stored = await StoredChunks.load(repository.storage, { condemned: "last" });
  const load = (volume: RecoveryPointVolume) =>
    stored.search({
      attempt: () => loadVolume(stored, volume, missing),
      isComplete: ({ lost }) => lost.length === 0,
      onFalseSegment: ({ message, remedy }) => options.watcher.notice(`${message} ${remedy}`),
    });
  const fitsAtOnce = groupByChunks(targets, maxMappedChunks).length <= 1;
  const allMaps = fitsAtOnce ? await loadAll(targets, load) : undefined;
  if (!fitsAtOnce && missing === "refuse") for (const { volume } of targets) await load(volume);
  const restores: VolumeRestore[] = [];
  let writing = false;
  try {
    for (const { volume, path, device } of targets) {
      const target = await BlockTarget.prepare(device ?? path, {
        sizeBytes: volume.sizeBytes,
        existing: options.existing,
      });
      restores.push({ volume, target, lost: [] });
    }
    refuseSharedTargets(restores);
    writing = true;
    const counters = Counters.create(options.threads);
    options.watcher.start({
      label: "Restoring",
      totalBytes: restores.reduce((sum, { volume }) => sum + volume.sizeBytes, 0),
      totals: () => counters.totals(),
    });
    try {
      for (const [number, group] of groupByChunks(restores, maxMappedChunks).entries()) {
        // A thread would keep the maps of the previous group until V8 collects them.
        if (number > 0) await pool.restart();
        const maps = allMaps ?? (await loadAll(group, load));
        await restoreChunks(pool, repository, stored, { restores: group, maps, counters }, options);
      }
    } finally {
      options.watcher.stop();
    }
    const notes: RestoreNote[] = [];
    for (const { target, volume } of restores) {
      for (const note of await target.commit()) {
        notes.push({ volume: volume.name, target: target.path, ...note });
        options.watcher.notice(`${note.message} ${note.remedy}`);
      }
    }
    return { lost: restores.flatMap(lostRanges), notes };
  } catch (error) {
    await Promise.all(restores.map(({ target }) => target.discard()));
    if (writing) warnOfIncompleteDevices(restores, options.watcher);
    throw error;
  }
}

async function loadAll(
  volumes: { volume: RecoveryPointVolume }[],
  load: (volume: RecoveryPointVolume) => Promise<LoadedVolume>,
): Promise<LoadedVolume[]> {
  const maps: LoadedVolume[] = [];
  for (const { volume } of volumes) maps.push(await load(volume));
  return maps;
}

/** A group of volumes, and their block maps in the same order. */
interface VolumeGroup {
  restores: VolumeRestore[];
  maps: LoadedVolume[];
  counters: Counters;
}

/**
 * Copies the chunks of a group of volumes.
 * It records per volume the chunks that its map lacks or that are found lost when read.
 */
async function restoreChunks(
  pool: RestorePool,
  repository: Repository,
  { index, packs }: StoredChunks,
  { restores, maps, counters }: VolumeGroup,
  { missing, signal }: RestoreOptions,
): Promise<void> {
  const task: RestoreTask = {
    storage: repository.location,
    volumes: restores.map(({ volume, target }, number) => ({
      target: target.description,
      sizeBytes: volume.sizeBytes,
      chunks: (maps[number] as LoadedVolume).chunks.memory,
    })),
    index: index.memory,
    packs: packs.memory,
    extents: ExtentQueue.create(maps.map(({ chunks }) => chunks.count)).memory,
    counters: counters.memory,
    missing,
  };
  const lost = await pool.run({ task, signal });
  for (const [number, { lost: known }] of maps.entries()) (restores[number] as VolumeRestore).lost = known;
  for (const { volume: number, position } of lost.flat()) {
    const { volume, lost: ranges } = restores[number] as VolumeRestore;
    ranges.push({ offset: position * CHUNK_BYTES, length: chunkLength(volume.sizeBytes, position) });
  }
}

function lostRanges({ volume, lost }: VolumeRestore): LostRange[] {
  return mergeRanges(lost).map((range) => ({ volume: volume.name, ...range }));
}

/**
 * Refuses two volumes in one file: they would overwrite each other. Different spellings of a path do not
 * matter. A device is already claimed by the first.
 */
function refuseSharedTargets(restores: VolumeRestore[]): void {
  const paths = restores.map(({ target }) => target.path);
  const twice = paths.find((path, number) => paths.indexOf(path) !== number);
  if (twice === undefined) return;
  throw new BlockferryError({
    code: "Usage",
    message: `Two volumes are to be restored to ${twice}.`,
    remedy: "Give each volume its own target.",
    object: twice,
  });
}

/** Warns about devices: an unfinished file is removed, but the old content of a device cannot be restored. */
function warnOfIncompleteDevices(restores: VolumeRestore[], watcher: RunWatcher): void {
  for (const { target } of restores) {
    if (target.description.kind !== "block-device") continue;
    watcher.notice(
      `${target.path} was not restored completely. Do not use it before a restore has succeeded.`,
    );
  }
}

/** 64 TiB of volumes, whose block maps take 512 MiB. */
const MAX_MAPPED_CHUNKS = 2 ** 27;

/** A volume, or a part of its restore. */
interface OfVolume {
  volume: Pick<RecoveryPointVolume, "sizeBytes">;
}

/**
 * Splits volumes into groups whose block maps are in memory together.
 * @param maxChunks the most chunks of a group; a volume that has more is a group of its own
 * @returns the volumes in their order
 */
export function groupByChunks<Of extends OfVolume>(volumes: Of[], maxChunks: number): Of[][] {
  const groups: Of[][] = [];
  let room = 0;
  for (const one of volumes) {
    const chunks = chunkCount(one.volume.sizeBytes);
    if (groups.length === 0 || chunks > room) {
      groups.push([]);
      room = maxChunks;
    }
    groups.at(-1)?.push(one);
    room -= chunks;
  }
  return groups;
}
