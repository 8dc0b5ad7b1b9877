import { storeBlockMap } from "../../repository/block-map.js";
import type { Compression } from "../../repository/chunk-codec.js";
import type { ChunkIndex } from "../../repository/chunk-index.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { VolumeChunks } from "../../repository/volume-chunks.js";
import type { CounterRow } from "../counters.js";
import { withPackWriter } from "../with-pack-writer.js";
import { ChunkStore } from "./chunk-store.js";
import type { IndexCheckpoints } from "./index-checkpoints.js";

interface BlockMapOptions {
  storage: Storage;
  index: ChunkIndex;
  counters: CounterRow;
  checkpoints: IndexCheckpoints;
  compression: Compression;
  /**
   * Whether a node stored before this run is good; otherwise it is stored again. By default every node is.
   */
  isGoodNode?: (entry: number, lengthBytes: number) => Promise<boolean>;
}

/**
 * Stores the block maps of all volumes in packs without data.
 * A reader thus finds the block maps together.
 * @returns the root id of each volume
 */
export function storeBlockMaps(
  volumes: { chunks: VolumeChunks }[],
  options: BlockMapOptions,
): Promise<Buffer[]> {
  const { storage, index, counters, checkpoints, compression, isGoodNode } = options;
  const packs = { storage, compression, onPack: checkpoints.add.bind(checkpoints) };
  return withPackWriter(packs, async (writer, room) => {
    const store = new ChunkStore(index, writer, counters, storage.cipher);
    const storeNode = async (ids: Buffer): Promise<number> => {
      await room();
      const entry = store.store(ids);
      if (isGoodNode !== undefined && !(await isGoodNode(entry, ids.length))) {
        await room();
        counters.add("storedBytes", writer.append(index.id(entry), ids));
      }
      return entry;
    };
    const roots: Buffer[] = [];
    for (const { chunks } of volumes) {
      const root = await storeBlockMap(chunks, index, storeNode);
      roots.push(Buffer.from(root));
    }
    return roots;
  });
}
