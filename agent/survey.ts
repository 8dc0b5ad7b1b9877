import { throwIfInterrupted } from "../foundation/interrupted.js";
import { chunkCount } from "../repository/chunk-id.js";
import { ChunkOwners } from "../repository/chunk-owners.js";
import { CHUNK_RECORD_BYTES } from "../repository/chunk-record.js";
import { type LoadedIndex, loadIndex } from "../repository/load-index.js";
import { PACK_HEADER_BYTES, PACK_TRAILER_BYTES, type PackLayout } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import { listPoints, type RecoveryPoint } from "../repository/recovery-point.js";
import type { Storage } from "../repository/storage/storage.js";

/** A pack, and how much of it recovery points need. */
export interface PackUsage {
  id: string;
  /** Of the object. */
  sizeBytes: number;
  /** Stored bytes of the chunks that are needed, and are read from here. */
  liveBytes: number;
  /** Taken by what nobody needs, or needs and finds in another pack. */
  deadBytes: number;
  isCondemned: boolean;
}

/** What a repository holds, and what of it is needed. */
export interface Survey {
  loaded: LoadedIndex;
  points: RecoveryPoint[];
  /** Every pack that exists. */
  packs: PackUsage[];
  /** Who needs which chunk; an owner is the number of a point in `points`. */
  owners: ChunkOwners;
}

/**
 * Marks what all recovery points need. A pack that is missing and not needed is no damage; else a repository that is damaged is not surveyed: what is not known to be needed could
 * be all that is left of something.
 * @throws ObjectCorrupt, PackCorrupt, ChunkMissing, ChunkCorrupt; Interrupted
 */
export async function survey(storage: Storage, signal: AbortSignal): Promise<Survey> {
  const { points, damaged } = await listPoints(storage);
  const loaded = await loadIndex(storage, { condemned: "last" });
  const [problem] = [...damaged, ...loaded.problems.filter(({ code }) => code !== "PackMissing")];
  if (problem !== undefined) throw problem;
  const { index, packs } = loaded;
  const owners = new ChunkOwners({
    index,
    readChunk: (entry) => {
      throwIfInterrupted(signal);
      return readChunk(storage, index, packs, entry);
    },
  });
  for (const [owner, { volumes }] of points.entries()) {
    for (const { root, sizeBytes } of volumes) {
      await owners.add(Buffer.from(root, "hex"), chunkCount(sizeBytes), owner);
    }
  }
  return { loaded, points, packs: usageOf(loaded, owners, storage.cipher.layout), owners };
}

function usageOf(loaded: LoadedIndex, owners: ChunkOwners, { tagBytes }: PackLayout): PackUsage[] {
  const { index, packs, packBytes, condemnedPacks } = loaded;
  const frameBytes = PACK_HEADER_BYTES + PACK_TRAILER_BYTES + tagBytes;
  const liveBytes = new Float64Array(packs.count);
  const entryCounts = new Uint32Array(packs.count);
  for (let entry = 0; entry < index.size; entry++) {
    const pack = index.packNumber(entry);
    entryCounts[pack] = (entryCounts[pack] as number) + 1;
    if (!owners.isNeeded(entry)) continue;
    liveBytes[pack] = (liveBytes[pack] as number) + index.record(entry).storedBytes;
  }
  const numbers = new Map(Array.from(liveBytes, (_, number) => [packs.id(number), number]));
  return [...packBytes].map(([id, sizeBytes]) => {
    const number = numbers.get(id) ?? -1;
    const live = liveBytes[number] ?? 0;
    const overhead = frameBytes + (entryCounts[number] ?? 0) * CHUNK_RECORD_BYTES;
    return {
      ...{ id, sizeBytes, liveBytes: live, isCondemned: condemnedPacks.has(id) },
      deadBytes: live === 0 ? sizeBytes : sizeBytes - overhead - live,
    };
  });
}
