import { CHUNK_RECORD_BYTES } from "../repository/chunk-record.js";
import type { IndexedPack } from "../repository/index-segment.js";

/** Each entry is a separate Buffer while a segment is sorted: about 200 bytes of memory. */
const MAX_ENTRIES = 2 ** 18;

/**
 * Packs that go into one index segment.
 * A pack listed twice with the same records counts once. With different records both lists stay: one of them
 * may be forged, and readers try every place of a chunk.
 */
export class SegmentBatch {
  private packs = new Map<string, IndexedPack[]>();
  private entries = 0;

  get isFull(): boolean {
    return this.entries >= MAX_ENTRIES;
  }

  add(pack: IndexedPack): void {
    const listed = this.packs.get(pack.id) ?? [];
    if (listed.some((other) => isSame(other, pack))) return;
    this.packs.set(pack.id, [...listed, pack]);
    this.entries += pack.footer.length / CHUNK_RECORD_BYTES;
  }

  /** Returns the packs and empties the batch. */
  take(): IndexedPack[] {
    const packs = [...this.packs.values()].flat();
    this.packs = new Map();
    this.entries = 0;
    return packs;
  }
}

function isSame(a: IndexedPack, b: IndexedPack): boolean {
  return a.sizeBytes === b.sizeBytes && a.footer.equals(b.footer);
}
