import { loadBlockMap } from "../../repository/block-map.js";
import { chunkCount } from "../../repository/chunk-id.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { machineName } from "../../repository/machine.js";
import { readChunk } from "../../repository/read-chunk.js";
import {
  pointsNewestFirst,
  type RecoveryPoint,
  type RecoveryPointVolume,
} from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";

/** A volume in its previous backup. */
export interface Parent {
  /** Id of the recovery point. */
  point: string;
  /** The chunks of the volume; a chunk that is no longer indexed counts as zeros. */
  chunks: VolumeChunks;
}

/**
 * Loads the previous backup of each volume of a point.
 * That is the newest earlier point of the same instance, or of the same host, that has a volume of this name.
 * @param loaded the index before the backup, without the chunks of this run
 * @throws StorageUnavailable, StorageDenied, Interrupted
 */
export async function loadParents(
  storage: Storage,
  loaded: LoadedIndex,
  point: RecoveryPoint,
): Promise<(Parent | undefined)[]> {
  const found = new Map<string, { point: string; volume: RecoveryPointVolume }>();
  for await (const earlier of pointsNewestFirst(storage)) {
    if (found.size === point.volumes.length) break;
    const isBefore = earlier.id !== point.id && earlier.createdAt <= point.createdAt;
    if (!isBefore || machineName(earlier) !== machineName(point)) continue;
    for (const volume of earlier.volumes) {
      const isWanted = point.volumes.some(({ name }) => name === volume.name) && !found.has(volume.name);
      if (isWanted) found.set(volume.name, { point: earlier.id, volume });
    }
  }
  const parents: (Parent | undefined)[] = [];
  for (const { name } of point.volumes) {
    const parent = found.get(name);
    parents.push(parent && { point: parent.point, chunks: await loadChunks(storage, loaded, parent.volume) });
  }
  return parents;
}

/** Loads the chunks of a volume. Lost chunks are left out, as they cannot equal anything. */
function loadChunks(
  storage: Storage,
  { index, packs }: LoadedIndex,
  { root, sizeBytes }: RecoveryPointVolume,
): Promise<VolumeChunks> {
  return loadBlockMap(Buffer.from(root, "hex"), chunkCount(sizeBytes), {
    index,
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    onMissingChunk: () => undefined,
    onMissingNode: (_position, _length, error) => {
      if (saysNothing(error)) throw error;
    },
  });
}
