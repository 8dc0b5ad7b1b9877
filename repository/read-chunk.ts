import { decodeChunk } from "./chunk-codec.js";
import { CHUNK_BYTES } from "./chunk-id.js";
import type { ChunkIndex } from "./chunk-index.js";
import type { ChunkRecord } from "./chunk-record.js";
import { packKey } from "./pack-format.js";
import type { PackTable } from "./pack-table.js";
import { againIfDamaged, saysLost } from "./storage/again-if-damaged.js";
import type { Storage } from "./storage/storage.js";

/** For a chunk with more bad places than this, the other places are not reported. */
const MAX_FAILURES = 100;

/**
 * Reads and proves a chunk, from its first good place.
 * @param entry from `ChunkIndex.find`
 * @param onBadPlace called with the error of each bad place, if there is also a good one
 * @throws ChunkCorrupt, ObjectNotFound: the error of the first place, if no place is good
 */
export async function readChunk(
  storage: Storage,
  index: ChunkIndex,
  packs: PackTable,
  entry: number,
  onBadPlace: (error: unknown) => void = () => undefined,
): Promise<Buffer> {
  const failures: unknown[] = [];
  for (const place of index.places(entry)) {
    try {
      const chunk = await readPlace(storage, index, packs, place);
      index.noteProven(entry, place);
      for (const failure of failures) onBadPlace(failure);
      return chunk;
    } catch (error) {
      if (!saysLost(error)) throw error;
      if (failures.length < MAX_FAILURES) failures.push(error);
    }
  }
  throw failures[0];
}

/**
 * Reads and proves a chunk at one of its places.
 * @param place an entry of the index
 * @throws ChunkCorrupt, ObjectNotFound
 */
export function readPlace(
  storage: Storage,
  index: ChunkIndex,
  packs: PackTable,
  place: number,
): Promise<Buffer> {
  return readRecord(storage, packs.id(index.packNumber(place)), index.record(place));
}

/** Reads and proves a chunk at the location in a record of this pack. @throws ChunkCorrupt, ObjectNotFound */
export function readRecord(storage: Storage, packId: string, record: ChunkRecord): Promise<Buffer> {
  const range = { offset: record.offset, length: record.storedBytes };
  return againIfDamaged(async () => {
    const stored = await storage.get(packKey(packId), { range });
    return decodeChunk(record, packId, stored, Buffer.allocUnsafe(CHUNK_BYTES), storage.cipher);
  });
}
