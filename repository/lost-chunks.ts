import { ChunkIndex } from "./chunk-index.js";
import { CHUNK_RECORD_BYTES } from "./chunk-record.js";
import { EntryList } from "./entry-list.js";

/**
 * Chunks that were lost with their packs. Index segments list these packs, but they are gone, or have a
 * different size now.
 */
export class LostChunks {
  private readonly entries = new EntryList();
  private readonly packIds: string[] = [];
  private index: ChunkIndex | undefined;

  /** Adds a pack. @returns the pack number for its entries */
  addPack(id: string): number {
    return this.packIds.push(id) - 1;
  }

  /** Adds the entry at byte `at`, and changes it to refer to the pack. */
  add(entries: Buffer, at: number, packNumber: number): void {
    entries.writeUInt32LE(packNumber, at + CHUNK_RECORD_BYTES);
    this.entries.add(entries, at);
  }

  /**
   * Returns the id of the pack that a chunk was lost with; undefined if no segment lists it. Call it after
   * all additions.
   */
  packOf(id: Buffer): string | undefined {
    this.index ??= this.makeIndex();
    const entry = this.index.find(id);
    return entry < 0 ? undefined : this.packIds[this.index.packNumber(entry)];
  }

  private makeIndex(): ChunkIndex {
    const index = ChunkIndex.create(this.entries.count + 1);
    this.entries.insertInto(index);
    return index;
  }
}
