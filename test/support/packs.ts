import { allocateAligned } from "../../native-free-io/block-source.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/packs/pack-writer.js";
import type { Storage } from "../../repository/storage/storage.js";

interface WritePacksOptions {
  compression?: Compression;
  /** Page-aligned buffers, as in the agent, or ordinary ones. */
  memory?: "aligned" | "ordinary";
}

/**
 * Stores chunks in packs as a backup does, and waits for room.
 * @returns the packs in the order in which they were closed
 */
export function writePacks(
  storage: Storage,
  payloads: Iterable<Buffer>,
  options: WritePacksOptions = {},
): Promise<IndexedPack[]> {
  const chunks = Array.from(payloads, (payload) => ({ payload }));
  return plantPacks(storage, chunks, options);
}

/** Stores chunks with ids that need not be theirs, as a hostile writer does. */
export async function plantPacks(
  storage: Storage,
  chunks: Iterable<{ payload: Buffer; id?: Buffer }>,
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
  for (const { payload, id = storage.cipher.chunkId(payload) } of chunks) {
    while (!writer.hasRoom) {
      await new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
    }
    writer.append(id, payload);
  }
  await writer.finish();
  if (failures.length > 0) throw failures[0];
  return packs;
}
