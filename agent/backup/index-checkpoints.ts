import { CHUNK_RECORD_BYTES } from "../../repository/format/chunk.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import { writeIndexSegment } from "../../repository/index/segments.js";
import type { Storage } from "../../repository/storage/storage.js";

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
  private lastStarted = Date.now();
  private writing: Promise<void> | undefined;

  constructor(private readonly storage: Storage) {}

  add(pack: IndexedPack): void {
    this.pending.push(pack);
    this.added++;
    const isDue = this.added >= PACKS_PER_SEGMENT || Date.now() - this.lastStarted >= SEGMENT_INTERVAL_MS;
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
    this.lastStarted = Date.now();
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
