import { type IndexedPack, writeIndexSegment } from "../../repository/index-segment.js";
import type { Storage } from "../../repository/storage/storage.js";
import { SegmentBatch } from "../segment-batch.js";

/** An index segment is written after 16 packs (1 GiB of stored data) ... */
const PACKS_PER_SEGMENT = 16;
/** ... or after 30 seconds, whichever comes first. */
const SEGMENT_INTERVAL_MS = 30_000;

/**
 * Writes the index of a running backup in segments.
 * A killed run thus has most of its work indexed. Packs finished after the last segment are found by their
 * footers. Packs that could not be written are part of the next segment. If they exceed one segment, as after
 * the index was lost, several are written.
 */
export class IndexCheckpoints {
  private pending: IndexedPack[] = [];
  /** Number of packs added since the last segment was started. */
  private added = 0;
  private lastBegun = Date.now();
  private writing: Promise<void> | undefined;

  constructor(private readonly storage: Storage) {}

  add(pack: IndexedPack): void {
    this.pending.push(pack);
    this.added++;
    const isDue = this.added >= PACKS_PER_SEGMENT || Date.now() - this.lastBegun >= SEGMENT_INTERVAL_MS;
    if (isDue && this.writing === undefined) this.writing = this.writeInBackground();
  }

  /**
   * Returns when every pack added so far is in a durable segment.
   * @param storage the same storage; its signal may differ from that of the background writes
   * @throws if a segment cannot be written
   */
  async flush(storage = this.storage): Promise<void> {
    await this.writing;
    await this.writePending(storage);
  }

  private async writeInBackground(): Promise<void> {
    try {
      await this.writePending(this.storage);
    } catch {
      // The next checkpoint writes the packs again, or `flush` throws the error.
    } finally {
      this.writing = undefined;
    }
  }

  private async writePending(storage: Storage): Promise<void> {
    const packs = this.pending;
    if (packs.length === 0) return;
    this.pending = [];
    this.added = 0;
    this.lastBegun = Date.now();
    const batch = new SegmentBatch();
    let written = 0;
    try {
      for (const [number, pack] of packs.entries()) {
        batch.add(pack);
        if (!batch.isFull && number + 1 < packs.length) continue;
        await writeIndexSegment(storage, batch.take());
        written = number + 1;
      }
    } catch (error) {
      this.pending = [...packs.slice(written), ...this.pending];
      throw error;
    }
  }
}
