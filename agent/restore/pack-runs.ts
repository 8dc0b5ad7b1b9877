import { throwIfInterrupted } from "../../foundation/errors.js";
import { CHUNK_BYTES, type ChunkRecord, rowOrder } from "../../repository/format/chunk.js";
import { decodeChunk } from "../../repository/format/chunk-codec.js";
import { packKey } from "../../repository/format/pack.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import { provesLoss } from "../../repository/storage/read-object.js";

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

/** Runs of neighbouring chunks that are requested at once, 4 MiB each at most. */
const RUNS_AHEAD = 4;

interface ReadInOrderOptions {
  from: StoredChunks;
  /** Called with the error of a bad place, if another place has the chunk. */
  onBadPlace?: (error: unknown) => void;
  /**
   * Called with a chunk that no place has, and the error of the first place. Without it that error is thrown.
   */
  onLost?: (entry: number, error: unknown) => void;
  signal: AbortSignal;
}

/**
 * Reads and proves chunks by their index entries, ordered by pack and offset.
 * Neighbours are read in one request. A chunk that is damaged or missing at one place is read from another.
 * @returns payloads, each valid until the next one is requested
 * @throws ChunkCorrupt, ObjectNotFound; Interrupted
 */
export async function* readInOrder(
  entries: Iterable<number>,
  options: ReadInOrderOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const runs = runsOf(entries, options.from.index);
  const coming: Promise<{ run: PackRun; bytes: Buffer }>[] = [];
  try {
    for (;;) {
      for (let next = runs.next(); !next.done; next = runs.next()) {
        const read = readRun(next.value, options);
        // The later `await` gets the failure; until then it must not count as unhandled.
        read.catch(() => undefined);
        coming.push(read);
        if (coming.length === RUNS_AHEAD) break;
      }
      const read = coming.shift();
      if (read === undefined) return;
      yield* chunksOf(await read, options);
    }
  } finally {
    await Promise.allSettled(coming);
  }
}

/** @returns no bytes if the run is lost: other packs may hold the chunks */
async function readRun(run: PackRun, { from, signal }: ReadInOrderOptions) {
  throwIfInterrupted(signal);
  const range = { offset: run.offset, length: run.length };
  try {
    return { run, bytes: await from.storage.get(packKey(from.packs.id(run.packNumber)), { range }) };
  } catch (error) {
    if (!provesLoss(error)) throw error;
    return { run, bytes: Buffer.alloc(0) };
  }
}

async function* chunksOf(
  { run, bytes }: { run: PackRun; bytes: Buffer },
  { from, onBadPlace, onLost, signal }: ReadInOrderOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const packId = from.packs.id(run.packNumber);
  const into = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const { entry, record } of run.chunks) {
    throwIfInterrupted(signal);
    const start = record.offset - run.offset;
    const stored = bytes.subarray(start, start + record.storedBytes);
    let payload: Buffer;
    try {
      payload = decodeChunk(record, packId, stored, into, from.storage.cipher);
    } catch {
      // It may only have been damaged in transfer, and other packs may hold it.
      try {
        payload = await from.read(from.index.find(record.id), onBadPlace);
      } catch (error) {
        if (onLost === undefined || !provesLoss(error)) throw error;
        onLost(entry, error);
        continue;
      }
    }
    yield { entry, payload };
  }
}
