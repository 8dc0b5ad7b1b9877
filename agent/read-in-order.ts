import { throwIfInterrupted } from "../foundation/interrupted.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { readChunk } from "../repository/read-chunk.js";
import type { Storage } from "../repository/storage/storage.js";

/** Chunks read at once. */
const CHUNK_READS = 16;

interface ReadOptions {
  from: Storage;
  loaded: LoadedIndex;
  signal: AbortSignal;
}

/**
 * Reads chunks by their index entries, each proven: pack by pack, and in each by offset, as they were stored.
 * @throws ChunkCorrupt, ObjectNotFound; Interrupted
 */
export async function* readInOrder(
  entries: Iterable<number>,
  { from, loaded, signal }: ReadOptions,
): AsyncIterable<{ entry: number; payload: Buffer }> {
  const { index, packs } = loaded;
  const ordered = inOrderOfPacks(entries, loaded);
  for (let start = 0; start < ordered.length; start += CHUNK_READS) {
    throwIfInterrupted(signal);
    const batch = ordered.slice(start, start + CHUNK_READS);
    const payloads = await Promise.all(batch.map((entry) => readChunk(from, index, packs, entry)));
    for (const [number, entry] of batch.entries()) yield { entry, payload: payloads[number] as Buffer };
  }
}

function inOrderOfPacks(entries: Iterable<number>, { index }: LoadedIndex): number[] {
  const places = Array.from(entries, (entry) => ({
    entry,
    pack: index.packNumber(entry),
    offset: index.record(entry).offset,
  }));
  return places.sort((a, b) => a.pack - b.pack || a.offset - b.offset).map(({ entry }) => entry);
}
