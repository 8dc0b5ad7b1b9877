import { ChunkIndex } from "./chunk-index.js";
import { CHUNK_RECORD_BYTES } from "./chunk-record.js";
import { EntryList } from "./entry-list.js";

/** Chunks that index segments list in packs which are gone, or have not the size that they had: what is lost with which pack. */
export class LostChunks {
  private readonly entries = new EntryList();
  private readonly packIds: string[] = [];
  private index: ChunkIndex | undefined;

  /** @returns the number that entries of this pack must have when they are added */
  addPack(id: string): number {
    return this.packIds.push(id) - 1;
  }

  /** Adds the entry that begins at byte `at`; it is changed to refer to the pack. */
  add(entries: Buffer, at: number, packNumber: number): void {
    entries.writeUInt32LE(packNumber, at + CHUNK_RECORD_BYTES);
    this.entries.add(entries, at);
  }

  /** Id of the pack that a chunk was lost with; undefined when no segment lists it. Call it when all are added. */
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
