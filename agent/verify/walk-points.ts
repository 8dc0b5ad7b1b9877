import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/data-ranges.js";
import { type ChunkReader, loadBlockMap } from "../../repository/format/block-map.js";
import { CHUNK_BYTES, chunkCount, chunkLength } from "../../repository/format/chunk.js";
import { packKey } from "../../repository/format/pack.js";
import {
  pointKey,
  type RecoveryPoint,
  type RecoveryPointVolume,
} from "../../repository/format/recovery-point.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { ChunkSearch, StoredChunks } from "../../repository/index/stored-chunks.js";
import { wasNotAnswered } from "../../repository/storage/storage-errors.js";

/** The cause of a loss: the object that lost or damaged the bytes. */
export interface LossCause {
  /** Key of a pack, or of the point itself if the pack that held the bytes is unknown. */
  object: string;
  /** Offset of a damaged chunk in the pack; absent if more than one chunk is lost. */
  objectOffset?: number | undefined;
}

/** Lost bytes of a volume in a recovery point. */
export interface DamagedRange extends ByteRange, LossCause {
  point: string;
  volume: string;
}

/** The findings of a walk over recovery points so far. */
export interface Findings {
  /** Index entries of the chunks and block-map nodes that the points need. */
  needed: NumberSet;
  damaged: DamagedRange[];
  /** Problems that the index does not already report. */
  problems: BlockferryError[];
}

/** Returns the cause for an indexed chunk that is known to be lost; undefined for all others. */
type CauseOf = (entry: number) => LossCause | undefined;

const NONE_LOST: CauseOf = () => undefined;

/** Walks points, and searches the packs for chunks that the index lacks. */
export function walkPointsInPacks(
  points: RecoveryPoint[],
  stored: StoredChunks,
  onFalseSegment: ChunkSearch<Findings>["onFalseSegment"],
): Promise<Findings> {
  return stored.search({
    attempt: () => walkPoints(points, stored),
    isComplete: ({ damaged }) => damaged.length === 0,
    onFalseSegment,
  });
}

/**
 * Walks the block maps of recovery points.
 * @returns the chunks that the points need, the lost ranges and the problems
 */
export async function walkPoints(
  points: RecoveryPoint[],
  stored: StoredChunks,
  causeOf: CauseOf = NONE_LOST,
): Promise<Findings> {
  const findings: Findings = { needed: NumberSet.below(stored.index.size), damaged: [], problems: [] };
  for (const point of points) {
    for (const volume of point.volumes) await walkVolume(point, volume, { stored, causeOf }, findings);
    const unexplained = findings.damaged.filter(({ object }) => object === pointKey(point.id));
    if (unexplained.length > 0) findings.problems.push(dataMissing(point, unexplained));
  }
  return findings;
}

async function walkVolume(
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
  { stored, causeOf }: { stored: StoredChunks; causeOf: CauseOf },
  findings: Findings,
): Promise<void> {
  const { index } = stored;
  const count = chunkCount(volume.sizeBytes);
  const losses = new Losses(volume.sizeBytes);
  const unexplained = { object: pointKey(point.id) };
  const lostWith = (id: Buffer) => {
    const pack = stored.lost.packOf(id);
    return pack === undefined ? unexplained : { object: packKey(pack) };
  };
  const hasLength = lengthTest(index);
  const nodes: ChunkReader = {
    index,
    read: (entry) => {
      findings.needed.add(entry);
      return stored.read(entry, (error) => findings.problems.push(asBlockferryError(error)));
    },
  };
  const chunks = await loadBlockMap(Buffer.from(volume.root, "hex"), count, nodes, {
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
    const expected = chunkLength(volume.sizeBytes, position);
    const cause = causeOf(entry);
    if (cause !== undefined) losses.add(position, 1, cause);
    else if (!hasLength(entry, expected)) losses.add(position, 1, unexplained);
  });
  for (const range of losses.ranges()) {
    findings.damaged.push({ point: point.id, volume: volume.name, ...range });
  }
}

/**
 * Returns a test whether any place of a chunk has a length. Answers beyond the first place are cached, as a
 * chunk can have many places and positions.
 */
function lengthTest(index: ChunkIndex): (entry: number, rawBytes: number) => boolean {
  const answers = new Map<string, boolean>();
  return (entry, rawBytes) => {
    if (index.record(entry).rawBytes === rawBytes) return true;
    const key = `${entry} ${rawBytes}`;
    const answer = answers.get(key) ?? index.hasLength(entry, rawBytes);
    answers.set(key, answer);
    return answer;
  };
}

/** Returns the same key for equal causes. */
export function causeKey({ object, objectOffset }: LossCause): string {
  return `${object} ${objectOffset ?? ""}`;
}

/** The lost ranges of a volume, by cause. */
class Losses {
  private readonly byCause = new Map<string, { cause: LossCause; ranges: ByteRange[] }>();

  constructor(private readonly sizeBytes: number) {}

  /**
   * @param position number of the first chunk
   * @param count number of chunks
   */
  add(position: number, count: number, cause: LossCause): void {
    const offset = position * CHUNK_BYTES;
    const range = { offset, length: Math.min(this.sizeBytes - offset, count * CHUNK_BYTES) };
    const known = this.byCause.get(causeKey(cause));
    if (known === undefined) this.byCause.set(causeKey(cause), { cause, ranges: [range] });
    else known.ranges.push(range);
  }

  /** Returns the ranges in the order of the volume. */
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
      "Restore the missing packs from a replica, or back up its volumes while they still have these data. `restore --allow-missing` restores the rest.",
    object: pointKey(id),
  });
}
