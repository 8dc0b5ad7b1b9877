import type { ChunkIndex } from "../../repository/chunk-index.js";
import type { ChunkRecord } from "../../repository/chunk-record.js";
import { readPackFooter, recordsOf } from "../../repository/pack-footer.js";
import { PACK_HEADER_BYTES, PACK_TRAILER_BYTES, packCorrupt } from "../../repository/pack-format.js";
import type { Storage } from "../../repository/storage/storage.js";

/** The records of a pack's footer, which must tile its payload area. @throws PackCorrupt, ObjectNotFound */
export async function readRecords(storage: Storage, id: string, sizeBytes: number): Promise<ChunkRecord[]> {
  const { footer } = await readPackFooter(storage, id, sizeBytes);
  const records = recordsOf(footer);
  let end = PACK_HEADER_BYTES;
  for (const record of records) {
    if (record.offset !== end) throw packCorrupt(id, end, "its footer leaves bytes unaccounted for");
    end += record.storedBytes;
  }
  if (end + footer.length + storage.cipher.layout.tagBytes + PACK_TRAILER_BYTES !== sizeBytes) {
    throw packCorrupt(id, end, "its footer leaves bytes unaccounted for");
  }
  return records;
}

/** The chunks that readers look for in a pack, by offset: what they can have of one whose own footer is damaged. */
export function indexedRecords(index: ChunkIndex, packNumber: number): ChunkRecord[] {
  const records: ChunkRecord[] = [];
  for (let entry = 0; entry < index.size; entry++) {
    if (index.packNumber(entry) === packNumber) records.push(index.record(entry));
  }
  return records.sort((a, b) => a.offset - b.offset);
}
