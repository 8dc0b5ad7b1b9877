import { allocateAligned } from "../../native-free-io/block-source.js";
import { storeBlockMap, type VolumeChunks } from "../../repository/format/block-map.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/packs/pack-writer.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { CounterRow } from "../threads/shared-memory.js";
import { ChunkStore } from "./chunk-pipeline.js";
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

interface WriterOptions {
  storage: Storage;
  compression: Compression;
  onPack(pack: IndexedPack): void;
}

/**
 * Runs `use` with a pack writer, for callers that can wait for room; the backup threads cannot.
 * @param use gets the writer, and a function to await before each chunk
 * @returns the result of `use`, once all packs are durable
 * @throws the first failure of a pack
 */
export async function withPackWriter<T>(
  { storage, compression, onPack }: WriterOptions,
  use: (writer: PackWriter, room: () => Promise<void>) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  let wakeUp: () => void = () => undefined;
  const writer = new PackWriter({
    ...{ storage, compression, onPack },
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(storage))),
    onRoom: () => wakeUp(),
    onFailure: (error) => {
      failure ??= error;
    },
  });
  const room = async () => {
    while (!writer.hasRoom) await new Promise<void>((resolve) => (wakeUp = resolve));
    if (failure !== undefined) throw failure;
  };
  try {
    const result = await use(writer, room);
    await writer.finish();
    if (failure !== undefined) throw failure;
    return result;
  } finally {
    await writer.abort();
  }
}
