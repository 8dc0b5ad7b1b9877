import { type IndexedPack, writeIndexSegment } from "../../repository/index-segment.js";
import type { Storage } from "../../repository/storage/storage.js";

/** An index segment is written for so many packs (1 GiB of stored data) ... */
const PACKS_PER_SEGMENT = 16;
/** ... or after so long, whichever comes first. */
const SEGMENT_INTERVAL_MS = 30_000;

/**
 * Writes the index of a running backup in segments, so that a run that is killed has most of its work on record.
 * Packs that were finished after the last segment are found by their footers.
 */
export class IndexCheckpoints {
  private pending: IndexedPack[] = [];
  private lastWritten = Date.now();
  private writing: Promise<void> = Promise.resolve();

  constructor(private readonly storage: Storage) {}

  add(pack: IndexedPack): void {
    this.pending.push(pack);
    const due = Date.now() - this.lastWritten >= SEGMENT_INTERVAL_MS;
    if (due || this.pending.length >= PACKS_PER_SEGMENT) this.writePending();
  }

  /**
   * Returns when every pack added so far is in a durable segment.
   * @throws when a segment could not be written, now or earlier
   */
  async flush(): Promise<void> {
    this.writePending();
    await this.writing;
  }

  private writePending(): void {
    if (this.pending.length === 0) return;
    const packs = this.pending;
    this.pending = [];
    this.lastWritten = Date.now();
    this.writing = this.writing.then(async () => {
      await writeIndexSegment(this.storage, packs);
    });
    this.writing.catch(() => undefined);
  }
}
