import { throwIfInterrupted } from "../foundation/interrupted.js";
import { decodeChunk } from "../repository/chunk-codec.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readChunk } from "../repository/read-chunk.js";
import { saysLost } from "../repository/storage/again-if-damaged.js";
import type { Storage } from "../repository/storage/storage.js";
import { type PackRun, runsOf } from "./pack-runs.js";

/** Runs of neighbouring chunks that are requested at once, 4 MiB each at most. */
const RUNS_AHEAD = 4;

interface ReadOptions {
  from: Storage;
  loaded: Pick<LoadedIndex, "index" | "packs">;
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
  options: ReadOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const runs = runsOf(entries, options.loaded.index);
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
async function readRun(run: PackRun, { from, loaded, signal }: ReadOptions) {
  throwIfInterrupted(signal);
  const range = { offset: run.offset, length: run.length };
  try {
    return { run, bytes: await from.get(packKey(loaded.packs.id(run.packNumber)), { range }) };
  } catch (error) {
    if (!saysLost(error)) throw error;
    return { run, bytes: Buffer.alloc(0) };
  }
}

async function* chunksOf(
  { run, bytes }: { run: PackRun; bytes: Buffer },
  { from, loaded, onBadPlace, onLost, signal }: ReadOptions,
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
      // It may only have been damaged in transfer, and other packs may hold it.
      try {
        payload = await readChunk(from, index, packs, index.find(record.id), onBadPlace);
      } catch (error) {
        if (onLost === undefined || !saysLost(error)) throw error;
        onLost(entry, error);
        continue;
      }
    }
    yield { entry, payload };
  }
}
