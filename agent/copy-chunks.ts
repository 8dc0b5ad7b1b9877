import type { Compression } from "../repository/chunk-codec.js";
import type { IndexedPack } from "../repository/index-segment.js";
import type { LoadedIndex } from "../repository/load-index.js";
import type { Storage } from "../repository/storage/storage.js";
import { IndexCheckpoints } from "./backup/index-checkpoints.js";
import { readInOrder } from "./read-in-order.js";
import { withPackWriter } from "./with-pack-writer.js";

export interface CopyOptions {
  from: Storage;
  loaded: Pick<LoadedIndex, "index" | "packs">;
  to: Storage;
  /**
   * Packs in `to` that no segment lists and that the points will need; they are indexed together with the new
   * ones.
   */
  unindexed: IndexedPack[];
  compression: Compression;
  /** Called for each new pack when it is durable. */
  onPack?(pack: IndexedPack): void;
  signal: AbortSignal;
}

/**
 * Copies and proves chunks into new packs under the same ids.
 * @param entries entries of the index that `from` was loaded into
 * @returns the bytes of the chunks in the new packs, which are then durable and indexed
 * @throws ChunkCorrupt, ObjectNotFound; StorageFull, StorageDenied, StorageFailed; Interrupted
 */
export async function copyChunks(entries: Iterable<number>, options: CopyOptions): Promise<number> {
  const { loaded, to, unindexed, compression } = options;
  const checkpoints = new IndexCheckpoints(to);
  for (const pack of unindexed) checkpoints.add(pack);
  const onPack = (pack: IndexedPack) => {
    checkpoints.add(pack);
    options.onPack?.(pack);
  };
  const storedBytes = await withPackWriter({ storage: to, compression, onPack }, async (writer, room) => {
    let bytes = 0;
    for await (const { entry, payload } of readInOrder(entries, options)) {
      await room();
      bytes += writer.append(loaded.index.id(entry), payload);
    }
    return bytes;
  });
  await checkpoints.flush();
  return storedBytes;
}
