import type { ChunkIndex } from "../repository/chunk-index.js";
import type { ChunkRecord } from "../repository/chunk-record.js";
import { rowOrder } from "../repository/row-order.js";

/** The most bytes of one read of a pack. */
export const RUN_BYTES = 4 * 1024 * 1024;
/** Chunks at most this far apart are read together: skipping a smaller gap costs more than reading it. */
const MAX_GAP_BYTES = 256 * 1024;

/** A chunk of a pack, and the positions where it is wanted. */
export interface WantedChunk {
  entry: number;
  record: ChunkRecord;
  packNumber: number;
  /** Chunk numbers in the volume. */
  positions: number[];
}

/** Chunks that are close together in one pack and read at once. */
export interface PackRun {
  packNumber: number;
  offset: number;
  length: number;
  chunks: WantedChunk[];
}

/** Plans the reads for some positions of a volume: every chunk once, in the order of the packs. */
export function planRuns(index: ChunkIndex, wanted: Map<number, number[]>): PackRun[] {
  const chunks = [...wanted].map(([entry, positions]) => ({
    ...{ entry, positions },
    record: index.record(entry),
    packNumber: index.packNumber(entry),
  }));
  chunks.sort((a, b) => a.packNumber - b.packNumber || a.record.offset - b.record.offset);
  return coalesce(chunks);
}

/**
 * Returns the runs of many chunks, without positions.
 * It works pack by pack, so that only the chunks of one pack are described at a time.
 * @param entries entries of the index, in any order
 */
export function* runsOf(entries: Iterable<number>, index: ChunkIndex): Generator<PackRun, void> {
  const wanted = Uint32Array.from(entries);
  const entryAt = (row: number) => wanted[row] as number;
  const placeOf = (row: number) =>
    index.packNumber(entryAt(row)) * 2 ** 32 + index.record(entryAt(row)).offset;
  const order = rowOrder(wanted.length, placeOf, () => 0);
  let pack = new Map<number, number[]>();
  let packNumber = -1;
  for (const row of order) {
    const entry = entryAt(row);
    if (index.packNumber(entry) !== packNumber) {
      yield* planRuns(index, pack);
      pack = new Map();
      packNumber = index.packNumber(entry);
    }
    pack.set(entry, []);
  }
  yield* planRuns(index, pack);
}

/** Joins chunks, sorted by pack and offset, into runs. Forged records may overlap: none cuts off another. */
export function coalesce(chunks: WantedChunk[]): PackRun[] {
  const runs: PackRun[] = [];
  for (const chunk of chunks) {
    const { offset, storedBytes } = chunk.record;
    const run = runs.at(-1);
    const runEnd = run === undefined ? 0 : run.offset + run.length;
    const joins =
      run !== undefined &&
      run.packNumber === chunk.packNumber &&
      offset - runEnd <= MAX_GAP_BYTES &&
      offset + storedBytes - run.offset <= RUN_BYTES;
    if (joins) {
      run.length = Math.max(run.length, offset + storedBytes - run.offset);
      run.chunks.push(chunk);
    } else {
      runs.push({ packNumber: chunk.packNumber, offset, length: storedBytes, chunks: [chunk] });
    }
  }
  return runs;
}
