import { BlockferryError } from "../../foundation/blockferry-error.js";
import { CHUNK_RECORD_BYTES } from "../../repository/chunk-record.js";
import { type IndexedPack, isIndexKey, packsOf, readIndexSegment } from "../../repository/index-segment.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";

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
      if (!(error instanceof BlockferryError) || !saysLost(error)) throw error;
      this.problems.push(error);
    }
  }
}
