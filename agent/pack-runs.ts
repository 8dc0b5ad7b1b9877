import type { ChunkIndex } from "../repository/chunk-index.js";
import type { ChunkRecord } from "../repository/chunk-record.js";

/** The most bytes that one read of a pack takes. */
export const RUN_BYTES = 4 * 1024 * 1024;
/** Chunks that are this near are read together: skipping a gap costs more than reading it. */
const MAX_GAP_BYTES = 256 * 1024;

/** A chunk of a pack, and where it is wanted. */
export interface WantedChunk {
  entry: number;
  record: ChunkRecord;
  packNumber: number;
  /** Chunk numbers in the volume. */
  positions: number[];
}

/** Chunks that stand close together in one pack and are read at once. */
export interface PackRun {
  packNumber: number;
  offset: number;
  length: number;
  chunks: WantedChunk[];
}

/** What must be read for some positions of a volume: every chunk once, in the order of the packs. */
export function planRuns(index: ChunkIndex, wanted: Map<number, number[]>): PackRun[] {
  const chunks = [...wanted].map(([entry, positions]) => ({
    ...{ entry, positions },
    record: index.record(entry),
    packNumber: index.packNumber(entry),
  }));
  chunks.sort((a, b) => a.packNumber - b.packNumber || a.record.offset - b.record.offset);
  return coalesce(chunks);
}

/** Joins chunks, sorted by pack and offset, into runs. */
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
      run.length = offset + storedBytes - run.offset;
      run.chunks.push(chunk);
    } else {
      runs.push({ packNumber: chunk.packNumber, offset, length: storedBytes, chunks: [chunk] });
    }
  }
  return runs;
}
