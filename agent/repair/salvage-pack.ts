import {
  CHUNK_RECORD_BYTES,
  PACK_HEADER_BYTES,
  recordOffset,
  recordStoredBytes,
} from "../../repository/chunk-record.js";
import type { IndexedPack } from "../../repository/index-segment.js";
import { recordsOf } from "../../repository/pack-footer.js";
import { readRecord } from "../../repository/read-chunk.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";

/**
 * Finds the chunks of a pack that still prove.
 * @param listed the pack with every record that its footer or an index segment has for it: some may be false
 * @param sizeBytes the pack's size now
 * @returns the pack with the records of only these chunks; several lists if proven records overlap, because
 * readers refuse a list whose chunks take more bytes than their pack has
 */
export async function salvagePack(
  storage: Storage,
  { id, footer }: IndexedPack,
  sizeBytes: number,
): Promise<IndexedPack[]> {
  const proven: Buffer[] = [];
  for (const [number, record] of recordsOf(footer).entries()) {
    try {
      await readRecord(storage, id, record);
      const at = number * CHUNK_RECORD_BYTES;
      proven.push(footer.subarray(at, at + CHUNK_RECORD_BYTES));
    } catch (error) {
      if (!saysLost(error)) throw error;
    }
  }
  return withoutOverlaps(proven).map((records) => ({ id, sizeBytes, footer: Buffer.concat(records) }));
}

/** Puts each record into the first list whose chunks all end before it. */
function withoutOverlaps(records: Buffer[]): Buffer[][] {
  const lists: { records: Buffer[]; end: number }[] = [];
  for (const record of records.sort((a, b) => recordOffset(a, 0) - recordOffset(b, 0))) {
    const offset = recordOffset(record, 0);
    let list = lists.find(({ end }) => end <= offset);
    if (list === undefined) {
      list = { records: [], end: PACK_HEADER_BYTES };
      lists.push(list);
    }
    list.records.push(record);
    list.end = offset + recordStoredBytes(record, 0);
  }
  return lists.map(({ records }) => records);
}
