import { throwIfInterrupted } from "../foundation/interrupted.js";
import { decodeChunk } from "../repository/chunk-codec.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import { rowOrder } from "../repository/row-order.js";
import type { Storage } from "../repository/storage/storage.js";
import { type PackRun, planRuns } from "./pack-runs.js";

/** Runs of neighbouring chunks that are on their way together, 4 MiB each at most. */
const RUNS_AHEAD = 4;

interface ReadOptions {
  from: Storage;
  loaded: Pick<LoadedIndex, "index" | "packs">;
  signal: AbortSignal;
}

/**
 * Reads chunks by their index entries, each proven: pack by pack, and in each by offset, as they were stored. Neighbours are read
 * in one request.
 * @returns payloads that hold until the next one is asked for
 * @throws ChunkCorrupt, ObjectNotFound; Interrupted
 */
export async function* readInOrder(
  entries: Iterable<number>,
  options: ReadOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const runs = runsOf(entries, options.loaded);
  const coming: Promise<{ run: PackRun; bytes: Buffer }>[] = [];
  try {
    for (;;) {
      for (let next = runs.next(); !next.done; next = runs.next()) {
        const read = readRun(next.value, options);
        // Whoever waits for it gets its failure; until then nobody does.
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

async function readRun(run: PackRun, { from, loaded, signal }: ReadOptions) {
  throwIfInterrupted(signal);
  const range = { offset: run.offset, length: run.length };
  return { run, bytes: await from.get(packKey(loaded.packs.id(run.packNumber)), { range }) };
}

async function* chunksOf(
  { run, bytes }: { run: PackRun; bytes: Buffer },
  { from, loaded, signal }: ReadOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const { index, packs } = loaded;
  const packId = packs.id(run.packNumber);
  const into = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const { entry, record } of run.chunks) {
    throwIfInterrupted(signal);
    const start = record.offset - run.offset;
    const stored = bytes.subarray(start, start + record.storedBytes);
    let payload: Buffer;
    try {
      payload = decodeChunk(record, packId, stored, into, from.cipher);
    } catch {
      // It may have been damaged on its way alone.
      payload = await readChunk(from, index, packs, entry);
    }
    yield { entry, payload };
  }
}

/** One pack after the other, so that only the chunks of one are described at a time. */
function* runsOf(entries: Iterable<number>, { index }: Pick<LoadedIndex, "index">): Generator<PackRun, void> {
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
