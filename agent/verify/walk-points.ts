import { asBlockferryError, type BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/byte-range.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { readChunk } from "../../repository/read-chunk.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { wasNotAnswered } from "../../repository/storage/storage-errors.js";

/** Bytes of a volume, in a recovery point, that are lost. */
export interface DamagedRange {
  point: string;
  volume: string;
  offset: number;
  length: number;
}

/** What a walk over recovery points has found so far. */
export interface Findings {
  /** Index entries of the chunks and block-map nodes that the points need. */
  needed: NumberSet;
  damaged: DamagedRange[];
  problems: BlockferryError[];
}

export interface WalkOptions {
  storage: Storage;
  loaded: LoadedIndex;
  /** Tells chunks that are in the index and yet known to be lost. */
  isLost(entry: number): boolean;
}

/** Walks the block maps of recovery points, and finds the chunks that they need and the ranges that they have lost. */
export async function walkPoints(points: RecoveryPoint[], options: WalkOptions): Promise<Findings> {
  const findings: Findings = {
    needed: NumberSet.below(options.loaded.index.size),
    damaged: [],
    problems: [],
  };
  for (const point of points) {
    for (const volume of point.volumes) await walkVolume(point, volume, options, findings);
  }
  return findings;
}

async function walkVolume(
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
  { storage, loaded, isLost }: WalkOptions,
  findings: Findings,
): Promise<void> {
  const { index, packs } = loaded;
  const count = chunkCount(volume.sizeBytes);
  const lost: ByteRange[] = [];
  const lose = (position: number, chunks: number) => {
    const offset = position * CHUNK_BYTES;
    lost.push({ offset, length: Math.min(volume.sizeBytes - offset, chunks * CHUNK_BYTES) });
  };
  const chunks = await loadBlockMap(Buffer.from(volume.root, "hex"), count, {
    index,
    readChunk: (entry) => {
      findings.needed.add(entry);
      return readChunk(storage, index, packs, entry);
    },
    onMissingChunk: (position) => lose(position, 1),
    onMissingNode: (position, length, error) => {
      if (wasNotAnswered(error)) throw error;
      findings.problems.push(asBlockferryError(error));
      lose(position, length);
    },
  });
  for (let position = 0; position < count; position++) {
    const entry = chunks.get(position);
    if (entry < 0) continue;
    findings.needed.add(entry);
    const expected = Math.min(CHUNK_BYTES, volume.sizeBytes - position * CHUNK_BYTES);
    if (isLost(entry) || index.record(entry).rawBytes !== expected) lose(position, 1);
  }
  const damaged = mergeRanges(lost).map((range) => ({ point: point.id, volume: volume.name, ...range }));
  findings.damaged.push(...damaged);
}
