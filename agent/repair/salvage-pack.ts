import { CHUNK_ID_BYTES } from "../../repository/chunk-id.js";
import { ChunkIndex } from "../../repository/chunk-index.js";
import { CHUNK_RECORD_BYTES } from "../../repository/chunk-record.js";
import { entriesOf, type IndexedPack } from "../../repository/index-segment.js";
import { PackTable } from "../../repository/pack-table.js";
import { readChunk } from "../../repository/read-chunk.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";

/**
 * Of a pack that cannot tell its own chunks any more: those that a segment lists, and that prove when they are read.
 * @param listed the pack as a segment lists it
 * @param sizeBytes that it has now
 * @returns the pack with the records of these chunks alone
 */
export async function salvagePack(
  storage: Storage,
  listed: IndexedPack,
  sizeBytes: number,
): Promise<IndexedPack> {
  const { id, footer } = listed;
  const index = ChunkIndex.create(footer.length / CHUNK_RECORD_BYTES + 1);
  index.insertAll(entriesOf(listed, 0));
  const packs = PackTable.of([id]);
  const proven: Buffer[] = [];
  for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) {
    try {
      await readChunk(storage, index, packs, index.find(footer.subarray(at, at + CHUNK_ID_BYTES)));
      proven.push(footer.subarray(at, at + CHUNK_RECORD_BYTES));
    } catch (error) {
      if (!saysLost(error)) throw error;
    }
  }
  return { id, sizeBytes, footer: Buffer.concat(proven) };
}
