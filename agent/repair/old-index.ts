import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type IndexedPack, isIndexKey, packsOf, readIndexSegment } from "../../repository/index-segment.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";

/** The index segments that there are before a repair. */
export class OldIndex {
  /** Keys of the segments, damaged ones included. */
  readonly keys: string[] = [];
  /** What is wrong with the segments themselves. */
  readonly problems: BlockferryError[] = [];
  /** Ids of the packs that segments list, each with a segment that does. */
  private readonly segmentOf = new Map<string, string>();

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
    return this.segmentOf.keys();
  }

  has(packId: string): boolean {
    return this.segmentOf.has(packId);
  }

  /** A pack as a segment lists it; undefined when none does. */
  async find(packId: string): Promise<IndexedPack | undefined> {
    const key = this.segmentOf.get(packId);
    if (key === undefined) return undefined;
    return packsOf(await readIndexSegment(this.storage, key)).find(({ id }) => id === packId);
  }

  private async readSegment(key: string): Promise<void> {
    try {
      const { packs } = await readIndexSegment(this.storage, key);
      for (const { id } of packs) this.segmentOf.set(id, key);
    } catch (error) {
      // What could not be read for another reason may be sound, and nothing else tells of a pack whose footer is damaged.
      if (!(error instanceof BlockferryError) || !saysLost(error)) throw error;
      this.problems.push(error);
    }
  }
}
