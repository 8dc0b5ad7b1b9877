import { CHUNK_RECORD_BYTES } from "../repository/chunk-record.js";
import type { IndexedPack } from "../repository/index-segment.js";

/** Each entry is a Buffer of its own while a segment is sorted: about 200 bytes of memory. */
const MAX_ENTRIES = 2 ** 18;

/** Packs that go into one index segment, each once. */
export class SegmentBatch {
  private packs = new Map<string, IndexedPack>();
  private entries = 0;

  get isFull(): boolean {
    return this.entries >= MAX_ENTRIES;
  }

  add(pack: IndexedPack): void {
    if (this.packs.has(pack.id)) return;
    this.packs.set(pack.id, pack);
    this.entries += pack.footer.length / CHUNK_RECORD_BYTES;
  }

  /** Hands over what is in it, and leaves it empty. */
  take(): IndexedPack[] {
    const packs = [...this.packs.values()];
    this.packs = new Map();
    this.entries = 0;
    return packs;
  }
}
