import { throwIfInterrupted } from "../foundation/interrupted.js";
import { allocateAligned } from "../native-free-io/aligned-memory.js";
import type { Compression } from "../repository/chunk-codec.js";
import type { IndexedPack } from "../repository/index-segment.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../repository/pack-writer.js";
import { readChunk } from "../repository/read-chunk.js";
import type { Storage } from "../repository/storage/storage.js";
import { IndexCheckpoints } from "./backup/index-checkpoints.js";

/** Chunks read at once. */
const CHUNK_READS = 16;

export interface CopyOptions {
  from: Storage;
  loaded: Pick<LoadedIndex, "index" | "packs">;
  to: Storage;
  /** Packs there that no segment lists, and that points are going to need: they are indexed together with the new ones. */
  unindexed: IndexedPack[];
  compression: Compression;
  signal: AbortSignal;
}

/**
 * Copies chunks into new packs, each proven on its way.
 * @param entries of the index that `from` was loaded into
 * @returns the bytes that the chunks take in the new packs, which are durable and indexed then
 * @throws ChunkCorrupt, ObjectNotFound; StorageFull, StorageDenied, StorageFailed; Interrupted
 */
export async function copyChunks(entries: Iterable<number>, options: CopyOptions): Promise<number> {
  const { from, loaded, to, unindexed, compression, signal } = options;
  const { index, packs } = loaded;
  const checkpoints = new IndexCheckpoints(to);
  for (const pack of unindexed) checkpoints.add(pack);
  let failure: unknown;
  let wakeUp: () => void = () => undefined;
  const writer = new PackWriter({
    storage: to,
    compression,
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(to))),
    onPack: (pack) => checkpoints.add(pack),
    onRoom: () => wakeUp(),
    onFailure: (error) => {
      failure ??= error;
    },
  });
  let storedBytes = 0;
  try {
    const ordered = inOrderOfPacks(entries, loaded);
    for (let start = 0; start < ordered.length && failure === undefined; start += CHUNK_READS) {
      throwIfInterrupted(signal);
      const batch = ordered.slice(start, start + CHUNK_READS);
      const payloads = await Promise.all(batch.map((entry) => readChunk(from, index, packs, entry)));
      for (const [number, entry] of batch.entries()) {
        while (!writer.hasRoom) await new Promise<void>((resolve) => (wakeUp = resolve));
        storedBytes += writer.append(index.id(entry), payloads[number] as Buffer);
      }
    }
    await writer.finish();
    if (failure !== undefined) throw failure;
    await checkpoints.flush();
    return storedBytes;
  } finally {
    await writer.abort();
  }
}

/** Pack by pack, and in each by offset, as they were stored. */
function inOrderOfPacks(entries: Iterable<number>, { index }: Pick<LoadedIndex, "index">): number[] {
  const places = Array.from(entries, (entry) => ({
    entry,
    pack: index.packNumber(entry),
    offset: index.record(entry).offset,
  }));
  return places.sort((a, b) => a.pack - b.pack || a.offset - b.offset).map(({ entry }) => entry);
}
