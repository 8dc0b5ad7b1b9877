import {
  CHUNK_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  canStandIn,
  PACK_HEADER_BYTES,
  readChunkRecord,
  recordOffset,
  recordStoredBytes,
} from "../format/chunk.js";
import { decodeChunk } from "../format/chunk-codec.js";
import type { IndexedPack } from "../format/index-segment.js";
import { checkFooter, locateFooter, PACK_TRAILER_BYTES, packCorrupt, packKey } from "../format/pack.js";
import { againIfDamaged } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";

/** Reads and proves a chunk at the location in a record of this pack. @throws ChunkCorrupt, ObjectNotFound */
export function readRecord(storage: Storage, packId: string, record: ChunkRecord): Promise<Buffer> {
  const range = { offset: record.offset, length: record.storedBytes };
  return againIfDamaged(async () => {
    const stored = await storage.get(packKey(packId), { range });
    return decodeChunk(record, packId, stored, Buffer.allocUnsafe(CHUNK_BYTES), storage.cipher);
  });
}

/**
 * Reads a pack's footer from its end, without the payloads. The payloads follow each other in the order of
 * the records.
 * @throws PackCorrupt, ObjectNotFound
 */
export function readPackFooter(storage: Storage, id: string, sizeBytes: number): Promise<IndexedPack> {
  return againIfDamaged(() => readFooterOnce(storage, id, sizeBytes));
}

async function readFooterOnce(storage: Storage, id: string, sizeBytes: number): Promise<IndexedPack> {
  const key = packKey(id);
  const trailerOffset = sizeBytes - PACK_TRAILER_BYTES;
  if (trailerOffset < 0) throw packCorrupt(id, sizeBytes, "it is too short to be a pack");
  const trailer = await storage.get(key, { range: { offset: trailerOffset, length: PACK_TRAILER_BYTES } });
  const { cipher } = storage;
  const range = locateFooter(id, trailer, sizeBytes, cipher.layout);
  const stored = await storage.get(key, { range });
  checkFooter(id, stored, trailer, range.offset, cipher.layout);
  const footer = cipher.pack(id).decrypt("footer", stored, range.offset);
  if (footer === undefined) {
    throw packCorrupt(id, range.offset, "its footer does not match its authentication tag");
  }
  const { tagBytes } = cipher.layout;
  let end = PACK_HEADER_BYTES;
  for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) {
    if (!canStandIn(range.offset, tagBytes, footer, at))
      throw packCorrupt(id, range.offset, "its footer lists a chunk that does not fit in it");
    if (recordOffset(footer, at) !== end) throw packCorrupt(id, end, UNACCOUNTED);
    end += recordStoredBytes(footer, at);
  }
  if (end !== range.offset) throw packCorrupt(id, end, UNACCOUNTED);
  return { id, sizeBytes, footer: Buffer.from(footer) };
}

const UNACCOUNTED = "its footer leaves bytes unaccounted for";

export function recordsOf(footer: Buffer): ChunkRecord[] {
  const records: ChunkRecord[] = [];
  for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) records.push(readChunkRecord(footer, at));
  return records;
}
