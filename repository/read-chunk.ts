import { decodeChunk } from "./chunk-codec.js";
import { CHUNK_BYTES } from "./chunk-id.js";
import type { ChunkIndex } from "./chunk-index.js";
import { packKey } from "./pack-format.js";
import type { PackTable } from "./pack-table.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import type { Storage } from "./storage/storage.js";

/**
 * Reads one chunk by its index entry and proves it.
 * @throws ChunkCorrupt, ObjectNotFound
 */
export async function readChunk(
  storage: Storage,
  index: ChunkIndex,
  packs: PackTable,
  entry: number,
): Promise<Buffer> {
  const record = index.record(entry);
  const packId = packs.id(index.packNumber(entry));
  const range = { offset: record.offset, length: record.storedBytes };
  return againIfDamaged(async () => {
    const stored = await storage.get(packKey(packId), { range });
    return decodeChunk(record, packId, stored, Buffer.allocUnsafe(CHUNK_BYTES), storage.cipher);
  });
}
