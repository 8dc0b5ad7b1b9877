import { chunkCount } from "../../repository/chunk-id.js";
import type { RecoveryPointVolume } from "../../repository/recovery-point.js";

/** 64 TiB of volumes, whose block maps take 512 MiB. */
export const MAX_MAPPED_CHUNKS = 2 ** 27;

/** A volume, or a part of its restore. */
export interface OfVolume {
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
