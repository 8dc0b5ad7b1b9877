import type { ChunkIndex } from "./chunk-index.js";

/** A set of index entries: one bit for each entry of the index, as it is when the set is made. */
export class EntrySet implements Iterable<number> {
  private readonly bits: Uint8Array;
  private members = 0;

  constructor(index: ChunkIndex) {
    this.bits = new Uint8Array(Math.ceil(index.size / 8));
  }

  get size(): number {
    return this.members;
  }

  has(entry: number): boolean {
    return ((this.bits[entry >>> 3] as number) & (1 << (entry & 7))) !== 0;
  }

  add(entry: number): void {
    if (this.has(entry)) return;
    this.bits[entry >>> 3] = (this.bits[entry >>> 3] as number) | (1 << (entry & 7));
    this.members++;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (let entry = 0; entry < this.bits.length * 8; entry++) {
      if (this.has(entry)) yield entry;
    }
  }
}
