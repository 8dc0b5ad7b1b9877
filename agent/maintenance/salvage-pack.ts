import { BlockferryError } from "../../foundation/errors.js";
import {
  CHUNK_RECORD_BYTES,
  PACK_HEADER_BYTES,
  recordOffset,
  recordStoredBytes,
} from "../../repository/format/chunk.js";
import { type IndexedPack, isIndexKey, packsOf } from "../../repository/format/index-segment.js";
import { readIndexSegment } from "../../repository/index/segments.js";
import { readRecord, recordsOf } from "../../repository/packs/pack-reader.js";
import { provesLoss } from "../../repository/storage/read-object.js";
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
      if (!provesLoss(error)) throw error;
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

/** The index segments that exist before a repair. */
export class OldIndex {
  /** Keys of the segments, including damaged ones. */
  readonly keys: string[] = [];
  /** Problems of the segments themselves. */
  readonly problems: BlockferryError[] = [];
  /** Ids of the listed packs, each with the segments that list it. */
  private readonly segmentsOf = new Map<string, string[]>();

  private constructor(private readonly storage: Storage) {}

  static async read(storage: Storage): Promise<OldIndex> {
    const old = new OldIndex(storage);
    for (const { key } of await storage.list("index/")) {
      if (!isIndexKey(key)) continue;
      old.keys.push(key);
      await old.readSegment(key);
    }
    return old;
  }

  get packs(): Iterable<string> {
    return this.segmentsOf.keys();
  }

  has(packId: string): boolean {
    return this.segmentsOf.has(packId);
  }

  /**
   * Returns a pack with every record any segment has for it, each once; undefined if none lists it.
   * Segments may differ, as one may be forged.
   */
  async find(packId: string): Promise<IndexedPack | undefined> {
    const keys = this.segmentsOf.get(packId);
    if (keys === undefined) return undefined;
    let found: IndexedPack | undefined;
    const records = new Map<string, Buffer>();
    for (const key of keys) {
      for (const pack of packsOf(await readIndexSegment(this.storage, key))) {
        if (pack.id !== packId) continue;
        found ??= pack;
        for (let at = 0; at < pack.footer.length; at += CHUNK_RECORD_BYTES) {
          const record = pack.footer.subarray(at, at + CHUNK_RECORD_BYTES);
          records.set(record.toString("latin1"), record);
        }
      }
    }
    return found && { ...found, footer: Buffer.concat([...records.values()]) };
  }

  private async readSegment(key: string): Promise<void> {
    try {
      const { packs } = await readIndexSegment(this.storage, key);
      for (const { id } of packs) {
        const known = this.segmentsOf.get(id);
        if (known === undefined) this.segmentsOf.set(id, [key]);
        else if (known.at(-1) !== key) known.push(key);
      }
    } catch (error) {
      // A segment unreadable for another reason may be intact, and be the only list of a pack whose footer is
      // damaged.
      if (!(error instanceof BlockferryError) || !provesLoss(error)) throw error;
      this.problems.push(error);
    }
  }
}
