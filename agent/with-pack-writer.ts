import { allocateAligned } from "../native-free-io/aligned-memory.js";
import type { Compression } from "../repository/chunk-codec.js";
import type { IndexedPack } from "../repository/index-segment.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../repository/pack-writer.js";
import type { Storage } from "../repository/storage/storage.js";

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
