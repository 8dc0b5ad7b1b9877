import { allocateAligned } from "../../native-free-io/aligned-memory.js";
import type { Compression } from "../../repository/chunk-codec.js";
import type { IndexedPack } from "../../repository/index-segment.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/pack-writer.js";
import type { Storage } from "../../repository/storage/storage.js";

export interface WritePacksOptions {
  compression?: Compression;
  /** Page-aligned buffers, as the agent has them, or ordinary ones. */
  memory?: "aligned" | "ordinary";
}

/** Stores chunks in packs as a backup does, waiting for room; returns the packs in the order they were closed. */
export async function writePacks(
  storage: Storage,
  payloads: Iterable<Buffer>,
  { compression = "lz4", memory = "aligned" }: WritePacksOptions = {},
): Promise<IndexedPack[]> {
  const allocate = memory === "aligned" ? allocateAligned : Buffer.alloc;
  const packs: IndexedPack[] = [];
  const failures: unknown[] = [];
  let wakeUp: () => void = () => undefined;
  const writer = new PackWriter({
    storage,
    compression,
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocate(partBufferBytes(storage))),
    onPack: (pack) => packs.push(pack),
    onRoom: () => wakeUp(),
    onFailure: (error) => failures.push(error),
  });
  for (const payload of payloads) {
    while (!writer.hasRoom) {
      await new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
    }
    writer.append(storage.cipher.chunkId(payload), payload);
  }
  await writer.finish();
  if (failures.length > 0) throw failures[0];
  return packs;
}
