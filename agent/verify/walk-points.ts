import { asBlockferryError, BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/byte-range.js";
import { loadBlockMap } from "../../repository/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/chunk-id.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import { readChunk } from "../../repository/read-chunk.js";
import { pointKey, type RecoveryPoint, type RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { wasNotAnswered } from "../../repository/storage/storage-errors.js";

/** What bytes are lost with. */
export interface LossCause {
  /** Key of a pack, or of the point itself where nothing tells which pack held them. */
  object: string;
  /** Where a damaged chunk stands in the pack; absent where more is lost than one chunk. */
  objectOffset?: number | undefined;
}

/** Bytes of a volume, in a recovery point, that are lost. */
export interface DamagedRange extends ByteRange, LossCause {
  point: string;
  volume: string;
}

/** What a walk over recovery points has found so far. */
export interface Findings {
  /** Index entries of the chunks and block-map nodes that the points need. */
  needed: NumberSet;
  damaged: DamagedRange[];
  /** What is wrong, as far as no problem of the index says it. */
  problems: BlockferryError[];
}

export interface WalkOptions {
  storage: Storage;
  loaded: LoadedIndex;
  /** Tells chunks that are in the index and yet known to be lost, and with what; undefined for all others. */
  causeOf(entry: number): LossCause | undefined;
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
    const unexplained = findings.damaged.filter(({ object }) => object === pointKey(point.id));
    if (unexplained.length > 0) findings.problems.push(dataMissing(point, unexplained));
  }
  return findings;
}

async function walkVolume(
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
  { storage, loaded, causeOf }: WalkOptions,
  findings: Findings,
): Promise<void> {
  const { index, packs } = loaded;
  const count = chunkCount(volume.sizeBytes);
  const losses = new Losses(volume.sizeBytes);
  const unexplained = { object: pointKey(point.id) };
  const lostWith = (id: Buffer) => {
    const pack = loaded.lost.packOf(id);
    return pack === undefined ? unexplained : { object: packKey(pack) };
  };
  const chunks = await loadBlockMap(Buffer.from(volume.root, "hex"), count, {
    index,
    readChunk: (entry) => {
      findings.needed.add(entry);
      return readChunk(storage, index, packs, entry);
    },
    onMissingChunk: (position, id) => losses.add(position, 1, lostWith(id)),
    onMissingNode: (position, length, thrown) => {
      if (wasNotAnswered(thrown)) throw thrown;
      const error = asBlockferryError(thrown);
      if (error.code === "ChunkMissing") {
        losses.add(position, length, lostWith(Buffer.from(error.object ?? "", "hex")));
      } else {
        findings.problems.push(error);
        const { object, offset: objectOffset } = error;
        losses.add(position, length, object === undefined ? unexplained : { object, objectOffset });
      }
    },
  });
  chunks.forEachChunk((position, entry) => {
    findings.needed.add(entry);
    const expected = Math.min(CHUNK_BYTES, volume.sizeBytes - position * CHUNK_BYTES);
    const cause = causeOf(entry);
    if (cause !== undefined) losses.add(position, 1, cause);
    else if (index.record(entry).rawBytes !== expected) losses.add(position, 1, unexplained);
  });
  for (const range of losses.ranges()) {
    findings.damaged.push({ point: point.id, volume: volume.name, ...range });
  }
}

/** Names a cause; the same for whatever is lost with the same. */
export function causeKey({ object, objectOffset }: LossCause): string {
  return `${object} ${objectOffset ?? ""}`;
}

/** What a volume has lost with what. */
class Losses {
  private readonly byCause = new Map<string, { cause: LossCause; ranges: ByteRange[] }>();

  constructor(private readonly sizeBytes: number) {}

  /** @param position first chunk; @param count chunks */
  add(position: number, count: number, cause: LossCause): void {
    const offset = position * CHUNK_BYTES;
    const range = { offset, length: Math.min(this.sizeBytes - offset, count * CHUNK_BYTES) };
    const known = this.byCause.get(causeKey(cause));
    if (known === undefined) this.byCause.set(causeKey(cause), { cause, ranges: [range] });
    else known.ranges.push(range);
  }

  /** In the order of the volume. */
  ranges(): (ByteRange & LossCause)[] {
    return [...this.byCause.values()]
      .flatMap(({ cause, ranges }) => mergeRanges(ranges).map((range) => ({ ...range, ...cause })))
      .sort((a, b) => a.offset - b.offset);
  }
}

function dataMissing({ id }: RecoveryPoint, ranges: ByteRange[]): BlockferryError {
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Recovery point ${id} needs data that are in no pack of the repository: ${bytes} bytes of its volumes.`,
    remedy:
      "Bring the missing packs back from a replica, or back its volumes up while they still have these data. `restore --allow-missing` restores the rest.",
    object: pointKey(id),
  });
}
