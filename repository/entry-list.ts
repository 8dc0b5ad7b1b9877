import { type ChunkIndex, INDEX_ENTRY_BYTES } from "./chunk-index.js";

const PAGE_ENTRIES = 4096;

/** Index entries in order of insertion. They take 56 bytes each, and keep no segment in memory. */
export class EntryList {
  private readonly pages: Buffer[] = [];
  private length = 0;

  get count(): number {
    return this.length;
  }

  /** Adds the entry at byte `at`. */
  add(from: Buffer, at: number): void {
    const place = this.length % PAGE_ENTRIES;
    if (place === 0) this.pages.push(Buffer.allocUnsafe(PAGE_ENTRIES * INDEX_ENTRY_BYTES));
    from.copy(this.pages.at(-1) as Buffer, place * INDEX_ENTRY_BYTES, at, at + INDEX_ENTRY_BYTES);
    this.length++;
  }

  /** Inserts all entries into an index, which must have room for them. */
  insertInto(index: ChunkIndex): void {
    for (let entry = 0; entry < this.length; entry++) {
      const page = this.pages[Math.floor(entry / PAGE_ENTRIES)] as Buffer;
      index.insert(page, (entry % PAGE_ENTRIES) * INDEX_ENTRY_BYTES);
    }
  }
}
