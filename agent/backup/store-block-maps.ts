import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import { storeBlockMap } from "../../repository/block-map.js";
import type { Compression } from "../../repository/chunk-codec.js";
import type { ChunkIndex } from "../../repository/chunk-index.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/pack-writer.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { CounterRow } from "../counters.js";
import { ChunkStore } from "./chunk-store.js";
import type { IndexCheckpoints } from "./index-checkpoints.js";
import type { VolumePlan } from "./plan-volumes.js";

interface BlockMapOptions {
  storage: Storage;
  index: ChunkIndex;
  counters: CounterRow;
  checkpoints: IndexCheckpoints;
  compression: Compression;
}

/**
 * Stores the block maps of all volumes, in packs apart from the data, so that a reader finds them together.
 * @returns the root id of each volume
 */
export async function storeBlockMaps(volumes: VolumePlan[], options: BlockMapOptions): Promise<Buffer[]> {
  const { storage, index, counters, checkpoints, compression } = options;
  let failure: unknown;
  let wakeUp: () => void = () => undefined;
  const writer = new PackWriter({
    storage,
    compression,
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(storage))),
    onPack: (pack) => checkpoints.add(pack),
    onRoom: () => wakeUp(),
    onFailure: (error) => {
      failure ??= error;
    },
  });
  const store = new ChunkStore(index, writer, counters, storage.cipher);
  const storeNode = async (ids: Buffer): Promise<number> => {
    while (!store.hasRoom) await new Promise<void>((resolve) => (wakeUp = resolve));
    return store.store(ids);
  };
  try {
    const roots: Buffer[] = [];
    for (const { chunks } of volumes) {
      const root = await storeBlockMap(chunks, index, storeNode);
      roots.push(Buffer.from(root));
    }
    await writer.finish();
    if (failure !== undefined) throw failure;
    return roots;
  } finally {
    await writer.abort();
  }
}
