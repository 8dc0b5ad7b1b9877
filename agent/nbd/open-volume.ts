import { BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import { withHiddenChunks } from "../../repository/hidden-chunks.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import { readChunk } from "../../repository/read-chunk.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";

/** A volume of a recovery point whose chunks can be read one by one. */
export interface OpenVolume {
  name: string;
  point: string;
  sizeBytes: number;
  /** The entry of each chunk; -1 for zeros or missing data. */
  chunks: VolumeChunks;
  /** Positions, by chunk number, whose data are in no pack. */
  missing: NumberSet;
  /** Damage and losses that the index found. They may concern only other volumes. */
  problems: BlockferryError[];
  /** Index segments that hid chunks of the volume. */
  falseSegments: BlockferryError[];
  /**
   * Reads and proves the chunk of an entry.
   * @throws ChunkCorrupt, ObjectNotFound
   */
  readChunk(entry: number): Promise<Buffer>;
  idOf(entry: number): Buffer;
  /** Returns where a chunk is stored, for messages: its pack and the byte in it. */
  placeOf(entry: number): string;
}

/** Loads the index and the block map of a volume. Missing data are not an error yet. */
export async function openVolume(
  storage: Storage,
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
): Promise<OpenVolume> {
  const loaded = await loadIndex(storage, { condemned: "last" });
  const falseSegments: BlockferryError[] = [];
  const open = await withHiddenChunks(storage, loaded, {
    attempt: () => openWith(storage, loaded, point, volume),
    isComplete: ({ missing }) => missing[Symbol.iterator]().next().done === true,
    onFalseSegment: (problem) => falseSegments.push(problem),
  });
  return { ...open, falseSegments };
}

async function openWith(
  storage: Storage,
  { index, packs, problems: found }: LoadedIndex,
  point: RecoveryPoint,
  { name, sizeBytes, root }: RecoveryPointVolume,
): Promise<Omit<OpenVolume, "falseSegments">> {
  const problems = [...found];
  const count = chunkCount(sizeBytes);
  const missing = NumberSet.below(count);
  const chunks = await loadBlockMap(Buffer.from(root, "hex"), count, {
    index,
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    onMissingChunk: (position) => missing.add(position),
    onMissingNode: (start, length, error) => {
      if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
      problems.push(error);
      for (let position = start; position < start + length; position++) missing.add(position);
    },
  });
  return {
    ...{ name, point: point.id, sizeBytes, chunks, missing, problems },
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    idOf: (entry) => index.id(entry),
    placeOf: (entry) => `${packKey(packs.id(index.packNumber(entry)))} at byte ${index.record(entry).offset}`,
  };
}

/** @param position chunk number in the volume */
export function dataMissing({ name, point, problems }: OpenVolume, position: number): BlockferryError {
  const [cause] = problems;
  const offset = position * CHUNK_BYTES;
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Volume ${name} of recovery point ${point} lacks its data at byte ${offset}. ${cause?.message ?? "No pack holds the chunk that belongs there."}`,
    remedy:
      "Run `blockferry-agent verify` to see all that is missing; bring the pack back from a replica if there is one.",
    object: cause?.object ?? name,
    offset,
  });
}
